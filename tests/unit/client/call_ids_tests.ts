import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { callId, CallIds, numberOfCall } from "../../../lib/client/call_ids.ts";

const PREFIX = "01234567-89ab-cdef-0123-";

Deno.test("CallIds counts calls from 1", () => {
  const ids = new CallIds();
  assertEquals([ids.next(), ids.next(), ids.next()], [1, 2, 3]);
});

Deno.test("CallIds gives a queue one random prefix", () => {
  const ids = new CallIds();
  const prefix = ids.prefixOf("a");
  assertMatch(prefix, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-$/);
  assertEquals(ids.prefixOf("a"), prefix);
});

Deno.test("CallIds gives another prefix for another queue, and to another client", () => {
  const ids = new CallIds();
  assertNotEquals(ids.prefixOf("a"), ids.prefixOf("b"));
  assertNotEquals(ids.prefixOf("a"), new CallIds().prefixOf("a"));
});

Deno.test("CallIds remembers a thousand queues, and then forgets the oldest", () => {
  const ids = new CallIds();
  const prefixes = Array.from({ length: 1_000 }, (_, n) => ids.prefixOf(`${n}`));
  assertEquals(Array.from({ length: 1_000 }, (_, n) => ids.prefixOf(`${n}`)), prefixes);
  ids.prefixOf("one more");
  assertEquals(Array.from({ length: 999 }, (_, n) => ids.prefixOf(`${n + 1}`)), prefixes.slice(1));
  assertNotEquals(ids.prefixOf("0"), prefixes[0]);
});

Deno.test("callId() ends in the number, in twelve hexadecimal digits", () => {
  assertEquals(callId(PREFIX, 1), `${PREFIX}000000000001`);
  assertEquals(callId(PREFIX, 0xabc), `${PREFIX}000000000abc`);
  assertEquals(callId(PREFIX, 2 ** 48 - 1), `${PREFIX}ffffffffffff`);
});

Deno.test("numberOfCall() reads the number that callId() wrote", () => {
  for (const number of [1, 9, 10, 255, 1_000_000, 2 ** 32, 2 ** 48 - 1]) {
    assertEquals(numberOfCall(callId(PREFIX, number)), number);
  }
});

const NO_IDS: readonly string[] = [
  "",
  "000000000001",
  `${PREFIX}00000000001`,
  `${PREFIX}0000000000011`,
  `${PREFIX}00000000000g`,
  `${PREFIX}00000000000A`,
  `${PREFIX}           1`,
  `${PREFIX}0x0000000001`,
  `${PREFIX}-00000000001`,
  `${PREFIX}00000000001\n`,
];

for (const id of NO_IDS) {
  Deno.test(`numberOfCall() of ${JSON.stringify(id)} is NaN`, () => {
    assertEquals(numberOfCall(id), NaN);
  });
}
