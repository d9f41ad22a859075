import { assertEquals } from "@std/assert";
import { CallIds } from "../../../lib/client/call_ids.ts";
import { CalledQueues } from "../../../lib/client/called_queues.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { pendingCall } from "../../support/pending.ts";

const ids = new CallIds();
const call = (queue: string, idempotent?: boolean) =>
  pendingCall(ids, { queue, ...(idempotent === undefined ? {} : { idempotent }) });

Deno.test("A call that is returned from a queue that has never answered lost nothing", () => {
  const queues = new CalledQueues();
  const first = call("a", true);
  queues.written(first);
  assertEquals(queues.returned(first), undefined);
});

Deno.test("A call that is returned from a queue that has answered gives the idempotent calls in flight, once", () => {
  const queues = new CalledQueues();
  const calls = [call("a", true), call("a", true), call("a", true)] as const;
  for (const one of [...calls, call("a", false), call("a"), call("b", true)]) queues.written(one);
  queues.landed(calls[1]);
  queues.answered("a");
  assertEquals(queues.returned(calls[0]), [calls[0], calls[2]]);
  assertEquals(queues.returned(calls[0]), []);
});

for (const idempotent of [false, undefined]) {
  Deno.test(`A returned call with idempotent: ${idempotent} is not sent again`, () => {
    const queues = new CalledQueues();
    queues.answered("a");
    assertEquals(queues.returned(call("a", idempotent)), undefined);
  });
}

Deno.test("A queue counts as deleted just now for two seconds, from the first call that is returned", () => {
  using clock = new FakeClock();
  const queues = new CalledQueues();
  queues.answered("a");
  clock.advance(60_000);
  assertEquals(queues.returned(call("a", true)), []);
  clock.advance(2_000);
  assertEquals(queues.returned(call("a", true)), []);
  clock.advance(1);
  assertEquals(queues.returned(call("a", true)), undefined);
});

Deno.test("A queue that answers again is not missing any more", () => {
  using clock = new FakeClock();
  const queues = new CalledQueues();
  queues.answered("a");
  queues.returned(call("a", true));
  clock.advance(1_500);
  queues.answered("a");
  clock.advance(1_500);
  assertEquals(queues.returned(call("a", true)), []);
});

Deno.test("A call that lands on an unknown queue is ignored", () => {
  const queues = new CalledQueues();
  queues.landed(call("a", true));
  assertEquals(queues.returned(call("a", true)), undefined);
});

/** Whether a queue is still known to have answered. */
function known(queues: CalledQueues, queue: string): boolean {
  return queues.returned(call(queue, true)) !== undefined;
}

Deno.test("A thousand queues are remembered, and then the oldest without calls in flight is forgotten", () => {
  const queues = new CalledQueues();
  for (let n = 0; n < 3; n++) queues.written(call(`${n}`, true));
  for (let n = 0; n < 1_000; n++) queues.answered(`${n}`);
  assertEquals([0, 3, 999].map((n) => known(queues, `${n}`)), [true, true, true]);
  const fresh = new CalledQueues();
  for (let n = 0; n < 3; n++) fresh.written(call(`${n}`, true));
  for (let n = 0; n < 1_001; n++) fresh.answered(`${n}`);
  assertEquals([0, 2, 3, 4, 1_000].map((n) => known(fresh, `${n}`)), [true, true, false, true, true]);
});

Deno.test("Eight queues are looked at to forget one, and no ninth", () => {
  for (const busy of [7, 8]) {
    const queues = new CalledQueues();
    for (let n = 0; n < busy; n++) queues.written(call(`${n}`, true));
    for (let n = 0; n < 1_001; n++) queues.answered(`${n}`);
    assertEquals(known(queues, `${busy}`), busy === 8, `${busy} queues have calls in flight`);
  }
});

Deno.test("Queues with calls in flight for long do not keep all others remembered", () => {
  const queues = new CalledQueues();
  for (let n = 0; n < 20; n++) queues.written(call(`busy ${n}`, true));
  queues.answered("idle");
  for (let n = 0; n < 2_000; n++) queues.answered(`${n}`);
  assertEquals(queues.returned(call("idle", true)), undefined);
  // The busy ones stay.
  queues.answered("busy 0");
  assertEquals(queues.returned(call("busy 0", true))?.length, 1);
});
