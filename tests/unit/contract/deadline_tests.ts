import { assertEquals } from "@std/assert";
import { MAX_TIMEOUT_MS, settlesWithin } from "../../../lib/contract/deadline.ts";
import { FakeClock } from "../../support/fake_clock.ts";

Deno.test("MAX_TIMEOUT_MS is the longest delay of a timer", () => {
  assertEquals(MAX_TIMEOUT_MS, 2 ** 31 - 1);
});

for (
  const [how, promise] of [["resolves", Promise.resolve(1)], ["rejects", Promise.reject(new Error("no"))]] as const
) {
  promise.catch(() => {});
  Deno.test(`settlesWithin() is true for what ${how} in time, and leaves no timer`, async () => {
    using clock = new FakeClock();
    assertEquals(await settlesWithin(promise, 50), true);
    assertEquals([clock.delays, clock.timers], [[50], 0]);
  });
}

Deno.test("settlesWithin() is false for what takes longer", async () => {
  using clock = new FakeClock();
  const late = Promise.withResolvers<void>();
  const within = settlesWithin(late.promise, 50);
  clock.advance(50);
  assertEquals([await within, clock.timers], [false, 0]);
  late.resolve();
});

Deno.test("settlesWithin() waits no longer than a timer can", async () => {
  using clock = new FakeClock();
  assertEquals(await settlesWithin(Promise.resolve(), 2 ** 40), true);
  assertEquals(clock.delays, [MAX_TIMEOUT_MS]);
});
