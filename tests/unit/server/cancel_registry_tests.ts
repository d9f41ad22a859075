import { assertEquals } from "@std/assert";
import { CancelRegistry, MAX_REMEMBER_MS, MAX_REMEMBERED } from "../../../lib/server/cancel_registry.ts";
import { FakeClock } from "../../support/fake_clock.ts";

Deno.test("CancelRegistry knows a cancel by queue and id, until it is worth nothing", () => {
  using clock = new FakeClock();
  const cancels = new CancelRegistry();
  assertEquals(cancels.has("q", "a"), false);
  cancels.add({ queue: "q", id: "a", rememberMs: 50 });
  assertEquals([cancels.has("q", "a"), cancels.has("q", "b"), cancels.has("p", "a")], [true, false, false]);
  clock.advance(49);
  assertEquals(cancels.has("q", "a"), true);
  clock.advance(1);
  assertEquals(cancels.has("q", "a"), false);
});

Deno.test("CancelRegistry tells queue and id apart, wherever one ends", () => {
  const cancels = new CancelRegistry();
  cancels.add({ queue: "ab", id: "c", rememberMs: 50 });
  assertEquals(cancels.has("a", "bc"), false);
});

Deno.test("CancelRegistry does not remember what says nothing of how long", () => {
  const cancels = new CancelRegistry();
  cancels.add({ queue: "q", id: "a", rememberMs: 0 });
  assertEquals([cancels.size, cancels.has("q", "a")], [0, false]);
});

Deno.test("CancelRegistry remembers for ten minutes at the most", () => {
  using clock = new FakeClock();
  const cancels = new CancelRegistry();
  cancels.add({ queue: "q", id: "a", rememberMs: 2 * MAX_REMEMBER_MS });
  clock.advance(MAX_REMEMBER_MS - 1);
  assertEquals([MAX_REMEMBER_MS, cancels.has("q", "a")], [600_000, true]);
  clock.advance(1);
  assertEquals(cancels.has("q", "a"), false);
});

Deno.test("CancelRegistry keeps 100,000 at the most, and the younger half at the least", () => {
  using _clock = new FakeClock();
  const cancels = new CancelRegistry();
  assertEquals(MAX_REMEMBERED, 100_000);
  const half = MAX_REMEMBERED / 2;
  const add = (id: number) => cancels.add({ queue: "q", id: `${id}`, rememberMs: 1_000 });
  for (let id = 1; id <= MAX_REMEMBERED; id++) add(id);
  assertEquals(cancels.size, MAX_REMEMBERED);
  assertEquals(cancels.has("q", "1"), true);
  add(MAX_REMEMBERED + 1);
  assertEquals(cancels.size, half + 1);
  assertEquals([1, half, half + 1, MAX_REMEMBERED + 1].map((id) => cancels.has("q", `${id}`)), [
    false,
    false,
    true,
    true,
  ]);
});

Deno.test("CancelRegistry forgets what is older than two generations, without being full", () => {
  using clock = new FakeClock();
  const cancels = new CancelRegistry();
  const add = (id: string) => cancels.add({ queue: "q", id, rememberMs: MAX_REMEMBER_MS });
  add("a");
  clock.advance(MAX_REMEMBER_MS);
  add("b");
  assertEquals([cancels.size, cancels.has("q", "b")], [2, true]);
  clock.advance(MAX_REMEMBER_MS + 1);
  add("c");
  clock.advance(MAX_REMEMBER_MS + 1);
  add("d");
  assertEquals([cancels.size, cancels.has("q", "c"), cancels.has("q", "d")], [2, false, true]);
});

Deno.test("CancelRegistry finds what it has remembered after its generations have changed", () => {
  using clock = new FakeClock();
  const cancels = new CancelRegistry();
  clock.advance(MAX_REMEMBER_MS);
  cancels.add({ queue: "q", id: "a", rememberMs: MAX_REMEMBER_MS });
  clock.advance(10);
  for (let n = 0; n < MAX_REMEMBERED / 2; n++) cancels.add({ queue: "q", id: `${n}`, rememberMs: 1 });
  assertEquals(cancels.has("q", "a"), true);
});

Deno.test("CancelRegistry changes its generation after more than ten minutes, from the start of the process on", () => {
  using clock = new FakeClock(0);
  const cancels = new CancelRegistry();
  const sizeAt = (now: number): number => {
    clock.advance(now - clock.now);
    cancels.add({ queue: "q", id: `${now}`, rememberMs: 1 });
    return cancels.size;
  };
  const T = MAX_REMEMBER_MS;
  assertEquals([10, T, T + 1, 2 * T + 1, 2 * T + 2].map(sizeAt), [1, 2, 3, 4, 3]);
});

Deno.test("CancelRegistry knows nothing of what was not taken back, however young the process is", () => {
  using _clock = new FakeClock(0.5);
  const cancels = new CancelRegistry();
  cancels.add({ queue: "q", id: "a", rememberMs: 1 });
  assertEquals(cancels.has("q", "b"), false);
});

Deno.test("CancelRegistry looks nothing up while there is nothing in it", () => {
  let keys = 0;
  const queue = { toString: () => `q${++keys}` } as unknown as string;
  const cancels = new CancelRegistry();
  cancels.has(queue, "a");
  assertEquals(keys, 0);
  cancels.add({ queue: "p", id: "a", rememberMs: 1 });
  cancels.has(queue, "a");
  assertEquals(keys, 1);
});
