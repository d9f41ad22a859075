import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { formatCount, formatDuration, formatRate, plural } from "../../../lib/cli/units.ts";
import { runs } from "../../support/runs.ts";

for (
  const [ms, text] of [
    [0, "0 us"],
    [0.0123, "12 us"],
    [0.9994, "999 us"],
    [0.9996, "1 ms"],
    [1.254, "1.25 ms"],
    [12.34, "12.3 ms"],
    [999.4, "999 ms"],
    [999.6, "1 s"],
    [12_340, "12.3 s"],
    [59_949, "59.9 s"],
    [59_960, "1 min"],
    [61_000, "1 min 1 s"],
    [3_599_600, "1 h"],
    [3_660_000, "1 h 1 min"],
    [86_400_000, "1 d"],
    [100 * 86_400_000 + 5 * 3_600_000, "100 d 5 h"],
  ] as const
) {
  Deno.test(`formatDuration(${ms}) is ${text}`, () => assertEquals(formatDuration(ms), text));
}

Deno.test("formatDuration() has at most two parts, each within its unit", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e11, noNaN: true }), (ms) => {
      const text = formatDuration(ms);
      assertMatch(text, /^(?:[\d.]{1,5} (?:us|ms|s)|[1-5]?\d min(?: [1-5]?\d s)?|\d+ (?:h|d)(?: \d\d? (?:min|h))?)$/);
    }),
    runs(5_000),
  );
});

Deno.test("Counts, rates and plurals", () => {
  assertEquals([0, 999, 1_000, 1_234_567].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
  assertEquals([0, 0.25, 12.34, 99.94, 99.96, 2_310.4].map((rate) => formatRate(rate)), [
    "0/s",
    "0.25/s",
    "12.3/s",
    "99.9/s",
    "100/s",
    "2,310/s",
  ]);
  assertEquals(formatRate(12, "calls"), "12 calls/s");
  assertEquals([0, 1, 2_000].map((count) => plural(count, "call")), ["0 calls", "1 call", "2,000 calls"]);
});
