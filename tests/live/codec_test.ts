import { assert, assertEquals, assertMatch, assertNotStrictEquals, assertThrows } from "@std/assert";
import {
  bigint,
  bytes,
  type Codec,
  integer,
  json,
  MAX_BODY_BYTES,
  procedure,
  RpcError,
  type Schema,
  text,
} from "../../lib/rpc.ts";
import { live } from "../support/live.ts";
import { pair } from "../support/pair.ts";

function encoded(source: string): Uint8Array {
  return new TextEncoder().encode(source);
}

/** A body as text; its memory may be Node's or its own. */
function read(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

/** The error with which a codec refuses; what a codec refuses was never executed. */
function refusal(use: () => unknown): RpcError {
  const error: unknown = assertThrows(use);
  assert(error instanceof RpcError, Deno.inspect(error));
  assertEquals(error.outcome, "not_executed");
  return error;
}

const NO_DECIMALS = [
  "",
  " ",
  "+5",
  "3.0",
  "3,0",
  "1e3",
  " 5",
  "5 ",
  "5\n",
  "\n5",
  "0x1e",
  "0b1",
  "007",
  "-0",
  "--5",
  "-",
  "1_000",
  "1n",
  "NaN",
  "Infinity",
  "null",
  "٣",
  "５",
  "−5",
  "\ufeff5",
  "5\u0000",
  '"5"',
];

for (const [name, codec] of [["integer()", integer()], ["bigint()", bigint()]] as const) {
  Deno.test(`${name} decodes nothing but plain decimal integers`, () => {
    for (const source of NO_DECIMALS) {
      const error = refusal(() => codec.decode(encoded(source)));
      assertEquals(error.code, "invalid_argument", `for ${JSON.stringify(source)}`);
      assert(error.message.includes(JSON.stringify(source)), error.message);
    }
    for (const source of ["0", "7", "-7", "30", "9007199254740991", "-9007199254740991"]) {
      assertEquals(String(codec.decode(encoded(source))), source);
    }
  });

  Deno.test(`${name} refuses what is not UTF-8`, () => {
    assertEquals(refusal(() => codec.decode(Uint8Array.from([0x33, 0xff]))).code, "invalid_argument");
  });

  Deno.test(`${name} quotes no more than the beginning of a long body`, () => {
    const { message } = refusal(() => codec.decode(encoded("x".repeat(30))));
    assert(message.includes("x".repeat(30)), message);
    const long = refusal(() => codec.decode(encoded("x".repeat(100_000))));
    assert(long.message.length < 400, `${long.message.length}`);
  });
}

Deno.test("integer() takes both of its bounds and names the value and the bound beyond them", () => {
  const codec = integer({ min: -5, max: 7 });
  for (const value of [-5, 0, 7]) assertEquals(codec.decode(codec.encode(value)), value);
  for (const value of [-6, 8]) {
    for (const use of [() => codec.encode(value), () => codec.decode(encoded(String(value)))]) {
      const error = refusal(use);
      assertEquals([error.code, error.details], ["out_of_range", { min: -5, max: 7 }]);
      assertMatch(error.message, new RegExp(`integer ${value}: must be between -5 and 7`));
    }
  }
});

Deno.test("integer() refuses digits that no number holds exactly", () => {
  for (const source of ["9007199254740992", "-9007199254740992", "9".repeat(32)]) {
    assertEquals(refusal(() => integer().decode(encoded(source))).code, "out_of_range");
  }
});

Deno.test("integer() encodes nothing but integers", () => {
  assertEquals(read(integer().encode(30)), "30");
  assertEquals(read(integer().encode(-0)), "0");
  for (const value of [1.5, NaN, Infinity, -Infinity, "30", null, undefined, 30n] as number[]) {
    assertEquals(refusal(() => integer().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
  assertEquals(refusal(() => integer().encode(2 ** 53)).code, "out_of_range");
});

Deno.test("integer() refuses bounds that are no safe integers, or the wrong way round", () => {
  for (const bounds of [{ min: 1.5 }, { max: 2 ** 53 }, { min: NaN }, { min: 2, max: 1 }]) {
    assertThrows(() => integer(bounds), RangeError, "min");
  }
  assertEquals(read(integer({ min: 1, max: 1 }).encode(1)), "1");
});

Deno.test("bigint() takes both of its bounds and names the value and the bound beyond them", () => {
  const codec = bigint({ min: -5n, max: 10n ** 30n });
  for (const value of [-5n, 0n, 10n ** 30n]) assertEquals(codec.decode(codec.encode(value)), value);
  for (const value of [-6n, 10n ** 30n + 1n]) {
    for (const use of [() => codec.encode(value), () => codec.decode(encoded(String(value)))]) {
      const error = refusal(use);
      assertEquals([error.code, error.details], ["out_of_range", { min: "-5", max: `${10n ** 30n}` }]);
      assert(error.message.includes(String(value)), error.message);
      // Details are JSON, and JSON has no bigint.
      JSON.stringify(error.details);
    }
  }
});

Deno.test("bigint() with one bound names that one", () => {
  assertMatch(refusal(() => bigint({ min: 0n }).encode(-1n)).message, /must be at least 0$/);
  assertMatch(refusal(() => bigint({ max: 0n }).encode(1n)).message, /must be at most 0$/);
});

Deno.test("bigint() encodes nothing but bigints", () => {
  for (const value of [30, "30", null, undefined] as unknown as bigint[]) {
    assertEquals(refusal(() => bigint().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
  assertThrows(() => bigint({ min: 2n, max: 1n }), RangeError, "min");
});

Deno.test("text() takes any text and refuses what is not UTF-8", () => {
  for (const value of ["", "30", "é€😀", "\ufeffmark", "a\u0000b", "\r\n"]) {
    assertEquals(text().decode(text().encode(value)), value);
  }
  for (const body of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    assertEquals(refusal(() => text().decode(Uint8Array.from(body))).code, "invalid_argument");
  }
  assertEquals(refusal(() => text().encode(30 as unknown as string)).code, "invalid_argument");
});

Deno.test("bytes() gives a copy that belongs to the caller", () => {
  const body = Uint8Array.from([1, 2, 3]);
  const value = bytes().decode(body);
  assertEquals(value, body);
  assert(value instanceof Uint8Array);
  assertNotStrictEquals(value.buffer, body.buffer);
  assertEquals(refusal(() => bytes().encode("abc" as unknown as Uint8Array)).code, "invalid_argument");
});

Deno.test("json() takes any JSON and refuses the rest", () => {
  for (const value of [null, true, 0, -1.5, "", "é", [], {}, { a: [{ b: null }] }]) {
    assertEquals(json().decode(json().encode(value)), value);
  }
  for (const source of ["", " ", "{", "{'a':1}", "undefined", "NaN", "1 2", "[1,]", "\ufeff1"]) {
    const error = refusal(() => json().decode(encoded(source)));
    assertEquals(error.code, "invalid_argument", `for ${JSON.stringify(source)}`);
    assert(error.message.includes(JSON.stringify(source)), error.message);
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const value of [undefined, () => 1, Symbol("a"), 1n, cycle]) {
    assertEquals(refusal(() => json().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
});

Deno.test("json() refuses a schema that is none", () => {
  for (const schema of [null, {}, { "~standard": {} }, () => true, "z.string()"]) {
    assertThrows(() => json(schema as unknown as Schema), TypeError, "Standard Schema");
  }
});

Deno.test("Codecs refuse a size limit that is no integer from 1 to MAX_BODY_BYTES", () => {
  for (const maxBytes of [0, -1, 1.5, NaN, Infinity, MAX_BODY_BYTES + 1, 16 * 1024 * 1024]) {
    for (const make of [bytes, text, bigint, (options: { maxBytes: number }) => json(undefined, options)]) {
      assertThrows(() => make({ maxBytes }), RangeError, "maxBytes");
    }
  }
  assertEquals(text({ maxBytes: MAX_BODY_BYTES }).maxBytes, MAX_BODY_BYTES);
});

Deno.test("Codecs name the type of their content", () => {
  const codecs: readonly Codec<never, unknown>[] = [bytes(), text(), integer(), bigint(), json()];
  assertEquals(codecs.map(({ contentType }) => contentType), [
    "application/octet-stream",
    "text/plain",
    "text/plain",
    "text/plain",
    "application/json",
  ]);
});

live("Values of every codec arrive as they were sent", async ({ url, queue }) => {
  async function echo<Value>(codec: Codec<Value>, values: readonly Value[]): Promise<void> {
    const called = procedure({ queue, queueType: "classic", request: codec, reply: codec });
    await using p = await pair(url, called, (value) => value);
    assertEquals(await Promise.all(values.map((value) => p.client.call(called, value))), values);
  }
  await echo(bytes(), [new Uint8Array(), Uint8Array.from([0, 255]), new Uint8Array(300_000).fill(7)]);
  await echo(text(), ["", "é€😀", "\ufeff", "x".repeat(300_000)]);
  await echo(integer(), [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);
  await echo(bigint(), [0n, -1n, 10n ** 1_000n]);
  await echo(json(), [null, [], { a: [1, "é", { b: false }] }]);
});

live("A view of a larger buffer arrives as the view", async ({ url, queue }) => {
  const called = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
  await using p = await pair(url, called, (value) => value.subarray(1, 3));
  assertEquals(await p.client.call(called, Uint8Array.from([9, 1, 2, 3, 9]).subarray(1, 4)), Uint8Array.from([2, 3]));
});
