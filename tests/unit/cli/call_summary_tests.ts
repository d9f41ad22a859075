import { assertEquals } from "@std/assert";
import { CallSummary } from "../../../lib/cli/call_summary.ts";

Deno.test("A summary counts calls by their codes, most frequent first, and says how fast they were", () => {
  const summary = new CallSummary(1_000);
  for (let n = 0; n < 98; n++) summary.ended("ok", 2);
  summary.ended("deadline_exceeded", 5_000);
  summary.ended("deadline_exceeded", 5_000);
  assertEquals(
    summary.describe(3_000),
    "100 calls in 2 s: 98 ok, 2 deadline_exceeded; 50/s, p50 1.98 ms, p99 4.98 s",
  );
  assertEquals([summary.calls, summary.failures], [100, ["deadline_exceeded"]]);
});

Deno.test("A summary of nothing", () => {
  assertEquals(new CallSummary(0).describe(5), "0 calls");
});
