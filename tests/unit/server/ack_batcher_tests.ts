import { assert, assertEquals } from "@std/assert";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { Random } from "../../support/random.ts";

/** Notes what is written to a channel: `ack 3`, `ack ..3` for all up to 3, `requeue 3`, `reject 3`. */
class FakeChannel {
  readonly written: string[] = [];
  closed = false;

  ack(tag: number, multiple: boolean): void {
    this.written.push(`ack ${multiple ? ".." : ""}${tag}`);
  }

  nack(tag: number, requeue: boolean): void {
    this.written.push(`${requeue ? "requeue" : "reject"} ${tag}`);
  }
}

/** A batcher to which so many deliveries have come. */
function deliver(count: number): { readonly acks: AckBatcher; readonly channel: FakeChannel } {
  const channel = new FakeChannel();
  const acks = new AckBatcher(channel);
  for (let tag = 1; tag <= count; tag++) acks.delivered(tag);
  return { acks, channel };
}

async function isSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true);
  await Promise.resolve();
  await Promise.resolve();
  return settled;
}

Deno.test("AckBatcher acknowledges at the end of the turn, with one frame for what ended in order", async () => {
  const { acks, channel } = deliver(4);
  for (const tag of [1, 2, 3]) acks.ack(tag);
  assertEquals(channel.written, []);
  await Promise.resolve();
  assertEquals(channel.written, ["ack ..3"]);
});

Deno.test("AckBatcher has one frame for what ended out of order within a turn", async () => {
  const { acks, channel } = deliver(4);
  for (const tag of [3, 1, 2]) acks.ack(tag);
  await Promise.resolve();
  assertEquals(channel.written, ["ack ..3"]);
});

Deno.test("AckBatcher acknowledges all deliveries with one frame when none is open", async () => {
  const { acks, channel } = deliver(3);
  for (const tag of [2, 3, 1]) acks.ack(tag);
  await Promise.resolve();
  assertEquals(channel.written, ["ack ..3"]);
});

Deno.test("AckBatcher acknowledges alone what ended behind an open delivery", async () => {
  const { acks, channel } = deliver(5);
  for (const tag of [1, 3, 5]) acks.ack(tag);
  await Promise.resolve();
  assertEquals(channel.written, ["ack 3", "ack 5", "ack ..1"]);
});

Deno.test("AckBatcher goes on from turn to turn", async () => {
  const { acks, channel } = deliver(4);
  acks.ack(2);
  await Promise.resolve();
  acks.ack(1);
  await Promise.resolve();
  acks.ack(4);
  acks.ack(3);
  await Promise.resolve();
  assertEquals(channel.written, ["ack 2", "ack ..1", "ack ..4"]);
});

Deno.test("AckBatcher rejects at once, and takes what is rejected for ended", async () => {
  const { acks, channel } = deliver(3);
  acks.reject(1, false);
  acks.reject(3, true);
  acks.ack(2);
  assertEquals(channel.written, ["reject 1", "requeue 3"]);
  await Promise.resolve();
  assertEquals(channel.written, ["reject 1", "requeue 3", "ack ..2"]);
});

Deno.test("AckBatcher.flush() acknowledges at once, and the end of the turn nothing more", async () => {
  const { acks, channel } = deliver(1);
  acks.flush();
  assertEquals(channel.written, []);
  acks.ack(1);
  acks.flush();
  await Promise.resolve();
  assertEquals(channel.written, ["ack ..1"]);
});

Deno.test("AckBatcher.hold() ends when it is released, and then again waits for as many deliveries as it says", async () => {
  const { acks } = deliver(1);
  const held = acks.hold(2);
  assertEquals(await isSettled(held), false);
  acks.release();
  assertEquals(await isSettled(held), true);
  acks.release();
  const again = acks.hold(2);
  assertEquals(await isSettled(again), false);
  acks.delivered(2);
  assertEquals(await isSettled(again), true);
});

