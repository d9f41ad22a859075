import { assertEquals } from "@std/assert";
import { LogThrottle } from "../../../lib/events/log_throttle.ts";
import { FakeClock } from "../../support/fake_clock.ts";

/** A throttle, and what it said was left out. */
function throttle(): { readonly throttle: LogThrottle<string>; readonly leftOut: string[] } {
  const leftOut: string[] = [];
  return { throttle: new LogThrottle((line, count) => leftOut.push(`${line} ${count}`)), leftOut };
}

/** How many of so many lines are let through. */
function admitted(throttle: LogThrottle<string>, kind: string, lines: number): number {
  return Array.from({ length: lines }, (_, n) => throttle.admits(kind, `${kind}${n}`)).filter(Boolean).length;
}

Deno.test("LogThrottle lets 5 lines of a kind through in 10 s, then says how many were left out", () => {
  using clock = new FakeClock();
  const { throttle: lines, leftOut } = throttle();
  assertEquals([admitted(lines, "a", 7), admitted(lines, "b", 3)], [5, 3]);
  clock.advance(9_999);
  assertEquals([admitted(lines, "a", 1), leftOut], [0, []]);
  clock.advance(1);
  assertEquals([admitted(lines, "a", 6), leftOut], [5, ["a0 3"]]);
  clock.advance(1_000);
  // Nothing was left out of the other kind, and nothing is said of it.
  assertEquals([admitted(lines, "a", 1), leftOut], [0, ["a0 3"]]);
});

Deno.test("LogThrottle says what was left out of one kind when a line of another comes, up to a second later", () => {
  using clock = new FakeClock(0);
  const { throttle: lines, leftOut } = throttle();
  admitted(lines, "a", 6);
  clock.advance(9_500);
  // Looks for kinds that are over, and will look again in a second.
  admitted(lines, "b", 1);
  clock.advance(999);
  admitted(lines, "b", 1);
  assertEquals(leftOut, []);
  clock.advance(1);
  admitted(lines, "b", 1);
  assertEquals(leftOut, ["a0 1"]);
});

Deno.test("LogThrottle has other limits for a kind that says so", () => {
  using clock = new FakeClock();
  const { throttle: lines } = throttle();
  const allowance = { lines: 1, interval: 100 };
  assertEquals([1, 2].map(() => lines.admits("a", "", allowance)), [true, false]);
  clock.advance(100);
  assertEquals(lines.admits("a", "", allowance), true);
});

Deno.test("LogThrottle forgets the oldest of more than 1,000 kinds, and says what was left out of it", () => {
  using _clock = new FakeClock();
  const { throttle: lines, leftOut } = throttle();
  admitted(lines, "oldest", 8);
  for (let kind = 1; kind < 1_000; kind++) admitted(lines, `kind${kind}.`, 1);
  assertEquals(leftOut, []);
  admitted(lines, "newest", 1);
  assertEquals(leftOut, ["oldest0 3"]);
  assertEquals(admitted(lines, "oldest", 5), 5);
});
