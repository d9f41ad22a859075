import { assertEquals } from "@std/assert";
import { StallDetector } from "../../../lib/server/stall_detector.ts";
import { FakeClock } from "../../support/fake_clock.ts";

function nobody(): void {}

/** A detector that has been watching for a second. */
function watching():
  & { readonly clock: FakeClock; readonly detector: StallDetector<string>; readonly blocked: string[] }
  & Disposable {
  const clock = new FakeClock(10_000);
  const blocked: string[] = [];
  const detector = new StallDetector<string>((duration, suspect) => blocked.push(`${suspect} ${duration}`));
  detector.start();
  clock.advance(1_000);
  return {
    clock,
    detector,
    blocked,
    [Symbol.dispose]() {
      detector.stop();
      clock[Symbol.dispose]();
    },
  };
}

Deno.test("StallDetector says now where nothing was held up", () => {
  using site = watching();
  assertEquals(site.detector.arrivedAfter(), 11_000);
  site.clock.advance(50);
  assertEquals(site.detector.arrivedAfter(), 11_050);
});

Deno.test("StallDetector says when the stall began, to what is read before its timer runs", () => {
  using site = watching();
  site.clock.stall(500);
  assertEquals(site.detector.arrivedAfter(), 11_000);
});

Deno.test("StallDetector says when the stall began, to what is read after its timer has run", () => {
  using site = watching();
  site.clock.stall(500);
  site.clock.advance(0);
  assertEquals(site.detector.arrivedAfter(), 11_000);
});

Deno.test("StallDetector takes what is read within 100 ms after a stall for what came during it", () => {
  using site = watching();
  site.clock.stall(500);
  site.clock.advance(99);
  assertEquals(site.detector.arrivedAfter(), 11_000);
  site.clock.advance(1);
  assertEquals(site.detector.arrivedAfter(), 11_600);
});

Deno.test("StallDetector takes a timer that is 200 ms late for no stall, and one that is later for one", () => {
  for (const [late, wanted] of [[200, 11_200], [201, 11_000]] as const) {
    using site = watching();
    site.clock.stall(late);
    assertEquals(site.detector.arrivedAfter(), wanted);
    site.clock.advance(0);
    assertEquals(site.detector.arrivedAfter(), wanted);
  }
});

Deno.test("StallDetector notices a stall by its timer alone, and tells of it once it has ended", () => {
  using site = watching();
  site.clock.stall(300);
  site.clock.advance(50);
  assertEquals(site.detector.arrivedAfter(), 11_000);
});

Deno.test("StallDetector tells of the last of two stalls", () => {
  using site = watching();
  site.clock.stall(500);
  site.clock.advance(1_000);
  site.clock.stall(300);
  assertEquals(site.detector.arrivedAfter(), 12_500);
});

Deno.test("StallDetector starts with the time at which it is started", () => {
  using _clock = new FakeClock(10_000);
  const detector = new StallDetector(nobody);
  detector.start();
  assertEquals(detector.arrivedAfter(), 10_000);
  detector.stop();
});

Deno.test("StallDetector has one timer, every 100 ms, that keeps no process alive", () => {
  using clock = new FakeClock();
  const detector = new StallDetector(nobody);
  detector.start();
  detector.start();
  assertEquals([clock.delays, clock.timers, clock.refs], [[100], 1, 0]);
  detector.stop();
  detector.stop();
  assertEquals(clock.timers, 0);
});

Deno.test("StallDetector may be started again, and does not take the pause for a stall", () => {
  using clock = new FakeClock(10_000);
  const detector = new StallDetector(nobody);
  detector.start();
  detector.stop();
  clock.advance(5_000);
  detector.start();
  assertEquals([clock.timers, detector.arrivedAfter()], [1, 15_000]);
  detector.stop();
});

Deno.test("StallDetector that is asked between two runs of its timer still measures from the first", () => {
  using site = watching();
  site.clock.stall(50);
  site.detector.arrivedAfter();
  site.clock.stall(180);
  assertEquals(site.detector.arrivedAfter(), 11_000);
});

Deno.test("StallDetector that is asked when its timer is 200 ms late still measures from the last run", () => {
  using site = watching();
  site.clock.stall(200);
  site.detector.arrivedAfter();
  site.clock.stall(150);
  assertEquals(site.detector.arrivedAfter(), 11_000);
});

Deno.test("StallDetector that was never started takes a process of more than 200 ms for one that stood still", () => {
  for (const [now, wanted] of [[200, 200], [201, 0]] as const) {
    using _clock = new FakeClock(now);
    assertEquals(new StallDetector(nobody).arrivedAfter(), wanted);
  }
});

Deno.test("StallDetector names whose handler returned after the loop stood still for 500 ms", () => {
  for (const [ms, wanted] of [[499, ""], [500, "find 500"], [2_000, "find 2000"]] as const) {
    using site = watching();
    site.clock.advance(30);
    site.detector.seen(site.clock.now);
    site.clock.stall(ms);
    site.detector.seen(site.clock.now, "find");
    site.clock.advance(0);
    assertEquals(site.blocked.join(), wanted);
  }
});

Deno.test("StallDetector names nobody if it is its timer that comes late, or another handler that starts", () => {
  using site = watching();
  site.clock.stall(500);
  site.clock.advance(0);
  assertEquals(site.blocked, ["undefined 500"]);
  site.clock.stall(600);
  site.detector.seen(site.clock.now);
  site.detector.seen(site.clock.now, "find");
  site.clock.advance(0);
  assertEquals(site.blocked, ["undefined 500", "undefined 600"]);
});

Deno.test("StallDetector does not take many short handlers in one turn for a long one", () => {
  using site = watching();
  for (let n = 0; n < 10; n++) {
    site.clock.stall(100);
    site.detector.seen(site.clock.now, "find");
  }
  assertEquals(site.blocked, []);
});

Deno.test("StallDetector tells of nothing before it is started and after it is stopped", () => {
  using clock = new FakeClock(10_000);
  const blocked: number[] = [];
  const detector = new StallDetector((duration) => blocked.push(duration));
  detector.seen(clock.now);
  detector.start();
  detector.stop();
  clock.stall(5_000);
  detector.seen(clock.now);
  detector.start();
  clock.stall(400);
  detector.seen(clock.now);
  detector.stop();
  assertEquals(blocked, []);
});
