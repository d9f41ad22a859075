import { assertEquals } from "@std/assert";
import { callId, CallIds } from "../../../lib/client/call_ids.ts";
import { PendingCall } from "../../../lib/client/pending_call.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { anyProcedure } from "../../support/pending.ts";

Deno.test("PendingCall keeps what it is made of, and ends its timeout after now", () => {
  using clock = new FakeClock(5_000);
  const ids = new CallIds();
  const procedure = anyProcedure("q");
  const body = Uint8Array.of(1);
  const { signal } = new AbortController();
  const call = new PendingCall(ids, procedure, body, 250, { signal });
  assertEquals([call.procedure, call.body, call.timeout, call.signal], [procedure, body, 250, signal]);
  assertEquals(call.deadline, clock.now + 250);
});

Deno.test("PendingCall has the next number, and the id of its number and its queue", () => {
  const ids = new CallIds();
  const calls = ["a", "b", "a"].map((queue) => new PendingCall(ids, anyProcedure(queue), new Uint8Array(), 1, {}));
  assertEquals(calls.map(({ number }) => number), [1, 2, 3]);
  const wanted = [callId(ids.prefixOf("a"), 1), callId(ids.prefixOf("b"), 2), callId(ids.prefixOf("a"), 3)];
  assertEquals(calls.map(({ id }) => id), wanted);
});

Deno.test("PendingCall is neither written nor ended at first, and may be settled before anybody waits", () => {
  const call = new PendingCall(new CallIds(), anyProcedure("q"), new Uint8Array(), 1, {});
  const { attempts, inFlight, over, answered, refused, retryTimer } = call;
  assertEquals({ attempts, inFlight, over, answered, refused, retryTimer }, {
    attempts: 0,
    inFlight: false,
    over: false,
    answered: false,
    refused: false,
    retryTimer: undefined,
  });
  call.resolve(1);
});

const OUTCOMES = [[0, "not_executed", "not_executed"], [1, "unknown", "not_executed"], [
  2,
  "unknown",
  "unknown",
]] as const;

for (const [attempts, outcome, ifLastDidNotRun] of OUTCOMES) {
  Deno.test(`PendingCall after ${attempts} attempts is ${outcome}, and ${ifLastDidNotRun} if the last did not run`, () => {
    const call = new PendingCall(new CallIds(), anyProcedure("q"), new Uint8Array(), 1, {});
    call.attempts = attempts;
    assertEquals([call.outcome, call.outcomeIfLastDidNotRun], [outcome, ifLastDidNotRun]);
  });
}

Deno.test("PendingCall keeps headers, and who hears of those of the reply", () => {
  const options = { headers: [["tenant", "acme"]], onReplyHeaders: () => {} } as const;
  const call = new PendingCall(new CallIds(), anyProcedure("q"), new Uint8Array(), 1, options);
  assertEquals([call.headers, call.onReplyHeaders], [options.headers, options.onReplyHeaders]);
});