Deno.test("AckBatcher keeps acks back while it is held, and sends them together when it is released", async () => {
  const { acks, channel } = deliver(4);
  acks.hold(10);
  for (const tag of [2, 1, 3]) {
    acks.ack(tag);
    await Promise.resolve();
  }
  acks.flush();
  assertEquals(channel.written, []);
  acks.release();
  assertEquals(channel.written, ["ack ..3"]);
  acks.ack(4);
  await Promise.resolve();
  assertEquals(channel.written, ["ack ..3", "ack ..4"]);
});

Deno.test("AckBatcher.ackNow() acknowledges one delivery at once, though acks are held", async () => {
  const { acks, channel } = deliver(3);
  acks.hold(10);
  acks.ack(1);
  acks.ackNow(2);
  assertEquals(channel.written, ["ack 2"]);
  acks.release();
  assertEquals(channel.written, ["ack 2", "ack ..1"]);
  acks.ack(3);
  await Promise.resolve();
  assertEquals(channel.written, ["ack 2", "ack ..1", "ack ..3"]);
});

Deno.test("AckBatcher.ackNow() settles a delivery, and keeps no later one from being covered", async () => {
  const { acks, channel } = deliver(3);
  acks.ackNow(1);
  assertEquals(await isSettled(acks.hold(3)), false);
  acks.delivered(4);
  assertEquals(await isSettled(acks.hold(3)), true);
  acks.ack(2);
  acks.ack(3);
  acks.release();
  assertEquals(channel.written, ["ack 1", "ack ..3"]);
});

Deno.test("AckBatcher rejects though it is held", () => {
  const { acks, channel } = deliver(1);
  acks.hold(10);
  acks.reject(1, true);
  assertEquals(channel.written, ["requeue 1"]);
});

Deno.test("AckBatcher.hold() resolves at once when as many deliveries are unsettled as may be", async () => {
  assertEquals(await isSettled(deliver(2).acks.hold(2)), true);
  assertEquals(await isSettled(deliver(3).acks.hold(2)), true);
  assertEquals(await isSettled(deliver(1).acks.hold(2)), false);
});

Deno.test("AckBatcher.hold() resolves at once on a closed channel", async () => {
  const { acks, channel } = deliver(0);
  channel.closed = true;
  assertEquals(await isSettled(acks.hold(2)), true);
});

Deno.test("AckBatcher.hold() resolves with the delivery that is the last that may come", async () => {
  const { acks } = deliver(1);
  const held = acks.hold(3);
  acks.delivered(2);
  assertEquals(await isSettled(held), false);
  acks.delivered(3);
  assertEquals(await isSettled(held), true);
});

Deno.test("AckBatcher counts as unsettled what has ended and is kept back", async () => {
  const { acks } = deliver(2);
  const held = acks.hold(3);
  acks.ack(1);
  await Promise.resolve();
  acks.delivered(3);
  assertEquals(await isSettled(held), true);
});

Deno.test("AckBatcher counts what is acknowledged or rejected as settled", async () => {
  const { acks } = deliver(5);
  acks.ack(1);
  acks.ack(2);
  acks.flush();
  acks.reject(3, false);
  const held = acks.hold(3);
  assertEquals(await isSettled(held), false);
  acks.delivered(6);
  assertEquals(await isSettled(held), true);
});

/** What RabbitMQ knows of a channel; it closes one on which a tag is settled that is not open. */
class Model {
  readonly unsettled = new Set<number>();
  readonly ended = new Set<number>();

  settle(tag: number, multiple: boolean): void {
    assert(this.unsettled.has(tag), `${tag} is not open`);
    for (const open of Array.from(this.unsettled)) {
      if (open !== tag && !(multiple && open < tag)) continue;
      assert(this.ended.has(open), `${open} is settled and has not ended`);
      this.unsettled.delete(open);
    }
  }
}

