import { assertEquals, assertRejects, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { callId } from "../../../lib/client/call_ids.ts";
import type { PendingCall } from "../../../lib/client/pending_call.ts";
import { PendingCalls } from "../../../lib/client/pending_calls.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { type CallParts, pendingCall } from "../../support/pending.ts";
import { watchListeners } from "../../support/watch_listeners.ts";

/** Pending calls on a clock, and what their listener has heard. */
class Site implements Disposable {
  readonly clock = new FakeClock();
  readonly heard: (readonly [string, PendingCall])[] = [];
  readonly settlements: (readonly [PendingCall, Error | undefined])[] = [];
  readonly pending = new PendingCalls({
    expired: (call) => this.heard.push(["expired", call]),
    aborted: (call) => this.heard.push(["aborted", call]),
    left: (call) => this.heard.push(["left", call]),
    settled: (call, error) => this.settlements.push([call, error]),
  });

  add(parts: CallParts = {}): { readonly call: PendingCall; readonly settled: Promise<unknown> } {
    const call = pendingCall(this.pending.ids, parts);
    const settled = this.pending.add(call);
    settled.catch(() => {});
    return { call, settled };
  }

  [Symbol.dispose](): void {
    this.pending.close();
    this.clock[Symbol.dispose]();
  }
}

/** Whether a promise has settled, after all that was to happen has happened. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true, () => settled = true);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  return settled;
}

Deno.test("PendingCalls finds a call by its id until it ends", () => {
  using site = new Site();
  const { call } = site.add();
  const other = site.add();
  assertStrictEquals(site.pending.get(call.id), call);
  assertStrictEquals(site.pending.get(other.call.id), other.call);
  site.pending.resolve(call, 1);
  assertEquals(site.pending.get(call.id), undefined);
});

Deno.test("PendingCalls finds nothing for an id that is not the call's", () => {
  using site = new Site();
  const { call } = site.add({ queue: "a" });
  const foreign = callId(site.pending.ids.prefixOf("b"), call.number);
  for (const id of ["", "nonsense", foreign, callId(call.prefix, call.number + 1)]) {
    assertEquals(site.pending.get(id), undefined, id);
  }
});

Deno.test("PendingCalls resolves a call once, with the first value", async () => {
  using site = new Site();
  const { call, settled } = site.add();
  assertEquals(site.pending.resolve(call, "first"), true);
  assertEquals(site.pending.resolve(call, "second"), false);
  assertEquals(site.pending.reject(call, new Error("third")), false);
  assertEquals([await settled, call.over], ["first", true]);
});

Deno.test("PendingCalls rejects a call once, with the first error", async () => {
  using site = new Site();
  const { call, settled } = site.add();
  assertEquals(site.pending.reject(call, new Error("first")), true);
  assertEquals(site.pending.reject(call, new Error("second")), false);
  assertEquals(site.pending.resolve(call, 3), false);
  await assertRejects(() => settled, Error, "first");
  assertEquals(call.over, true);
});

Deno.test("PendingCalls rejects with an error whose stack shows who awaits the call", async () => {
  using site = new Site();
  const call = pendingCall(site.pending.ids);
  async function caller(): Promise<void> {
    await site.pending.add(call);
  }
  const calling = assertRejects(caller, Error);
  site.pending.reject(call, new Error("no"));
  assertStringIncludes((await calling).stack ?? "", "at async caller");
});

Deno.test("PendingCalls does not settle a call that was never added", () => {
  using site = new Site();
  const call = pendingCall(site.pending.ids);
  assertEquals([site.pending.resolve(call, 1), site.pending.reject(call, new Error("no"))], [false, false]);
  assertEquals([site.heard, call.over], [[], false]);
});

Deno.test("PendingCalls counts calls until they settle", () => {
  using site = new Site();
  assertEquals(site.pending.size, 0);
  const { call } = site.add();
  const other = site.add();
  assertEquals(site.pending.size, 2);
  site.pending.take(call);
  assertEquals(site.pending.size, 2);
  site.pending.resolve(call, 1);
  assertEquals(site.pending.size, 1);
  site.pending.reject(other.call, new Error("no"));
  assertEquals(site.pending.size, 0);
});

Deno.test("PendingCalls.values() has the calls that wait for an answer, oldest first", () => {
  using site = new Site();
  const calls = [site.add(), site.add(), site.add()].map(({ call }) => call);
  assertEquals(Array.from(site.pending.values()), calls);
  const [first, second, third] = calls;
  if (first !== undefined) site.pending.take(first);
  if (second !== undefined) site.pending.resolve(second, 1);
  assertEquals(Array.from(site.pending.values()), [third]);
});

Deno.test("PendingCalls.take() keeps answers away, and leaves the call to be settled", async () => {
  using site = new Site();
  const { call, settled } = site.add();
  site.pending.take(call);
  site.pending.take(call);
  assertEquals([site.pending.get(call.id), call.over, site.pending.size], [undefined, true, 1]);
  assertEquals(await isSettled(settled), false);
  assertEquals(site.pending.resolve(call, "late"), true);
  assertEquals([await settled, site.pending.size], ["late", 0]);
});

Deno.test("PendingCalls.take() of a call that has ended brings nothing back", () => {
  using site = new Site();
  const { call } = site.add();
  site.pending.resolve(call, 1);
  site.pending.take(call);
  assertEquals(site.pending.size, 0);
});

Deno.test("PendingCalls tells once that a call has left, whether it was answered, taken or expired", () => {
  using site = new Site();
  const [answered, taken, expired] = [site.add(), site.add(), site.add({ timeout: 10 })];
  site.pending.resolve(answered.call, 1);
  site.pending.take(taken.call);
  site.pending.reject(taken.call, new Error("no"));
  site.clock.advance(10);
  assertEquals(site.heard, [
    ["left", answered.call],
    ["left", taken.call],
    ["left", expired.call],
    ["expired", expired.call],
  ]);
});

Deno.test("PendingCalls tells at the deadline, not before, and leaves the call to be settled", async () => {
  using site = new Site();
  const { call, settled } = site.add({ timeout: 50 });
  site.clock.advance(49);
  assertEquals(site.heard, []);
  site.clock.advance(1);
  assertEquals(site.heard, [["left", call], ["expired", call]]);
  assertEquals([site.pending.get(call.id), call.over, await isSettled(settled)], [undefined, true, false]);
  assertEquals(site.pending.reject(call, new Error("too late")), true);
  await assertRejects(() => settled, Error, "too late");
});

Deno.test("PendingCalls tells of no deadline of a call that has ended", () => {
  using site = new Site();
  const { call } = site.add({ timeout: 50 });
  site.pending.resolve(call, 1);
  site.clock.advance(100);
  assertEquals(site.heard, [["left", call]]);
});

Deno.test("PendingCalls tells when the signal is aborted, and leaves the call to be settled", async () => {
  using site = new Site();
  const controller = new AbortController();
  const { call, settled } = site.add({ signal: controller.signal, timeout: 50 });
  controller.abort();
  assertEquals(site.heard, [["left", call], ["aborted", call]]);
  site.clock.advance(100);
  assertEquals(site.heard.length, 2);
  assertEquals([call.over, await isSettled(settled), site.pending.size], [true, false, 1]);
});

for (const how of ["resolve", "reject", "take"] as const) {
  Deno.test(`PendingCalls.${how}() leaves no abort listener behind`, () => {
    using site = new Site();
    const controller = new AbortController();
    const listeners = watchListeners(controller.signal);
    const { call } = site.add({ signal: controller.signal });
    assertEquals(listeners(), 1);
    if (how === "take") site.pending.take(call);
    else site.pending[how](call, new Error("no"));
    assertEquals(listeners(), 0);
    controller.abort();
    assertEquals(site.heard, [["left", call]]);
  });
}

Deno.test("PendingCalls leaves no abort listener behind when the signal is aborted", () => {
  using site = new Site();
  const controller = new AbortController();
  const listeners = watchListeners(controller.signal);
  site.add({ signal: controller.signal });
  controller.abort();
  assertEquals(listeners(), 0);
});

Deno.test("PendingCalls stops the timer of a retry when the call ends", () => {
  using site = new Site();
  const { call } = site.add();
  let retries = 0;
  call.retryTimer = setTimeout(() => retries++, 10);
  site.pending.resolve(call, 1);
  site.clock.advance(20);
  assertEquals(retries, 0);
});

Deno.test("PendingCalls.close() leaves no timer", () => {
  using site = new Site();
  const { call } = site.add();
  site.pending.resolve(call, 1);
  site.pending.close();
  assertEquals(site.clock.timers, 0);
});

Deno.test("PendingCalls.idle() resolves at once when there is no call", async () => {
  using site = new Site();
  assertEquals(await isSettled(site.pending.idle()), true);
});

Deno.test("PendingCalls.idle() waits for the last call to settle, one that was taken too", async () => {
  using site = new Site();
  const [first, second] = [site.add(), site.add()];
  const waiting = [site.pending.idle(), site.pending.idle()];
  site.pending.resolve(first.call, 1);
  site.pending.take(second.call);
  assertEquals(await Promise.all(waiting.map(isSettled)), [false, false]);
  site.pending.reject(second.call, new Error("no"));
  assertEquals(await Promise.all(waiting.map(isSettled)), [true, true]);
});

Deno.test("PendingCalls.idle() waits anew for calls that come later", async () => {
  using site = new Site();
  site.pending.resolve(site.add().call, 1);
  await site.pending.idle();
  const { call } = site.add();
  const idle = site.pending.idle();
  assertEquals(await isSettled(idle), false);
  site.pending.resolve(call, 1);
  assertEquals(await isSettled(idle), true);
});

Deno.test("PendingCalls tells once how a call was settled: in an error, or else in its result", () => {
  using site = new Site();
  const [good, bad] = [site.add(), site.add()];
  const error = new Error("no");
  site.pending.resolve(good.call, 1);
  site.pending.reject(bad.call, error);
  for (const { call } of [good, bad]) {
    site.pending.resolve(call, 2);
    site.pending.reject(call, new Error("again"));
  }
  assertEquals(site.settlements, [[good.call, undefined], [bad.call, error]]);
});
