import { assertEquals } from "@std/assert";
import { DeadlineTimers } from "../../../lib/contract/deadline_timers.ts";
import { FakeClock } from "../../support/fake_clock.ts";

/** As many timers are kept for durations that nothing waits for. */
const MAX_IDLE = 8;

interface Item {
  readonly name: string;
  readonly deadline: number;
}

/** Timers on a clock, and what has expired of them. */
class Site implements Disposable {
  readonly clock = new FakeClock();
  readonly expired: string[] = [];
  /** Runs when an item expires. */
  then: (item: Item) => void = () => {};
  readonly timers = new DeadlineTimers<Item>((item) => {
    this.expired.push(item.name);
    this.then(item);
  });

  add(name: string, duration: number): Item {
    const item = { name, deadline: this.clock.now + duration };
    this.timers.add(item, duration);
    return item;
  }

  /** Leaves the timers of so many durations without items, each longer than a minute. */
  makeIdle(count: number): void {
    for (let n = 1; n <= count; n++) this.timers.delete(this.add("idle", 60_000 + n), 60_000 + n);
  }

  [Symbol.dispose](): void {
    this.clock[Symbol.dispose]();
  }
}

Deno.test("DeadlineTimers expires an item at its deadline, not before, and once", () => {
  using site = new Site();
  site.add("a", 100);
  site.clock.advance(99);
  assertEquals(site.expired, []);
  site.clock.advance(1);
  assertEquals(site.expired, ["a"]);
  site.clock.advance(1_000);
  assertEquals([site.expired, site.clock.timers], [["a"], 0]);
});

Deno.test("DeadlineTimers expires an item on the millisecond without a second timer", () => {
  using site = new Site();
  site.add("a", 100);
  site.clock.advance(100);
  assertEquals(site.clock.delays, [100]);
});

Deno.test("DeadlineTimers has one timer for equal durations, and expires them in the order in which they came", () => {
  using site = new Site();
  for (const name of ["a", "b", "c"]) {
    site.add(name, 100);
    site.clock.advance(10);
  }
  assertEquals(site.clock.timers, 1);
  site.clock.advance(70);
  assertEquals(site.expired, ["a"]);
  site.clock.advance(10);
  assertEquals(site.expired, ["a", "b"]);
  site.clock.advance(10);
  assertEquals(site.expired, ["a", "b", "c"]);
  assertEquals([site.clock.delays, site.clock.timers], [[100, 10, 10], 0]);
});

Deno.test("DeadlineTimers expires different durations each at its time", () => {
  using site = new Site();
  site.add("long", 200);
  site.add("short", 50);
  assertEquals(site.clock.timers, 2);
  site.clock.advance(50);
  assertEquals(site.expired, ["short"]);
  site.clock.advance(150);
  assertEquals(site.expired, ["short", "long"]);
});

Deno.test("DeadlineTimers rounds a wait up, so that no timer runs before its item", () => {
  using site = new Site();
  site.add("a", 100);
  site.timers.add({ name: "b", deadline: site.clock.now + 100.25 }, 100);
  site.clock.advance(100);
  assertEquals([site.expired, site.clock.delays], [["a"], [100, 1]]);
  site.clock.advance(1);
  assertEquals(site.expired, ["a", "b"]);
});

Deno.test("DeadlineTimers expires at once what lasts less than nothing", () => {
  using site = new Site();
  site.add("a", -5);
  site.clock.advance(0);
  assertEquals([site.expired, site.clock.delays], [["a"], [0]]);
});

Deno.test("DeadlineTimers keeps no process alive, with items or without", () => {
  using site = new Site();
  site.add("a", 100);
  site.clock.advance(10);
  site.add("b", 100);
  site.clock.advance(95);
  site.makeIdle(1);
  assertEquals([site.clock.timers, site.clock.refs], [2, 0]);
});

Deno.test("DeadlineTimers does not expire what was deleted", () => {
  using site = new Site();
  const a = site.add("a", 100);
  site.add("b", 100);
  site.timers.delete(a, 100);
  site.clock.advance(100);
  assertEquals(site.expired, ["b"]);
});

Deno.test("DeadlineTimers ignores the deletion of what it has not", () => {
  using site = new Site();
  const a = site.add("a", 100);
  site.timers.delete(a, 50);
  site.timers.delete({ name: "a", deadline: a.deadline }, 100);
  site.clock.advance(100);
  assertEquals(site.expired, ["a"]);
});

Deno.test("DeadlineTimers keeps the timers of eight durations that nothing waits for, and no ninth", () => {
  using site = new Site();
  site.makeIdle(MAX_IDLE);
  assertEquals(site.clock.timers, MAX_IDLE);
  site.makeIdle(MAX_IDLE + 3);
  assertEquals(site.clock.timers, MAX_IDLE);
});

