import { assert, assertEquals } from "@std/assert";
import type { Channel, ChannelListener, ConsumeOptions } from "../../../lib/connection/channel.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import type { Refusal } from "../../../lib/server/admission.ts";
import type { FormerConsumer } from "../../../lib/server/former_consumer.ts";
import { RequestIntake } from "../../../lib/server/request_intake.ts";
import type { RunningRequest } from "../../../lib/server/running_request.ts";
import { surplusPrefetch } from "../../../lib/server/surplus_consumer.ts";
import { delivery } from "../../support/delivery.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { runningRequest } from "../../support/running_request.ts";

const WHY: Refusal = { left: 1, needed: 20 };

/** A channel that notes what it is asked for. */
class FakeChannel {
  closed = false;
  readonly asked: string[] = [];
  readonly acked: number[] = [];
  listener: ChannelListener = {};
  options: ConsumeOptions | undefined;
  #onClosed: ((refusal: Error | undefined) => void)[] = [];
  listen(listener: ChannelListener): void {
    this.listener = listener;
  }
  onClosed(closed: (refusal: Error | undefined) => void): void {
    this.#onClosed.push(closed);
  }
  ack(deliveryTag: number): void {
    this.acked.push(deliveryTag);
  }
  nack(): void {}
  prefetch(count: number): Promise<void> {
    this.asked.push(`prefetch ${count}`);
    return Promise.resolve();
  }
  consume(queue: string, options?: ConsumeOptions): Promise<string> {
    this.asked.push(`consume ${queue}`);
    this.options = options;
    return Promise.resolve("tag");
  }
  cancel(consumerTag: string): Promise<void> {
    this.asked.push(`cancel ${consumerTag}`);
    return Promise.resolve();
  }
  close(refusal?: Error): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      for (const closed of this.#onClosed) closed(refusal);
    }
    return Promise.resolve();
  }
}

/** An intake, what becomes of its requests, and the channels of its second consumer. */
class Site implements Disposable {
  readonly clock = new FakeClock();
  readonly log: string[] = [];
  readonly places: string[] = [];
  readonly channels: FakeChannel[] = [];
  readonly mainChannel = new FakeChannel();
  readonly main = new AckBatcher(this.mainChannel);
  refused = false;
  pressed = true;
  longest = 20;
  lost = 0;
  /** Consumers that the broker has ended while they had requests. */
  readonly former: FormerConsumer[] = [];
  readonly intake: RequestIntake;
  readonly #names = new Map<RunningRequest, string>();
  surplus: AckBatcher | undefined;

  constructor(prefetch = 1) {
    this.intake = new RequestIntake(prefetch, {
      queue: "q",
      atMostOnce: false,
      consumeArguments: () => undefined,
      openChannel: () => {
        const channel = new FakeChannel();
        this.channels.push(channel);
        return Promise.resolve(channel as unknown as Channel);
      },
      deliver: (_, acks) => this.surplus = acks,
      retired: (former) => this.former.push(former),
      ended: (_, refusal) => this.log.push(`ended ${refusal?.message}`),
      isPressed: () => this.pressed,
      longest: () => this.longest,
      judge: (_, _now, place) => {
        this.places.push(place);
        return this.refused ? WHY : undefined;
      },
      run: (running) => this.#note("run", running),
      refuse: (running) => this.#note("refuse", running),
      drop: (running) => this.#note("drop", running),
      surplusLost: () => this.lost++,
    });
  }

  #note(what: string, running: RunningRequest): void {
    const end = running.whyAborted === undefined ? "" : ` ${running.whyAborted}`;
    this.log.push(`${what} ${this.#names.get(running)}${end}`);
  }

  /** A request arrives, by default on the first channel. */
  arrive(name: string, acks: AckBatcher | undefined = this.main): RunningRequest {
    const running = runningRequest(delivery({ properties: { expiration: "1000" } }), { acks, intake: this.intake });
    this.#names.set(running, name);
    this.intake.arrived(running);
    return running;
  }

  /** Opens the second consumer by a refusal; returns its channel. */
  async overload(): Promise<FakeChannel> {
    this.refused = true;
    this.arrive("first");
    this.refused = false;
    await settle();
    this.log.length = 0;
    return this.channels[this.channels.length - 1] as FakeChannel;
  }

  [Symbol.dispose](): void {
    this.intake.close();
    this.clock[Symbol.dispose]();
  }
}

