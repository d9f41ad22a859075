import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import fc from "fast-check";
import { ClockOffsets, MAX_CLIENTS } from "../../../lib/server/clock_offsets.ts";
import { runs } from "../../support/runs.ts";

const HOUR = 3_600_000;
/** How long requests may wait here, in ms. */
const LIMIT = 1_000;

/** How long a request seems to have waited. */
function waitedOf(clocks: ClockOffsets, client: string, sentAt: number, now: number, limit: number): number {
  return clocks.measure(client, sentAt, now, limit, false).waited;
}

Deno.test("ClockOffsets takes for waited what a request is later than the fastest one of its client", () => {
  const clocks = new ClockOffsets();
  assertEquals(waitedOf(clocks, "a", 10_000, 500, LIMIT), 0);
  assert(Math.abs(waitedOf(clocks, "a", 10_100, 1_000, LIMIT) - 400) <= 1);
  // A faster one corrects the first.
  assertEquals(waitedOf(clocks, "a", 10_600, 1_050, LIMIT), 0);
  assert(Math.abs(waitedOf(clocks, "a", 10_700, 1_200, LIMIT) - 50) <= 1);
});

Deno.test("ClockOffsets knows each client's clock by itself", () => {
  const clocks = new ClockOffsets();
  waitedOf(clocks, "a", 0, 1_000, LIMIT);
  assertEquals(waitedOf(clocks, "b", HOUR, 1_000, LIMIT), 0);
  assert(waitedOf(clocks, "a", 0, 1_500, LIMIT) > 498);
});

Deno.test("ClockOffsets starts again when a request seems to have waited for longer than it may, unless confirmed", () => {
  const clocks = new ClockOffsets();
  waitedOf(clocks, "a", 0, 0, LIMIT);
  // The client's computer slept for ten seconds, in which its clock stood still.
  assertEquals(waitedOf(clocks, "a", 100, 10_100, LIMIT), 0);
  assert(waitedOf(clocks, "a", 200, 10_300, LIMIT) > 98);
  clocks.confirm("a", 210, 10_310, 10_310);
  assertEquals(clocks.measure("a", 300, 20_400, LIMIT, false).doubted, true);
  assertEquals(waitedOf(clocks, "a", 400, 20_600, LIMIT), 0);
  // Until it has answered again.
  clocks.confirm("a", 500, 20_600, 20_601);
  assert(waitedOf(clocks, "a", 600, 20_800, LIMIT) > 98);
  assertEquals(clocks.get("a")?.doubted, false);
});

Deno.test("ClockOffsets that were confirmed believe nobody who is further ahead or behind, but for drift", () => {
  const clocks = new ClockOffsets();
  waitedOf(clocks, "a", 0, 0, LIMIT);
  clocks.confirm("a", 10, 9, 12);
  for (const forged of [900, 5_000, HOUR, -HOUR, -2_000]) {
    waitedOf(clocks, "a", 100 + forged, 100, LIMIT);
    assertLessOrEqual(waitedOf(clocks, "a", 100, 100, LIMIT), 5);
  }
  // By now its clock may be ahead by 10 ms.
  waitedOf(clocks, "a", 10_010, 10_000, LIMIT);
  assert(waitedOf(clocks, "a", 10_100, 10_120, LIMIT) > 28);
});

Deno.test("ClockOffsets keep the closest lower bound of all answers", () => {
  const clocks = new ClockOffsets();
  clocks.confirm("a", 100, 99, 101);
  // This answer has taken long.
  clocks.confirm("a", 1_000, 500, 1_100);
  waitedOf(clocks, "a", 1_600, 1_200, LIMIT);
  assertLessOrEqual(waitedOf(clocks, "a", 1_300, 1_300, LIMIT), 2);
  // The clock has changed: the earlier bound is of no use.
  clocks.confirm("a", 3_000, 2_000, 2_001);
  waitedOf(clocks, "a", 3_100, 2_100, LIMIT);
  assert(waitedOf(clocks, "a", 3_200, 2_300, LIMIT) > 98);
});

Deno.test("ClockOffsets start again when the time of the broker steps back", () => {
  for (const [back, waited] of [[60, 0], [40, 40]] as const) {
    const clocks = new ClockOffsets();
    clocks.measure("a", 5_000, 0, LIMIT, true);
    assertEquals(Math.round(clocks.measure("a", 5_000 - back, 0, LIMIT, true).waited), waited);
  }
  const clocks = new ClockOffsets();
  clocks.measure("a", 5_000, 0, LIMIT, true);
  // Somebody else sends a time that is ahead.
  clocks.measure("a", 5_900, 0, LIMIT, true);
  for (const now of [10, 20]) assertEquals(clocks.measure("a", 5_000 + now, now, LIMIT, true).waited, 0);
  assert(clocks.measure("a", 5_030, 130, LIMIT, true).waited > 98);
});

Deno.test("ClockOffsets believes that a request has waited for a little longer than it may", () => {
  const clocks = new ClockOffsets();
  waitedOf(clocks, "a", 0, 0, LIMIT);
  assert(waitedOf(clocks, "a", 0, LIMIT + 240, LIMIT) > LIMIT);
});

Deno.test("ClockOffsets learns from an answer, in either direction", () => {
  const clocks = new ClockOffsets();
  // All requests so far have waited for 900 ms: that is not known.
  assertEquals(waitedOf(clocks, "a", 0, 900, LIMIT), 0);
  assertEquals(waitedOf(clocks, "a", 100, 1_000, LIMIT), 0);
  clocks.confirm("a", 1_003, 1_001, 1_005);
  assert(Math.abs(waitedOf(clocks, "a", 200, 1_100, LIMIT) - 898) <= 1);
  // The client's clock has stood still for 500 ms.
  clocks.confirm("a", 2_003, 2_501, 2_505);
  assert(Math.abs(waitedOf(clocks, "a", 2_100, 2_700, LIMIT) - 98) <= 1);
});