Deno.test("DeadlineTimers counts a duration that nothing waits for once, though its item is deleted twice", () => {
  using site = new Site();
  const a = site.add("a", 100);
  site.timers.delete(a, 100);
  site.timers.delete(a, 100);
  site.makeIdle(MAX_IDLE - 1);
  assertEquals(site.clock.timers, MAX_IDLE);
});

Deno.test("DeadlineTimers uses a kept timer again, and makes room for another one", () => {
  using site = new Site();
  const a = site.add("a", 100);
  site.timers.delete(a, 100);
  site.makeIdle(MAX_IDLE - 1);
  const { length } = site.clock.delays;
  const b = site.add("b", 100);
  assertEquals(site.clock.delays.length, length);
  const c = site.add("c", 50);
  site.timers.delete(c, 50);
  assertEquals(site.clock.timers, MAX_IDLE + 1);
  site.timers.delete(b, 100);
  assertEquals(site.clock.timers, MAX_IDLE);
});

Deno.test("DeadlineTimers waits for the rest of an item that came while its timer was kept", () => {
  using site = new Site();
  site.timers.delete(site.add("a", 100), 100);
  site.clock.advance(60);
  site.add("b", 100);
  site.clock.advance(40);
  assertEquals([site.expired, site.clock.delays], [[], [100, 60]]);
  site.clock.advance(60);
  assertEquals(site.expired, ["b"]);
});

Deno.test("DeadlineTimers forgets a kept timer once it has run, and counts it no more", () => {
  using site = new Site();
  site.timers.delete(site.add("a", 100), 100);
  site.clock.advance(100);
  assertEquals([site.clock.timers, site.expired], [0, []]);
  site.makeIdle(MAX_IDLE);
  assertEquals(site.clock.timers, MAX_IDLE);
  site.add("b", 100);
  site.clock.advance(100);
  assertEquals(site.expired, ["b"]);
});

Deno.test("DeadlineTimers counts right when the last item is deleted while another one expires", () => {
  using site = new Site();
  site.add("a", 100);
  const b = site.add("b", 100);
  site.then = () => site.timers.delete(b, 100);
  site.clock.advance(100);
  assertEquals([site.expired, site.clock.timers], [["a"], 0]);
  site.makeIdle(MAX_IDLE + 1);
  assertEquals(site.clock.timers, MAX_IDLE);
});

Deno.test("DeadlineTimers expires what is added while something of the same duration expires", () => {
  using site = new Site();
  site.add("a", 100);
  site.then = ({ name }) => {
    if (name === "a") site.add("b", 100);
  };
  site.clock.advance(100);
  assertEquals([site.expired, site.clock.timers], [["a"], 1]);
  site.clock.advance(100);
  assertEquals([site.expired, site.clock.timers], [["a", "b"], 0]);
});

Deno.test("DeadlineTimers.clear() forgets all items and leaves no timer", () => {
  using site = new Site();
  site.add("a", 100);
  site.add("b", 50);
  site.makeIdle(MAX_IDLE);
  site.timers.clear();
  assertEquals(site.clock.timers, 0);
  site.clock.advance(1_000);
  assertEquals(site.expired, []);
  site.makeIdle(MAX_IDLE + 1);
  assertEquals(site.clock.timers, MAX_IDLE);
});

Deno.test("DeadlineTimers.clear() may be called while something expires, and what is added then still expires", () => {
  using site = new Site();
  site.add("a", 100);
  site.then = ({ name }) => {
    if (name !== "a") return;
    site.timers.clear();
    site.add("b", 100);
  };
  site.clock.advance(100);
  assertEquals(site.clock.timers, 1);
  site.clock.advance(100);
  assertEquals([site.expired, site.clock.timers], [["a", "b"], 0]);
});

Deno.test("DeadlineTimers does not take a duration for free while one of its items waits", () => {
  using site = new Site();
  const a = site.add("a", 100);
  site.add("b", 100);
  site.timers.delete(a, 100);
  site.makeIdle(MAX_IDLE);
  assertEquals(site.clock.timers, MAX_IDLE + 1);
});

Deno.test("DeadlineTimers keeps its timers when what it has not is deleted", () => {
  using site = new Site();
  site.makeIdle(MAX_IDLE);
  site.timers.delete({ name: "x", deadline: 0 }, 60_001);
  assertEquals(site.clock.timers, MAX_IDLE);
});

Deno.test("DeadlineTimers starts a timer anew for a duration whose timer it did not keep", () => {
  using site = new Site();
  site.makeIdle(MAX_IDLE);
  site.timers.delete(site.add("a", 100), 100);
  site.add("b", 100);
  site.clock.advance(100);
  assertEquals(site.expired, ["b"]);
});
