import { assertEquals } from "@std/assert";
import { FailureReport } from "../../../lib/cli/failure_report.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const LATE = new RpcError("deadline_exceeded", "too late");
const REFUSED = new RpcError("resource_exhausted", "full", { outcome: "not_executed" });
const FULL = new RpcError("resource_exhausted", "full");

function lines(add: (report: FailureReport) => void): string[] {
  const printed: string[] = [];
  {
    using report = new FailureReport((line) => printed.push(line));
    add(report);
  }
  return printed;
}

Deno.test("Of failures that are alike the first three are printed, and in the end how many more there were", () => {
  const printed = lines((report) => {
    for (let number = 1; number <= 2_003; number++) report.add(number, number === 3 ? FULL : LATE);
  });
  assertEquals(printed, [
    "Call 1: deadline_exceeded: too late (it is unknown whether the work was done)",
    "Call 2: deadline_exceeded: too late (it is unknown whether the work was done)",
    "Call 3: resource_exhausted: full (it is unknown whether the work was done)",
    "Call 4: deadline_exceeded: too late (it is unknown whether the work was done)",
    "Calls 5 to 2003: 1,999 more deadline_exceeded (it is unknown whether the work was done)",
  ]);
});

Deno.test("Failures with the same code are told apart by their outcome, and one that is left over is printed", () => {
  const printed = lines((report) => {
    for (const number of [10, 20, 30, 40]) report.add(number, REFUSED);
    for (const number of [50, 60, 70, 80, 91]) report.add(number, FULL);
  });
  assertEquals(
    printed.slice(0, 3),
    [10, 20, 30].map((number) => {
      return `Call ${number}: resource_exhausted: full (the work was not done)`;
    }),
  );
  assertEquals(printed.slice(6), [
    "Call 40: resource_exhausted: full (the work was not done)",
    "Calls 80 to 91: 2 more resource_exhausted (it is unknown whether the work was done)",
  ]);
});

Deno.test("In a long run it is said every 10 s how many more calls have failed", () => {
  using clock = new FakeClock();
  const printed = lines((report) => {
    for (let number = 1; number <= 250; number++) {
      report.add(number, LATE);
      clock.advance(100);
    }
  });
  assertEquals(printed.slice(3).map((line) => line.slice(0, line.indexOf(" more"))), [
    "Calls 4 to 103: 100",
    "Calls 104 to 203: 100",
    "Calls 204 to 250: 47",
  ]);
});

Deno.test("Without a failure nothing is printed", () => {
  assertEquals(lines(() => {}), []);
});