/** Lets all promises that can settle do so. */
async function settle(): Promise<void> {
  for (let n = 0; n < 20; n++) await Promise.resolve();
}

Deno.test("RequestIntake starts every request when it arrives, as long as nothing is a sign of overload", () => {
  using site = new Site();
  site.pressed = false;
  site.arrive("a");
  site.arrive("b");
  assertEquals([site.log, site.channels.length], [["run a", "run b"], 0]);
});

Deno.test("RequestIntake has a second consumer, of a lower priority, under overload", async () => {
  using site = new Site();
  const channel = await site.overload();
  assertEquals(channel.asked, ["prefetch 15", "consume q"]);
  assertEquals(channel.options, { arguments: { "x-priority": -1 } });
});

Deno.test("RequestIntake has no second consumer beside handlers that take long", async () => {
  using site = new Site();
  site.longest = 501;
  site.refused = true;
  site.arrive("a");
  await settle();
  assertEquals([site.log, site.channels.length], [["refuse a"], 0]);
});

Deno.test("surplusPrefetch() is what the handlers can do in 300 ms, 4 to 64, or as much as the first consumer has", () => {
  assertEquals([20, 5, 1, 100, 500, 501, 0].map((duration) => surplusPrefetch(1, duration)), [15, 60, 64, 4, 4, 0, 4]);
  assertEquals([20, 0, 5_001].map((duration) => surplusPrefetch(10, duration)), [64, 4, 0]);
  assertEquals(surplusPrefetch(500, 20), 500);
});

Deno.test("RequestIntake keeps what it gets over the second consumer until a handler is free, in order", async () => {
  using site = new Site();
  await site.overload();
  const running = site.arrive("a");
  const [b, c] = ["b", "c"].map((name) => site.arrive(name));
  assertEquals(site.log, ["run a"]);
  site.intake.handled(running);
  // Not within the end of the other one.
  assertEquals(site.log, ["run a"]);
  await settle();
  assertEquals(site.log, ["run a", "run b"]);
  // It is settled later, which frees no second handler.
  site.intake.settled(running);
  await settle();
  assertEquals(site.log, ["run a", "run b"]);
  if (b !== undefined) site.intake.settled(b);
  await settle();
  assertEquals(site.log, ["run a", "run b", "run c"]);
  assert(c !== undefined);
});

Deno.test("RequestIntake refuses what has waited here for too long, and starts the next one", async () => {
  using site = new Site();
  await site.overload();
  const running = site.arrive("a");
  site.arrive("b");
  site.refused = true;
  site.arrive("c");
  assertEquals(site.log, ["run a", "refuse b", "refuse c"]);
  site.refused = false;
  site.arrive("d");
  site.intake.handled(running);
  await settle();
  assertEquals(site.log.slice(3), ["run d"]);
});

Deno.test("RequestIntake ends at once what is canceled while it waits here", async () => {
  using site = new Site();
  await site.overload();
  site.arrive("a");
  site.arrive("b").abort(new RpcError("canceled", ""));
  assertEquals(site.log, ["run a", "run b canceled"]);
});

Deno.test("RequestIntake ends the second consumer when nothing is a sign of overload any more", async () => {
  using site = new Site();
  const channel = await site.overload();
  site.pressed = false;
  site.clock.advance(250);
  await settle();
  assertEquals(channel.asked.slice(2), ["cancel tag"]);
  assert(!channel.closed);
  site.clock.advance(250);
  assert(channel.closed);
  assertEquals([site.lost, site.clock.timers], [0, 0]);
  // And has one again under the next overload.
  site.pressed = true;
  await site.overload();
  assertEquals(site.channels.length, 2);
});

