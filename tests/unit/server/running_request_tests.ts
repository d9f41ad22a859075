import { Buffer } from "node:buffer";
import { assert, assertEquals, assertFalse, assertStrictEquals } from "@std/assert";
import { MAX_TIMEOUT_MS } from "../../../lib/contract/deadline.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import { HandlerContext } from "../../../lib/server/handler_context.ts";
import { deadlineError, type RunningRequest } from "../../../lib/server/running_request.ts";
import { consoleErrors } from "../../support/console_errors.ts";
import { delivery } from "../../support/delivery.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { runningRequest } from "../../support/running_request.ts";
import { entry, long } from "../../support/wire.ts";

const ACKS = new AckBatcher({ closed: false, ack: () => {}, nack: () => {} });

interface Parts {
  readonly expiration?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly propagate?: readonly string[];
  readonly redelivered?: boolean;
  /** How long the process may have been stalled before it read the request, in ms. */
  readonly stalled?: number;
  /** How long it had waited at least when it arrived, in ms. */
  readonly waited?: number;
  readonly callerAlive?: (replyTo: string) => Promise<boolean>;
}

function request(parts: Parts = {}): RunningRequest {
  const { expiration, headers = {}, propagate = [], redelivered = false, stalled = 0, waited = 0 } = parts;
  const table = Buffer.concat(Object.entries(headers).map(([name, value]) => entry(name, "S", long(value))));
  const message = delivery({
    redelivered,
    properties: { expiration, headers: table, replyTo: "replies", messageId: "some-id" },
  });
  const { callerAlive = () => Promise.resolve(true) } = parts;
  return runningRequest(message, { acks: ACKS, arrivedAfter: performance.now() - stalled, waited }, {
    propagate,
    callerAlive,
  });
}

Deno.test("RunningRequest ends when its caller stops waiting, a stall earlier at the earliest", () => {
  using _clock = new FakeClock(1_000);
  const { arrivedAt, endsAt, endsAtTheEarliest } = request({ expiration: "500", stalled: 200 });
  assertEquals([arrivedAt, endsAt, endsAtTheEarliest], [1_000, 1_500, 1_300]);
  const { executed, poisonous, acks } = request();
  assertEquals([executed, poisonous], [false, false]);
  assertStrictEquals(acks, ACKS);
  const plain = request();
  assertEquals([plain.endsAt, plain.endsAtTheEarliest, plain.deadline], [Infinity, Infinity, undefined]);
});

Deno.test("RunningRequest does not end by the time of the broker, whose clock may have been set", () => {
  using _clock = new FakeClock(1_000);
  const byClient = request({ expiration: "500", waited: 400, headers: { "rpc-sent-at": "1" } });
  assertEquals([byClient.endsAt, byClient.endsAtTheEarliest, byClient.likelyEndsAt], [1_100, 1_100, 1_100]);
  const byBroker = request({ expiration: "500", waited: 400, headers: { "timestamp_in_ms": "1" } });
  assertEquals([byBroker.endsAt, byBroker.endsAtTheEarliest, byBroker.likelyEndsAt], [1_500, 1_500, 1_100]);
  assertEquals([byClient.clocked, byBroker.clocked], [true, false]);
});

Deno.test("RunningRequest.deadline is the time of day at which the caller stops waiting", () => {
  using clock = new FakeClock();
  const running = request({ expiration: "60000" });
  assert(Math.abs((running.deadline?.getTime() ?? 0) - Date.now() - 60_000) < 1_000);
  clock.advance(20_000);
  assert(Math.abs((running.deadline?.getTime() ?? 0) - Date.now() - 40_000) < 1_000);
});

Deno.test("RunningRequest.signal is aborted at the deadline, and not before", () => {
  using clock = new FakeClock(1_000.5);
  const running = request({ expiration: "500" });
  const { signal } = running;
  assertStrictEquals(running.signal, signal);
  clock.advance(499);
  assertFalse(signal.aborted);
  clock.advance(1);
  assert(signal.aborted && signal.reason instanceof RpcError);
  assertEquals([signal.reason.code, running.whyAborted], ["deadline_exceeded", "deadline_exceeded"]);
});

Deno.test("RunningRequest.signal needs a timer only if it is read, and if there is a deadline", () => {
  using clock = new FakeClock();
  const running = request({ expiration: "500" });
  assertEquals(clock.timers, 0);
  clock.advance(200.5);
  assertFalse(running.signal.aborted);
  assertEquals(clock.delays, [300]);
  assertFalse(request().signal.aborted);
  assertEquals(clock.timers, 1);
  running.end();
  assertEquals(clock.timers, 0);
});

