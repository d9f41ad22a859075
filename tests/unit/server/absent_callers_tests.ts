import { assertEquals, assertLessOrEqual } from "@std/assert";
import { AbsentCallers, MAX_QUESTIONS, MAX_REMEMBERED } from "../../../lib/server/absent_callers.ts";
import { FakeClock } from "../../support/fake_clock.ts";

/** Callers, of which all but {@linkcode gone} ones are there; writes down for whom was asked. */
function site() {
  const asked: string[] = [];
  const callers = new AbsentCallers((replyTo) => {
    asked.push(replyTo);
    return Promise.resolve(!replyTo.startsWith("amq.gen-gone"));
  });
  return { asked, callers };
}

const gone = (n: number): string => `amq.gen-gone-${n}`;

Deno.test("AbsentCallers asks nothing while no reply is returned", () => {
  const { asked, callers } = site();
  assertEquals([callers.suspected, callers.hasLeft(gone(1)), asked], [false, false, []]);
});

Deno.test("AbsentCallers knows a caller whose reply was returned, without a question", () => {
  const { asked, callers } = site();
  callers.returned(gone(1));
  assertEquals([callers.suspected, callers.hasLeft(gone(1)), asked], [true, true, []]);
});

Deno.test("AbsentCallers asks for four others after a return, once each, and for more if they have left", async () => {
  const { asked, callers } = site();
  callers.returned(gone(1));
  for (const name of ["a", "a", "b", "c", "d", "e"]) assertEquals(await callers.hasLeft(`amq.gen-${name}`), false);
  assertEquals(asked, ["amq.gen-a", "amq.gen-b", "amq.gen-c", "amq.gen-d"]);
  callers.returned(gone(2));
  for (let n = 3; n < 100; n++) assertEquals(await callers.hasLeft(gone(n)), true);
  assertEquals(asked.length, 4 + 97);
  for (let n = 0; n < 100; n++) assertEquals(await callers.hasLeft(`amq.gen-other-${n}`), false);
  assertEquals(asked.length, 4 + 97 + MAX_QUESTIONS);
});

Deno.test("AbsentCallers asks once for requests of one caller that come together", async () => {
  const { asked, callers } = site();
  callers.returned(gone(1));
  assertEquals(await Promise.all([1, 2, 3].map(() => callers.hasLeft(gone(2)))), [true, true, true]);
  assertEquals(asked, [gone(2)]);
});

Deno.test("AbsentCallers asks again for a caller that was there a while ago", async () => {
  using clock = new FakeClock();
  let present = true;
  let asked = 0;
  const callers = new AbsentCallers(() => {
    asked++;
    return Promise.resolve(present);
  });
  callers.returned(gone(1));
  assertEquals(await callers.hasLeft(gone(2)), false);
  present = false;
  clock.advance(1_999);
  assertEquals([await callers.hasLeft(gone(2)), asked], [false, 1]);
  clock.advance(1);
  assertEquals([await callers.hasLeft(gone(2)), asked], [true, 2]);
});

Deno.test("AbsentCallers neither believes nor asks that a queue is gone whose name may come back", () => {
  const { asked, callers } = site();
  for (const name of ["replies", "amq.rabbitmq.reply-to.abc", ""]) callers.returned(name);
  assertEquals(callers.suspected, false);
  callers.returned(gone(1));
  for (const name of ["replies", "amq.rabbitmq.reply-to.abc", ""]) assertEquals(callers.hasLeft(name), false);
  assertEquals(asked, []);
});

Deno.test("AbsentCallers lets requests run after a second without an answer, and asks no more", async () => {
  using clock = new FakeClock();
  let asked = 0;
  const callers = new AbsentCallers(() => {
    asked++;
    return new Promise(() => {});
  });
  callers.returned(gone(1));
  const answer = callers.hasLeft(gone(2));
  clock.advance(1_000);
  assertEquals([await answer, callers.hasLeft(gone(3)), asked], [false, false, 1]);
});

Deno.test("AbsentCallers forgets who was not heard of for two minutes, and costs nothing then", async () => {
  using clock = new FakeClock();
  const { asked, callers } = site();
  callers.returned(gone(1));
  for (const name of ["a", "b", "c", "d"]) await callers.hasLeft(`amq.gen-${name}`);
  clock.advance(60_001);
  assertEquals([callers.hasLeft(gone(1)), callers.size], [true, 5]);
  clock.advance(60_001);
  assertEquals([callers.hasLeft("amq.gen-x"), callers.size], [false, 1]);
  clock.advance(60_001);
  assertEquals([callers.hasLeft("amq.gen-x"), callers.suspected, asked.length], [false, false, 4]);
});

Deno.test("AbsentCallers remembers 20,000 at the most, and the younger half at the least", () => {
  using _clock = new FakeClock();
  const { callers } = site();
  for (let n = 0; n < 3 * MAX_REMEMBERED; n++) {
    callers.returned(gone(n));
    assertLessOrEqual(callers.size, MAX_REMEMBERED);
  }
  assertEquals(callers.hasLeft(gone(3 * MAX_REMEMBERED - MAX_REMEMBERED / 2)), true);
});
