import { assertEquals, assertThrows } from "@std/assert";
import { checkListener, emitTo } from "../../../lib/events/event_listener.ts";
import { consoleErrors } from "../../support/console_errors.ts";

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
  assertEquals(log.calls, [["The onEvent listener threw:", FAILURE]]);
});

Deno.test("emitTo() logs what an asynchronous listener rejects with", async () => {
  using log = consoleErrors();
  emitTo(() => Promise.reject(FAILURE), 1);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assertEquals(log.calls, [["The onEvent listener rejected:", FAILURE]]);
});

Deno.test("emitTo() logs nothing of a listener that gives anything else", async () => {
  using log = consoleErrors();
  for (const value of [undefined, null, 5, "text", {}, Promise.resolve(1)]) emitTo(() => value, 1);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assertEquals(log.calls, []);
});

Deno.test("checkListener() takes functions alone", () => {
  checkListener(() => {});
  for (const value of [undefined, null, {}, "log"]) {
    assertThrows(() => checkListener(value), TypeError, "Cannot connect: 'onEvent' must be a function of the event");
  }
});
