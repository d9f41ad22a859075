import { assertEquals } from "@std/assert";
import { AbortListeners } from "../../../lib/client/abort_listeners.ts";
import { CallIds } from "../../../lib/client/call_ids.ts";
import type { PendingCall } from "../../../lib/client/pending_call.ts";
import { pendingCall } from "../../support/pending.ts";
import { watchListeners } from "../../support/watch_listeners.ts";

const ids = new CallIds();

function call(signal?: AbortSignal): PendingCall {
  return pendingCall(ids, signal === undefined ? {} : { signal });
}

/** Listeners, and the calls that they have found aborted. */
function listening(): { readonly listeners: AbortListeners<PendingCall>; readonly aborted: PendingCall[] } {
  const aborted: PendingCall[] = [];
  return { listeners: new AbortListeners<PendingCall>((call) => aborted.push(call)), aborted };
}

Deno.test("AbortListeners finds each call whose signal is aborted, in the order of the calls", () => {
  const { listeners, aborted } = listening();
  const [one, other] = [new AbortController(), new AbortController()];
  const calls = [call(one.signal), call(other.signal), call(one.signal), call()];
  for (const each of calls) listeners.add(each);
  one.abort();
  assertEquals(aborted, [calls[0], calls[2]]);
  other.abort();
  assertEquals(aborted, [calls[0], calls[2], calls[1]]);
});

Deno.test("AbortListeners listens once to a signal, as long as it has a call", () => {
  const { listeners, aborted } = listening();
  const controller = new AbortController();
  const count = watchListeners(controller.signal);
  const calls = [call(controller.signal), call(controller.signal)];
  for (const each of calls) listeners.add(each);
  assertEquals(count(), 1);
  const [first, second] = calls;
  if (first !== undefined) listeners.delete(first);
  assertEquals(count(), 1);
  if (second !== undefined) listeners.delete(second);
  assertEquals(count(), 0);
  controller.abort();
  assertEquals(aborted, []);
});

Deno.test("AbortListeners listens again to a signal that it had left", () => {
  const { listeners, aborted } = listening();
  const controller = new AbortController();
  const [first, second] = [call(controller.signal), call(controller.signal)];
  listeners.add(first);
  listeners.delete(first);
  listeners.add(second);
  controller.abort();
  assertEquals(aborted, [second]);
});

Deno.test("AbortListeners lets calls be removed while it tells of an abort", () => {
  const controller = new AbortController();
  const count = watchListeners(controller.signal);
  const aborted: PendingCall[] = [];
  const listeners = new AbortListeners<PendingCall>((call) => {
    aborted.push(call);
    listeners.delete(call);
  });
  const calls = [1, 2, 3].map(() => call(controller.signal));
  for (const each of calls) listeners.add(each);
  controller.abort();
  assertEquals([aborted, count()], [calls, 0]);
});

Deno.test("AbortListeners ignores calls that it does not know, or that have no signal", () => {
  const { listeners } = listening();
  const controller = new AbortController();
  const count = watchListeners(controller.signal);
  listeners.add(call(controller.signal));
  listeners.delete(call());
  listeners.delete(call(new AbortController().signal));
  assertEquals(count(), 1);
});
