import { assertEquals, assertLess, assertMatch, assertThrows } from "@std/assert";
import { checkListener, emitTo, EventListeners } from "../../../lib/events/event_listener.ts";
import type { Interceptor, Next } from "../../../lib/contract/interceptor.ts";
import { consoleErrors } from "../../support/console_errors.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const FAILURE = new Error("no");

Deno.test("emitTo() passes the event on", () => {
  const heard: unknown[] = [];
  emitTo((event) => heard.push(event), { type: "connected" });
  assertEquals(heard, [{ type: "connected" }]);
});

Deno.test("emitTo() logs what a listener throws, and goes on", () => {
  using log = consoleErrors();
  emitTo(() => {
    throw FAILURE;
  }, 1);
  assertEquals(log.calls.length, 1);
  assertMatch(log.lines[0] ?? "", /^\S+Z ERROR The onEvent listener threw: Error: no\n {4}at file:/);
});

Deno.test("emitTo() logs what an asynchronous listener rejects with", async () => {
  using log = consoleErrors();
  emitTo(() => Promise.reject(FAILURE), 1);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assertEquals(log.calls.length, 1);
  assertMatch(log.lines[0] ?? "", /^\S+Z ERROR The onEvent listener rejected: Error: no\n {4}at file:/);
});

Deno.test("emitTo() logs nothing of a listener that gives anything else", async () => {
  using log = consoleErrors();
  for (const value of [undefined, null, 5, "text", {}, Promise.resolve(1)]) emitTo(() => value, 1);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assertEquals(log.calls, []);
});

Deno.test("emitTo() logs a listener that always throws some times, and then how often it did not", () => {
  using clock = new FakeClock(performance.now() + 1_000_000);
  using log = consoleErrors();
  for (let n = 0; n < 5_000; n++) {
    emitTo(() => {
      throw new Error("always");
    }, 1);
  }
  assertEquals(log.lines.length, 5);
  for (let n = 0; n < 5_000; n++) {
    emitTo(() => {
      throw new Error(`another one: ${n}`);
    }, 1);
  }
  assertLess(log.lines.length, 51);
  clock.advance(10_000);
  emitTo(() => {
    throw new Error("late");
  }, 1);
  assertMatch(log.lines.join("\n"), / Left out \d+ more like this: The onEvent listener threw:\n/);
});

Deno.test("checkListener() takes functions alone", () => {
  checkListener(() => {});
  for (const value of [undefined, null, {}, "log"]) {
    assertThrows(() => checkListener(value), TypeError, "Cannot connect: 'onEvent' must be a function of the event");
  }
});

function listening(heard: unknown[], enabled?: () => boolean): Interceptor {
  const onEvent = (event: unknown): void => void heard.push(event);
  return Object.assign((next: Next) => next, enabled === undefined ? { onEvent } : { onEvent, enabled });
}

Deno.test("EventListeners emits to the option onEvent, else to the log, and to interceptors", () => {
  const event = { type: "connected" };
  const option: unknown[] = [];
  const log: unknown[] = [];
  const interceptor: unknown[] = [];
  const interceptors = [(next: Next) => next, listening(interceptor)];
  new EventListeners((event) => option.push(event), (event) => log.push(event), interceptors).emit(event);
  assertEquals([option, log, interceptor], [[event], [], [event]]);
  new EventListeners(undefined, (event) => log.push(event), interceptors).emit(event);
  assertEquals([option, log, interceptor], [[event], [event], [event, event]]);
});

Deno.test("EventListeners emits to all, whatever one of them throws", () => {
  using log = consoleErrors();
  const heard: unknown[] = [];
  function fail(): never {
    throw FAILURE;
  }
  const failing = Object.assign((next: Next) => next, { onEvent: fail });
  new EventListeners(fail, () => {}, [failing, listening(heard)]).emit({ type: "connected" });
  assertEquals(heard.length, 1);
  assertEquals(log.calls.length, 2);
});

Deno.test("Events of single calls are wanted by the option, and by interceptors that are enabled", () => {
  function wanted(onEvent: (() => void) | undefined, ...interceptors: Interceptor[]): boolean {
    return new EventListeners(onEvent, () => {}, interceptors).wantCalls;
  }
  assertEquals(wanted(undefined), false);
  assertEquals(wanted(() => {}), true);
  assertEquals(wanted(undefined, (next) => next), false);
  assertEquals(wanted(undefined, listening([])), true);
  assertEquals(wanted(undefined, listening([], () => false)), false);
  assertEquals(wanted(undefined, listening([], () => true)), true);
});
