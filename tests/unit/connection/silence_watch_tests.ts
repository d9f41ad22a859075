import { assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { SilenceWatch } from "../../../lib/connection/silence_watch.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const HEARTBEAT = 10_000;

Deno.test("SilenceWatch is never silent while something comes in each interval", () => {
  using clock = new FakeClock();
  let received = 0;
  let silences = 0;
  const watch = new SilenceWatch(HEARTBEAT, () => received, () => silences++);
  for (let n = 0; n < 100; n++) {
    received++;
    clock.advance(HEARTBEAT);
  }
  assertEquals(silences, 0);
  watch.stop();
  assertEquals(clock.timers, 0);
});

for (const phase of [0, 1, 1_249, 2_499, 2_500, 2_501, 9_999]) {
  Deno.test(`SilenceWatch finds silence within two intervals, once, if the last byte came ${phase} ms after the start`, () => {
    using clock = new FakeClock();
    let received = 0;
    const silences: number[] = [];
    const _watch = new SilenceWatch(HEARTBEAT, () => received, () => silences.push(clock.now));
    clock.advance(phase);
    received++;
    const last = clock.now;
    clock.advance(10 * HEARTBEAT);
    assertEquals(silences.length, 1);
    assertGreaterOrEqual((silences[0] ?? 0) - last, 1.5 * HEARTBEAT);
    assertLessOrEqual((silences[0] ?? 0) - last, 2 * HEARTBEAT);
    assertEquals(clock.timers, 0);
  });
}

Deno.test("SilenceWatch does not take a stall of this process for silence", () => {
  using clock = new FakeClock();
  let received = 0;
  let silences = 0;
  const watch = new SilenceWatch(HEARTBEAT, () => received, () => silences++);
  clock.advance(HEARTBEAT);
  received++;
  clock.stall(10 * HEARTBEAT);
  clock.advance(0);
  received++;
  clock.advance(HEARTBEAT);
  assertEquals(silences, 0);
  watch.stop();
});

Deno.test("SilenceWatch does not keep the process alive", () => {
  using clock = new FakeClock();
  new SilenceWatch(HEARTBEAT, () => 0, () => {});
  assertEquals([clock.timers, clock.refs], [1, 0]);
});
