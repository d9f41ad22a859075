import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DurationHistogram } from "../../../lib/contract/duration_histogram.ts";
import { runs } from "../../support/runs.ts";

/** A percentile may be half a bucket away from the truth: a sixteenth, or half a microsecond. */
function assertClose(actual: number | undefined, wanted: number): void {
  const off = Math.abs((actual ?? NaN) - wanted);
  assert(off <= Math.max(wanted / 16, 0.000_5) + 1e-9, `got ${actual}, wanted about ${wanted}`);
}

Deno.test("A histogram without samples has no percentiles", () => {
  assertEquals(new DurationHistogram().percentile(0.5), undefined);
});

for (const ms of [0.002, 0.007, 0.008, 0.009, 0.5, 1, 7, 1_000, 2_000_000]) {
  Deno.test(`Every percentile of one sample of ${ms} ms is that sample`, () => {
    const histogram = new DurationHistogram();
    histogram.add(ms);
    for (const share of [0, 0.5, 1]) assertClose(histogram.percentile(share), ms);
  });
}

Deno.test("Durations out of the bounds, and what is none, count in the first or last bucket", () => {
  for (const [ms, wanted] of [[-5, 0.000_5], [0, 0.000_5], [NaN, 0.000_5], [Infinity, 2_147_483]] as const) {
    const histogram = new DurationHistogram();
    histogram.add(ms);
    const got = histogram.percentile(0.5) ?? NaN;
    assert(got / wanted < 1.1 && got / wanted > 0.9, `${ms}: ${got}`);
  }
});

Deno.test("Percentiles are those of the sorted samples, within half a bucket", () => {
  const duration = fc.double({ min: 0, max: 2_147_483, noNaN: true });
  const samples = fc.array(duration, { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (durations, share) => {
      const histogram = new DurationHistogram();
      for (const ms of durations) histogram.add(ms);
      const sorted = durations.toSorted((a, b) => a - b);
      const index = Math.max(0, Math.ceil(share * sorted.length) - 1);
      assertClose(histogram.percentile(share), sorted[index] as number);
    }),
    runs(2_000),
  );
});

Deno.test("With decay, newer samples soon outweigh older ones, and a pause changes nothing", () => {
  const histogram = new DurationHistogram({ decays: true });
  for (let n = 0; n < 1_000; n++) histogram.add(1, 5_000);
  assertClose(histogram.percentile(0.5), 1);
  // Ten half-lives later, 1,000 samples count as one.
  for (let n = 0; n < 10; n++) histogram.add(100, 115_000);
  assertClose(histogram.percentile(0.5), 100);
  assertClose(histogram.percentile(0), 1);
});

Deno.test("With decay, samples of one period weigh the same", () => {
  const histogram = new DurationHistogram({ decays: true });
  for (let n = 0; n < 60; n++) histogram.add(1, 1_000);
  for (let n = 0; n < 40; n++) histogram.add(100, 10_000);
  assertClose(histogram.percentile(0.5), 1);
  assertClose(histogram.percentile(0.61), 100);
});
