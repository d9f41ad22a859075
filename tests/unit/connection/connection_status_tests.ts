import { assertEquals, assertNotStrictEquals } from "@std/assert";
import { StateClock } from "../../../lib/connection/connection_status.ts";

/** Sets the time of day until it is disposed of. */
function timeOfDay(): Disposable & { now: number } {
  const { now } = Date;
  const self = {
    now: 1_000,
    [Symbol.dispose]: () => {
      Date.now = now;
    },
  };
  Date.now = () => self.now;
  return self;
}

Deno.test("StateClock says since when there has been no other state", () => {
  using time = timeOfDay();
  const clock = new StateClock();
  assertEquals(clock.since("connecting"), new Date(1_000));
  time.now = 2_000;
  assertEquals(clock.since("connecting"), new Date(1_000));
  assertEquals(clock.since("connected"), new Date(2_000));
  time.now = 3_000;
  assertEquals(clock.since("connected"), new Date(2_000));
  assertEquals(clock.since("connecting"), new Date(3_000));
});

Deno.test("StateClock gives a date of its own, so that nobody can change its time", () => {
  const clock = new StateClock();
  const first = clock.since("connected");
  assertNotStrictEquals(clock.since("connected"), first);
  first.setTime(0);
  assertEquals(clock.since("connected").getTime() > 0, true);
});
