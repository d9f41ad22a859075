import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { progressLine } from "../../../lib/cli/progress.ts";
import { widthOf } from "../../../lib/cli/table.ts";
import { runs } from "../../support/runs.ts";

const STATE = { done: 4_200, failed: 0, total: 10_000, elapsed: 2_000, rate: 2_100 };

Deno.test("The bar shows how far the run is, how fast, and how long it will take", () => {
  assertEquals(
    progressLine(STATE, 100),
    "████████████████░░░░░░░░░░░░░░░░░░░░░░░░ 42%  4,200/10,000  2,100/s  ETA 2.76 s",
  );
  assertEquals(
    progressLine({ ...STATE, failed: 7 }, 60),
    "████░░░░░░░ 42%  4,200/10,000  7 failed  2,100/s  ETA 2.76 s",
  );
});

Deno.test("What matters least is left out where there is no room", () => {
  assertEquals(progressLine(STATE, 40), "█████░░░░░░░░ 42%  4,200/10,000  2,100/s");
  assertEquals(progressLine(STATE, 24), "42%  4,200/10,000");
  assertEquals(progressLine(STATE, 8), "42%  4,…");
});

Deno.test("At the beginning and at the end there is no estimate", () => {
  assertEquals(progressLine({ ...STATE, done: 0, rate: 0 }, 40), "░░░░░░░░░░░░░░░░░░░░░░ 0%  0/10,000  0/s");
  assertEquals(progressLine({ ...STATE, done: 10_000 }, 40), "███████████ 100%  10,000/10,000  2,100/s");
});

Deno.test("As long as the number of calls is not known, there is no bar", () => {
  const { total: _, ...rest } = STATE;
  assertEquals(progressLine({ ...rest, total: undefined }, 80), "4,200 calls  2,100/s  2 s");
  assertEquals(progressLine({ ...rest, total: undefined, failed: 3 }, 24), "4,200 calls  3 failed  …");
});

Deno.test("No bar is wider than it may be", () => {
  const count = fc.integer({ min: 0, max: 10_000_000 });
  fc.assert(
    fc.property(
      fc.record({
        done: count,
        failed: count,
        total: fc.option(count, { nil: undefined }),
        elapsed: fc.double({ min: 0, max: 1e9, noNaN: true }),
        rate: fc.double({ min: 0, max: 1e6, noNaN: true }),
      }),
      fc.integer({ min: 1, max: 200 }),
      (state, width) => assert(widthOf(progressLine(state, width)) <= width),
    ),
    runs(5_000),
  );
});