Deno.test("RunningRequest.signal waits no longer than a timer can, and is late where the deadline has passed", () => {
  using clock = new FakeClock();
  request({ expiration: "99999999999" }).signal;
  const late = request({ expiration: "10" });
  clock.advance(50);
  late.signal;
  assertEquals(clock.delays, [MAX_TIMEOUT_MS, 0]);
});

Deno.test("RunningRequest.abort() counts once, before or after the signal is read", () => {
  using clock = new FakeClock();
  const [first, second] = [new RpcError("canceled", "first"), new RpcError("unavailable", "second")];
  const before = request({ expiration: "500" });
  before.abort(first);
  before.abort(second);
  assertStrictEquals(before.signal.reason, first);
  const after = request({ expiration: "500" });
  const { signal } = after;
  after.abort(first);
  after.abort(second);
  assertStrictEquals(signal.reason, first);
  assertEquals([before.whyAborted, after.whyAborted, clock.timers], ["canceled", "canceled", 0]);
});

Deno.test("RunningRequest is not aborted any more when it has ended", () => {
  using clock = new FakeClock();
  const running = request({ expiration: "500" });
  const { signal } = running;
  running.end();
  running.abort(deadlineError());
  clock.advance(1_000);
  assertEquals([signal.aborted, running.whyAborted], [false, undefined]);
  const unread = request({ expiration: "500" });
  unread.end();
  assertFalse(unread.signal.aborted);
  assertEquals(clock.timers, 0);
});

Deno.test("RunningRequest.propagated has the headers that are named, if they came and can be sent on", () => {
  const headers: Readonly<Record<string, string>> = { tenant: "acme", other: "no", empty: "", town: "Bern\nZug" };
  const running = request({ headers, propagate: ["tenant", "empty", "town", "absent"] });
  assertEquals({ ...running.headers }, headers);
  assertStrictEquals(running.headers, running.headers);
  assertEquals(running.propagated, { tenant: "acme", empty: "" });
});

Deno.test("RunningRequest.replyHeaders is one object, and nothing until it is used", () => {
  const running = request();
  assertEquals(running.setReplyHeaders, undefined);
  running.replyHeaders["took"] = "1";
  running.replyHeaders["pages"] = "2";
  assertEquals(running.setReplyHeaders, { took: "1", pages: "2" });
});

Deno.test("RunningRequest tells each listener once how it was answered, although one of them throws", () => {
  using errors = consoleErrors();
  const running = request();
  running.answered("ok");
  const heard: string[] = [];
  running.onAnswer(() => {
    throw new Error("careless");
  });
  running.onAnswer((code) => heard.push(code));
  running.answered("not_found");
  running.answered("ok");
  assertEquals([heard, errors.lines.length > 0], [["not_found"], true]);
});

Deno.test("HandlerContext shows what a handler may know, and its functions need no this", async () => {
  const asked: string[] = [];
  const running = request({
    expiration: "500",
    headers: { tenant: "acme" },
    propagate: ["tenant"],
    redelivered: true,
    callerAlive: (replyTo) => {
      asked.push(replyTo);
      return Promise.resolve(false);
    },
  });
  running.method = "double";
  const context = new HandlerContext(running);
  const { signal, deadline, redelivered, deliveryCount, messageId, method, headers, propagated, replyHeaders } =
    context;
  assertStrictEquals(signal, running.signal);
  assertStrictEquals(headers, running.headers);
  assertStrictEquals(replyHeaders, running.replyHeaders);
  assert(deadline instanceof Date);
  assertEquals({ redelivered, deliveryCount, messageId, method, propagated }, {
    redelivered: true,
    deliveryCount: undefined,
    messageId: "some-id",
    method: "double",
    propagated: { tenant: "acme" },
  });
  const { callerAlive, error } = context;
  assertEquals([await callerAlive(), asked], [false, ["replies"]]);
  const { code, message, details } = error("not_found", { id: 7 });
  assertEquals([code, message, details], ["not_found", "The request was refused: not_found", { id: 7 }]);
  assertEquals(error("not_found", {}, "No user 7").message, "No user 7");
  running.end();
});

Deno.test("HandlerContext has no properties of its own that an interceptor's could replace", () => {
  assertEquals(Object.keys(new HandlerContext(request())), []);
});