Deno.test("ClockOffsets keeps a bound that an answer, which was slow, does not contradict", () => {
  const clocks = new ClockOffsets();
  waitedOf(clocks, "a", 0, 1, LIMIT);
  clocks.confirm("a", 100, 90, 190);
  assert(waitedOf(clocks, "a", 200, 251, LIMIT) > 49);
});

Deno.test("ClockOffsets learns from an answer of a client that it has forgotten", () => {
  const clocks = new ClockOffsets();
  clocks.confirm("a", 0, 10, 12);
  assertEquals(clocks.get("a")?.confirmedAt, 12);
  assert(waitedOf(clocks, "a", 0, 112, LIMIT) > 99);
});

Deno.test("ClockOffsets remembers a bounded number of clients, and those that send go on being remembered", () => {
  const clocks = new ClockOffsets();
  for (let n = 0; n < 3 * MAX_CLIENTS; n++) {
    waitedOf(clocks, `client-${n}`, n, n, LIMIT);
    if (n % 100 === 0) waitedOf(clocks, "busy", n, n + (n === 0 ? 0 : 100), LIMIT);
    assertLessOrEqual(clocks.size, MAX_CLIENTS + 1);
  }
  // It is still known what was learned at first.
  const last = 3 * MAX_CLIENTS;
  assert(waitedOf(clocks, "busy", last, last + 100 + last / 1_000, LIMIT) >= 100 - 1);
  assertEquals(clocks.get("client-0"), undefined);
});

/** A client's clock: its zero, by how much it is faster, and when it stood still for how long. */
interface Clock {
  readonly zero: number;
  readonly ppm: number;
}

function timeOf({ zero, ppm }: Clock, now: number): number {
  return Math.floor(zero + now * (1 + ppm / 1e6));
}

const clock = fc.record({
  zero: fc.integer({ min: 0, max: 24 * HOUR }),
  ppm: fc.integer({ min: -1_000, max: 1_000 }),
});
const messages = fc.array(
  fc.record({
    gap: fc.integer({ min: 0, max: 5_000 }),
    delay: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: LIMIT })),
    answers: fc.boolean(),
    roundTrip: fc.integer({ min: 0, max: 50 }),
  }),
  { minLength: 1, maxLength: 100 },
);

Deno.test("a wait is never longer than the true one, whatever the clocks, the delays and the order of arrival", () => {
  fc.assert(
    fc.property(clock, messages, (client, all) => {
      const clocks = new ClockOffsets();
      let sentAt = 0;
      const arrivals = all.map(({ gap, delay }) => ({ sentAt: sentAt += gap, delay }))
        .toSorted((a, b) => a.sentAt + a.delay - b.sentAt - b.delay);
      for (const { sentAt, delay } of arrivals) {
        const waited = waitedOf(clocks, "a", timeOf(client, sentAt), sentAt + delay, LIMIT);
        // Clients send whole ms.
        assertLessOrEqual(waited, delay + 1);
      }
    }),
    runs(2_000),
  );
});

Deno.test("a wait is known to the round trip of the last answer and the drift since, even if all requests have waited", () => {
  fc.assert(
    fc.property(clock, messages, (client, all) => {
      const clocks = new ClockOffsets();
      let now = 0;
      let last: { readonly at: number; readonly error: number } | undefined;
      for (const { gap, delay, answers, roundTrip } of all) {
        now += gap + delay;
        const waited = waitedOf(clocks, "a", timeOf(client, now - delay), now, LIMIT);
        assertLessOrEqual(waited, delay + 1);
        // 1000 ppm of the clock itself, and 1000 ppm of allowance.
        if (last !== undefined) assert(waited >= delay - last.error - 2 - (now - last.at) * 0.002);
        if (!answers) continue;
        const askedAt = now;
        now += roundTrip;
        clocks.confirm("a", timeOf(client, askedAt + roundTrip / 2), askedAt, now);
        last = { at: now, error: roundTrip };
      }
    }),
    runs(2_000),
  );
});

Deno.test("a clock that stood still makes waits too long until the next answer, and not afterwards", () => {
  fc.assert(
    fc.property(clock, messages, fc.integer({ min: 1, max: HOUR }), (client, all, pause) => {
      const clocks = new ClockOffsets();
      waitedOf(clocks, "a", timeOf(client, 0), 0, LIMIT);
      clocks.confirm("a", timeOf(client, 0), 0, 0);
      // From now on the client's clock is behind by the pause.
      const late = { ...client, zero: client.zero - pause };
      let now = pause;
      clocks.confirm("a", timeOf(late, now + 1), now, now + 2);
      for (const { gap, delay } of all) {
        now += gap + delay + 2;
        assertLessOrEqual(waitedOf(clocks, "a", timeOf(late, now - delay), now, LIMIT), delay + 1);
      }
    }),
    runs(1_000),
  );
});

Deno.test("a client that sends any numbers changes nothing for another one", () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeInteger()), (numbers) => {
      const clocks = new ClockOffsets();
      waitedOf(clocks, "honest", 0, 0, LIMIT);
      for (const number of numbers) {
        const waited = waitedOf(clocks, "hostile", number, 10, LIMIT);
        assert(waited >= 0 && waited <= LIMIT + 250);
      }
      assert(Math.abs(waitedOf(clocks, "honest", 100, 300, LIMIT) - 200) <= 1);
    }),
    runs(500),
  );
});