Deno.test("AckBatcher settles each delivery once, whatever ends when", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const random = new Random(seed);
  try {
    for (let round = 0; round < 100; round++) {
      const model = new Model();
      const acks = new AckBatcher({
        closed: false,
        ack: (tag, multiple) => model.settle(tag, multiple),
        nack: (tag) => model.settle(tag, false),
      });
      const running: number[] = [];
      for (let step = 0, tag = 0; step < 100; step++) {
        if (random.chance(45)) {
          model.unsettled.add(++tag);
          running.push(tag);
          acks.delivered(tag);
        } else if (running.length > 0) {
          const [ended = 0] = running.splice(random.integer(0, running.length - 1), 1);
          model.ended.add(ended);
          if (random.chance(80)) acks.ack(ended);
          else acks.reject(ended, random.chance(50));
        }
        if (random.chance(5)) acks.hold(10);
        if (random.chance(10)) acks.release();
        if (random.chance(30)) await Promise.resolve();
      }
      acks.release();
      assertEquals([...model.unsettled], running.sort((a, b) => a - b));
    }
  } catch (error) {
    throw new Error(`SEED=${seed}`, { cause: error });
  }
});

Deno.test("AckBatcher acknowledges nothing together with others once its consumer has ended", async () => {
  const { acks, channel } = deliver(4);
  let idle = 0;
  assertEquals(acks.closed, false);
  acks.retire(() => idle++);
  assertEquals([acks.closed, acks.unsettled], [true, 4]);
  for (const tag of [2, 1]) acks.ack(tag);
  await Promise.resolve();
  assertEquals([channel.written, acks.unsettled, idle], [["ack 2", "ack 1"], 2, 0]);
  acks.drop(3);
  acks.drop(3);
  assertEquals([acks.unsettled, idle], [1, 0]);
  acks.reject(4, false);
  assertEquals([channel.written.slice(2), acks.unsettled, idle], [["reject 4"], 0, 1]);
  acks.delivered(5);
  acks.ackNow(5);
  assertEquals([channel.written.slice(3), idle], [["ack 5"], 2]);
});

Deno.test("AckBatcher says at once that nothing is unsettled", () => {
  const { acks } = deliver(0);
  let idle = 0;
  acks.retire(() => idle++);
  assertEquals(idle, 1);
});

/** Moves time on, and tells whether a promise has settled by then. */
async function settlesAfter(clock: FakeClock, ms: number, promise: Promise<void>): Promise<boolean> {
  clock.advance(ms);
  // Its own steps, each a microtask.
  for (let step = 0; step < 10; step++) await Promise.resolve();
  return await isSettled(promise);
}

Deno.test("AckBatcher.holdUntilQuiet() waits for as long as requests come, and then a quarter of a second", async () => {
  using clock = new FakeClock();
  const { acks } = deliver(1);
  const quiet = acks.holdUntilQuiet(10);
  assertEquals(await settlesAfter(clock, 200, quiet), false);
  acks.delivered(2);
  assertEquals(await settlesAfter(clock, 50, quiet), false);
  assertEquals(await settlesAfter(clock, 249, quiet), false);
  assertEquals(await settlesAfter(clock, 1, quiet), true);
});

Deno.test("AckBatcher.holdUntilQuiet() also waits if each request that comes is refused at once", async () => {
  using clock = new FakeClock();
  const { acks } = deliver(1);
  const quiet = acks.holdUntilQuiet(10);
  acks.delivered(2);
  acks.ackNow(2);
  assertEquals(await settlesAfter(clock, 250, quiet), false);
  assertEquals(await settlesAfter(clock, 250, quiet), true);
});

Deno.test("AckBatcher.holdUntilQuiet() ends when the broker sends no more, or when it is released", async () => {
  using clock = new FakeClock();
  const full = deliver(1);
  const first = full.acks.holdUntilQuiet(2);
  assertEquals(await settlesAfter(clock, 0, first), false);
  full.acks.delivered(2);
  assertEquals(await settlesAfter(clock, 0, first), true);
  const { acks } = deliver(1);
  const second = acks.holdUntilQuiet(2);
  acks.release();
  assertEquals(await settlesAfter(clock, 0, second), true);
  assertEquals(clock.timers, 0);
});

Deno.test("AckBatcher.holdUntilQuiet() ends after two seconds though requests come", async () => {
  using clock = new FakeClock();
  const { acks } = deliver(1);
  const busy = acks.holdUntilQuiet(100);
  for (let tag = 2; tag <= 8; tag++) {
    acks.delivered(tag);
    assertEquals(await settlesAfter(clock, 250, busy), false);
  }
  acks.delivered(9);
  assertEquals(await settlesAfter(clock, 250, busy), true);
});