Deno.test("RequestIntake keeps the channel of the second consumer until all that came over it is acknowledged", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.delivered?.(delivery({ deliveryTag: 1 }));
  site.surplus?.delivered(1);
  site.pressed = false;
  for (let n = 0; n < 3; n++) {
    site.clock.advance(250);
    await settle();
  }
  assert(!channel.closed);
  site.surplus?.ack(1);
  site.clock.advance(250);
  assertEquals([channel.acked, channel.closed], [[1], true]);
});

Deno.test("RequestIntake gives back what waits here over a channel that is lost, and keeps the others", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.delivered?.(delivery({ deliveryTag: 1 }));
  site.surplus?.delivered(1);
  site.arrive("a");
  site.arrive("b", site.surplus);
  site.arrive("c");
  await channel.close();
  assertEquals([site.log, site.lost], [["run a", "drop b"], 1]);
  site.intake.close();
  assertEquals(site.log, ["run a", "drop b", "drop c"]);
});

Deno.test("RequestIntake goes on with the second consumer when the first one gets another channel", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.delivered?.(delivery({ deliveryTag: 1 }));
  site.surplus?.delivered(1);
  const running = site.arrive("a");
  site.arrive("b", site.surplus);
  site.arrive("c");
  await site.mainChannel.close();
  site.intake.channelReplaced();
  assertEquals([site.log, channel.closed, site.lost], [["run a", "drop c"], false, 0]);
  site.intake.handled(running);
  await settle();
  assertEquals(site.log, ["run a", "drop c", "run b"]);
});

Deno.test("RequestIntake that is closed starts nothing, and gives back what waits before it closes the channel", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.delivered?.(delivery({ deliveryTag: 1 }));
  site.surplus?.delivered(1);
  site.arrive("a");
  site.arrive("b", site.surplus);
  channel.onClosed(() => site.log.push("closed"));
  site.intake.close();
  await settle();
  assertEquals(site.log, ["run a", "drop b", "closed"]);
});

Deno.test("RequestIntake opens another second consumer if work has come to take much longer", async () => {
  using site = new Site();
  const channel = await site.overload();
  site.longest = 200;
  site.clock.advance(250);
  await settle();
  assertEquals(channel.asked.slice(2), ["cancel tag"]);
  site.clock.advance(250);
  assertEquals((await site.overload()).asked, ["prefetch 4", "consume q"]);
});

Deno.test("RequestIntake that is stopped takes nothing more over the second consumer, and opens no other", async () => {
  using site = new Site();
  const channel = await site.overload();
  await site.intake.stop();
  assertEquals(channel.asked.slice(2), ["cancel tag"]);
  await channel.close();
  site.refused = true;
  site.arrive("a");
  await settle();
  assertEquals(site.channels.length, 1);
});

Deno.test("RequestIntake does without a second consumer if the broker allows none", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.consumerCanceled?.();
  await settle();
  assert(channel.closed);
  site.arrive("a");
  site.arrive("b");
  assertEquals(site.log, ["ended undefined", "run a", "run b"]);
  // It is not tried again for each refusal.
  await site.overload();
  assertEquals(site.channels.length, 1);
  site.clock.advance(10_000);
  await site.overload();
  assertEquals(site.channels.length, 2);
});

Deno.test("RequestIntake that is closed while the second consumer is opened leaves no channel behind", async () => {
  using site = new Site();
  site.refused = true;
  site.arrive("a");
  site.intake.close();
  await settle();
  assertEquals(site.channels.map(({ closed, asked }) => [closed, asked]), [[true, []]]);
});

Deno.test("RequestIntake that is stopped while the second consumer is opened does not consume", async () => {
  using site = new Site();
  site.refused = true;
  site.arrive("a");
  await site.intake.stop();
  assertEquals(site.channels.map(({ closed, asked }) => [closed, asked]), [[true, ["prefetch 15"]]]);
});

Deno.test("RequestIntake that is stopped while the second consumer begins has stopped when that is canceled", async () => {
  using site = new Site();
  site.refused = true;
  site.arrive("a");
  const [channel] = site.channels;
  assert(channel !== undefined);
  const begun = Promise.withResolvers<string>();
  channel.consume = () => begun.promise;
  await settle();
  let stopped = false;
  site.intake.stop().then(() => stopped = true);
  await settle();
  assertEquals(stopped, false);
  begun.resolve("tag");
  await settle();
  assertEquals([stopped, channel.asked], [true, ["prefetch 15", "cancel tag"]]);
});

Deno.test("RequestIntake has further consumers if a handler stays idle, because all that comes is too late", async () => {
  using site = new Site();
  await site.overload();
  for (let n = 0; n < 8; n++) {
    site.clock.advance(250);
    await settle();
  }
  assertEquals(site.channels.map(({ asked: [prefetch] }) => prefetch), [
    "prefetch 15",
    "prefetch 45",
    "prefetch 180",
    "prefetch 16",
  ]);
  site.pressed = false;
  for (let n = 0; n < 2; n++) {
    site.clock.advance(250);
    await settle();
  }
  assert(site.channels.every(({ closed }) => closed));
});

Deno.test("RequestIntake has no further consumers as long as the handlers are busy, or something waits for them", async () => {
  using site = new Site();
  await site.overload();
  const running = site.arrive("a");
  for (let n = 0; n < 4; n++) site.clock.advance(250);
  site.arrive("b");
  site.intake.handled(running);
  site.clock.advance(250);
  await settle();
  assertEquals(site.channels.length, 1);
});

Deno.test("RequestIntake lets the second consumer finish its requests if the broker has ended it", async () => {
  using site = new Site();
  const channel = await site.overload();
  for (const tag of [1, 2]) {
    channel.listener.delivered?.(delivery({ deliveryTag: tag }));
    site.surplus?.delivered(tag);
  }
  site.arrive("a", site.surplus);
  site.arrive("b", site.surplus);
  for (let n = 0; n < 2; n++) channel.listener.consumerCanceled?.();
  await settle();
  assertEquals([site.log, site.lost, channel.closed], [["run a", "ended undefined"], 1, false]);
  site.surplus?.ack(2);
  await settle();
  // The broker goes on with it, because all that it took back is acknowledged.
  channel.listener.delivered?.(delivery({ deliveryTag: 3 }));
  site.surplus?.delivered(3);
  site.surplus?.ack(1);
  await settle();
  assertEquals([channel.asked.slice(2), channel.acked, channel.closed], [["cancel tag"], [2, 1], false]);
  site.surplus?.ack(3);
  await settle();
  assertEquals([channel.closed, site.lost], [true, 1]);
});

Deno.test("RequestIntake hands out what the broker has ended, so that it can be canceled and closed later", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.delivered?.(delivery({ deliveryTag: 1 }));
  site.surplus?.delivered(1);
  channel.listener.consumerCanceled?.();
  const [former] = site.former;
  await former?.cancel();
  site.intake.close();
  assertEquals([channel.asked.slice(2), channel.closed], [["cancel tag"], false]);
  former?.close();
  assertEquals(channel.closed, true);
});

Deno.test("RequestIntake tells why the broker has closed the channel of the second consumer", async () => {
  using site = new Site();
  const channel = await site.overload();
  await channel.close(new Error("timed out"));
  assertEquals([site.log, site.lost], [["ended timed out"], 1]);
});

Deno.test("RequestIntake tells whether a handler is free, and otherwise whether a quarter of what may wait here does", async () => {
  using site = new Site();
  await site.overload();
  for (const name of ["a", "b", "c", "d", "e", "f"]) site.arrive(name);
  // The first one that waits is judged again when another one comes.
  const places = site.places.filter((_, index) => index < 3 || index % 2 === 0);
  assertEquals(places.slice(1), ["handler", "room", "room", "room", "room", "full"]);
});

Deno.test("RequestIntake neither starts nor refuses what came over a channel that is closed by now", async () => {
  using site = new Site();
  const channel = await site.overload();
  channel.listener.delivered?.(delivery({ deliveryTag: 1 }));
  site.arrive("a", site.surplus);
  site.arrive("b");
  site.mainChannel.closed = true;
  site.arrive("c");
  site.refused = true;
  site.arrive("d", site.surplus);
  assertEquals(site.log, ["run a", "drop b", "drop c", "refuse d"]);
});
