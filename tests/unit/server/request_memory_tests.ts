import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import { type Delivered, MAX_REMEMBERED, REMEMBER_MS, RequestMemory } from "../../../lib/server/request_memory.ts";
import type { RunningRequest } from "../../../lib/server/running_request.ts";
import type { Properties } from "../../../lib/wire/message.ts";
import { delivery } from "../../support/delivery.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { runningRequest } from "../../support/running_request.ts";

/** A channel that the test closes. */
class FakeChannel {
  closed = false;
  ack(): void {}
  nack(): void {}
}

function open(): { readonly channel: FakeChannel; readonly acks: AckBatcher } {
  const channel = new FakeChannel();
  return { channel, acks: new AckBatcher(channel) };
}

/** The acks of a channel that is closed. */
function lost(): AckBatcher {
  return new AckBatcher({ closed: true, ack: () => {}, nack: () => {} });
}

function request(acks: AckBatcher, properties: Properties, body = ""): RunningRequest {
  const delivered = delivery({ properties, body: new TextEncoder().encode(body) });
  return runningRequest(delivered, { acks });
}

/** What the memory says of a redelivery of it. */
function again(memory: RequestMemory, { meta, delivery }: Delivered): string | undefined {
  const known = memory.take(meta, delivery);
  return known?.state === "ended" ? known.settlement : known?.state;
}

/** A request of a client of this library. */
const OURS = { replyTo: "amq.gen-a", correlationId: "c", messageId: "m" };

Deno.test("RequestMemory recognizes what runs once its channel is lost, once for every loss", () => {
  const memory = new RequestMemory();
  const running = request(lost(), OURS);
  memory.channelOpened(1, []);
  assertEquals(memory.take(running.meta, running.delivery), undefined);
  for (let loss = 0; loss < 2; loss++) {
    memory.channelOpened(1, [running]);
    assertEquals(memory.take(running.meta, running.delivery), { state: "running", running });
    assertEquals(memory.take(running.meta, running.delivery), undefined);
  }
  memory.channelOpened(1, []);
  assertEquals(memory.take(running.meta, running.delivery), undefined);
});

Deno.test("RequestMemory does not take for running what has ended since the channel was opened", () => {
  const memory = new RequestMemory();
  const { acks, channel } = open();
  const running = request(acks, OURS);
  channel.closed = true;
  memory.channelOpened(1, [running]);
  running.settled = true;
  memory.ended(running, "ack");
  assertEquals([again(memory, running), again(memory, running)], ["ack", undefined]);
});

Deno.test("RequestMemory recognizes what has ended after its channel was lost", () => {
  for (const settlement of ["ack", "reject"] as const) {
    const memory = new RequestMemory();
    const { acks, channel } = open();
    const ended = request(acks, OURS);
    channel.closed = true;
    memory.ended(ended, settlement);
    assertEquals([again(memory, ended), again(memory, ended)], [settlement, undefined]);
  }
});

Deno.test("RequestMemory recognizes as many of the last acknowledged requests as the prefetch", () => {
  const memory = new RequestMemory();
  const { acks } = open();
  memory.channelOpened(2, []);
  const requests = ["1", "2", "3"].map((messageId) => request(acks, { ...OURS, messageId }));
  for (const one of requests) memory.ended(one, "ack");
  assertEquals([memory.size, ...requests.map((one) => again(memory, one))], [2, undefined, undefined, undefined]);
  memory.channelOpened(2, []);
  assertEquals(requests.map((one) => again(memory, one)), [undefined, "ack", "ack"]);
  // A request that was rejected is refused again.
  memory.ended(requests[0] as RunningRequest, "reject");
  memory.channelOpened(2, []);
  assertEquals(again(memory, requests[0] as RunningRequest), undefined);
});

Deno.test("RequestMemory starts its circle again with every channel", () => {
  const memory = new RequestMemory();
  const { acks } = open();
  const [a, b, c] = ["a", "b", "c"].map((messageId) => request(acks, { ...OURS, messageId })) as [
    RunningRequest,
    RunningRequest,
    RunningRequest,
  ];
  memory.channelOpened(3, []);
  for (const one of [a, b]) memory.ended(one, "ack");
  memory.channelOpened(2, []);
  memory.ended(c, "ack");
  memory.channelOpened(1, []);
  assertEquals([a, b, c].map((one) => again(memory, one)), ["ack", "ack", "ack"]);
  for (const one of [a, b, c]) memory.ended(one, "ack");
  assertEquals(memory.size, 1);
});

Deno.test("RequestMemory recognizes what was never started, with what was known of it", () => {
  const memory = new RequestMemory();
  const parked = request(open().acks, OURS);
  memory.unstarted(parked);
  assertEquals(memory.take(parked.meta, parked.delivery), { state: "unstarted", meta: parked.meta });
});

Deno.test("RequestMemory takes nothing but the very same message for known", () => {
  const others: readonly (readonly [Properties, string])[] = [
    [{ ...OURS, messageId: "x" }, "1"],
    [{ ...OURS, correlationId: "x" }, "1"],
    [{ ...OURS, replyTo: "x" }, "1"],
    [{ ...OURS, messageId: undefined }, "1"],
    [{ replyTo: "amq.gen-ac", messageId: "m" }, "1"],
    [{ ...OURS, replyTo: "amq.gen-", correlationId: "ac" }, "1"],
    [{ ...OURS, correlationId: "", messageId: "cm" }, "1"],
  ];
  for (const [properties, body] of others) {
    const memory = new RequestMemory();
    const { acks } = open();
    memory.channelOpened(1, []);
    memory.ended(request(acks, OURS, "1"), "ack");
    memory.channelOpened(1, [request(lost(), OURS, "1")]);
    assertEquals(again(memory, request(acks, properties, body)), undefined, JSON.stringify(properties));
  }
});

Deno.test("RequestMemory tells the requests of a client that gives them no ids apart by their bodies", () => {
  const plain = { replyTo: "amq.gen-a" };
  const long = "x".repeat(200);
  const bodies = ["", "1", "2", "12", "21", long, `${long}x`, `${long.slice(1)}y`, `y${long.slice(1)}`];
  for (const properties of [plain, { ...plain, correlationId: "1" }]) {
    for (const held of bodies) {
      const memory = new RequestMemory();
      const acks = lost();
      memory.channelOpened(1, [request(acks, properties, held)]);
      for (const other of bodies) {
        if (other !== held) {
          assertEquals(again(memory, request(acks, properties, other)), undefined, `${held} ${other}`);
        }
      }
      assertEquals(again(memory, request(acks, properties, held)), "running");
    }
  }
});

Deno.test("RequestMemory does not take a request for acknowledged whose client reuses its ids, or has none", () => {
  for (const properties of [{ replyTo: "amq.gen-a", correlationId: "1" }, { replyTo: "amq.gen-a" }]) {
    const memory = new RequestMemory();
    const { acks } = open();
    memory.channelOpened(10, []);
    for (let call = 0; call < (properties.correlationId === undefined ? 1 : 2); call++) {
      memory.ended(request(acks, properties, "30"), "ack");
    }
    memory.channelOpened(10, []);
    assertEquals(again(memory, request(acks, properties, "30")), undefined);
  }
});

Deno.test("RequestMemory recognizes the last acknowledged requests of a plain client", () => {
  const memory = new RequestMemory();
  const { acks } = open();
  const acked = request(acks, { replyTo: "amq.gen-a", correlationId: "1" }, "30");
  memory.channelOpened(2, []);
  memory.ended(acked, "ack");
  memory.channelOpened(2, []);
  assertEquals([again(memory, acked), again(memory, acked)], ["ack", undefined]);
});

Deno.test("RequestMemory forgets what ran when the channel before was lost, and does not run any more", () => {
  const memory = new RequestMemory();
  const running = request(lost(), OURS);
  memory.channelOpened(1, [running]);
  memory.channelOpened(1, []);
  assertEquals(again(memory, running), undefined);
});

Deno.test("RequestMemory knows each of several running requests with the same ids", () => {
  const memory = new RequestMemory();
  const acks = lost();
  const twins = [1, 2].map(() => request(acks, OURS));
  memory.channelOpened(2, twins);
  const seen = new Set(twins.map(({ meta, delivery }) => memory.take(meta, delivery)));
  assertEquals(seen.size, 2);
  assertEquals(again(memory, twins[0] as RunningRequest), undefined);
});

Deno.test("RequestMemory does not take for redelivered what runs on a channel that is open", () => {
  const memory = new RequestMemory();
  const [here, there] = [request(open().acks, OURS), request(lost(), OURS)];
  memory.channelOpened(2, [here, there]);
  assertEquals(memory.take(there.meta, there.delivery), { state: "running", running: there });
  assertEquals(memory.take(there.meta, there.delivery), undefined);
});

Deno.test("RequestMemory keeps no running request, with its body, that has ended or goes back to the queue", () => {
  const memory = new RequestMemory();
  const acks = lost();
  const [first, second, third] = [request(acks, OURS), request(acks, OURS), request(acks, OURS)];
  memory.channelOpened(3, [first, second, third]);
  memory.ended(first, "ack");
  memory.unstarted(second);
  // One that runs, and what is remembered of the others.
  assertEquals([memory.size, again(memory, third), memory.size], [2, "running", 1]);
});

Deno.test("RequestMemory keeps 10,000 at the most, and the younger half at the least", () => {
  using _clock = new FakeClock(0);
  const memory = new RequestMemory();
  const { acks, channel } = open();
  channel.closed = true;
  const requests = Array.from(
    { length: MAX_REMEMBERED + 1 },
    (_, n) => request(acks, { ...OURS, messageId: `${n}` }),
  );
  for (const one of requests.slice(0, -1)) memory.ended(one, "ack");
  assertEquals([MAX_REMEMBERED, memory.size], [10_000, 10_000]);
  memory.ended(requests.at(-1) as RunningRequest, "ack");
  assertEquals(memory.size, MAX_REMEMBERED / 2 + 1);
  const at = (n: number) => again(memory, requests[n] as RunningRequest);
  assertEquals([0, 4_999, 5_000, 10_000].map(at), [undefined, undefined, "ack", "ack"]);
});

Deno.test("RequestMemory keeps 10,000 at the most where all have the same ids", () => {
  const memory = new RequestMemory();
  const { acks, channel } = open();
  channel.closed = true;
  for (let n = 0; n <= MAX_REMEMBERED; n++) memory.ended(request(acks, OURS), "ack");
  let known = 0;
  while (again(memory, request(acks, OURS)) !== undefined) known++;
  assertEquals(known, MAX_REMEMBERED / 2 + 1);
});

Deno.test("RequestMemory forgets what has ended after ten to twenty minutes", () => {
  using clock = new FakeClock(0);
  const memory = new RequestMemory();
  const { acks, channel } = open();
  channel.closed = true;
  const end = (messageId: string): void => memory.ended(request(acks, { ...OURS, messageId }), "ack");
  end("a");
  clock.advance(REMEMBER_MS + 1);
  end("b");
  clock.advance(REMEMBER_MS);
  assertEquals(memory.size, 2);
  clock.advance(1);
  end("c");
  assertEquals(memory.size, 2);
  assertEquals(again(memory, request(acks, { ...OURS, messageId: "a" })), undefined);
});

/**
 * A broker with one server: requests are delivered, end, and are acknowledged; the channel is lost, and with it some of
 * the last acks. What is left is delivered again.
 */
Deno.test("RequestMemory never lets a request run that runs or has ended, whatever is lost", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant("publish" as const) },
    { weight: 4, arbitrary: fc.record({ end: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ loseAcks: fc.nat() }) },
  );
  fc.assert(fc.property(fc.integer({ min: 1, max: 5 }), fc.boolean(), fc.array(step, { maxLength: 80 }), run));

  function run(
    prefetch: number,
    plain: boolean,
    steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  ) {
    const memory = new RequestMemory();
    let { acks, channel } = open();
    memory.channelOpened(prefetch, []);
    /** Messages that wait, oldest first, and how often each has run. */
    let waiting: { readonly id: number; readonly redelivered: boolean }[] = [];
    /** What the broker has delivered on this channel and takes for unacknowledged. */
    let unacked: number[] = [];
    /** Acks on their way to the broker. */
    let inFlight: number[] = [];
    const running = new Map<number, RunningRequest>();
    const runs = new Map<number, number>();
    let last = 0;

    function deliver(): void {
      while (unacked.length < prefetch) {
        const message = waiting.shift();
        if (message === undefined) return;
        unacked.push(message.id);
        const ids = plain ? {} : { messageId: `m${message.id}` };
        const fresh = request(acks, { replyTo: "amq.gen-a", correlationId: `${message.id}`, ...ids });
        const known = message.redelivered ? memory.take(fresh.meta, fresh.delivery) : undefined;
        if (known?.state === "running") known.running.attach(1, fresh.meta, acks);
        else if (known?.state === "ended") acknowledge(message.id, fresh);
        else {
          runs.set(message.id, 1 + (runs.get(message.id) ?? 0));
          running.set(message.id, fresh);
        }
      }
    }

    function acknowledge(id: number, ended: RunningRequest): void {
      if (!ended.acks.closed) inFlight.push(id);
      memory.ended(ended, "ack");
    }

    function end(nth: number): void {
      const [id, ended] = Array.from(running)[nth % running.size] ?? [];
      if (id === undefined || ended === undefined) return;
      running.delete(id);
      acknowledge(id, ended);
      // The broker has seen some of the acks, in their order, and delivers more.
      while (inFlight.length > nth % (prefetch + 1)) settle();
    }

    function settle(): void {
      const id = inFlight.shift();
      unacked = unacked.filter((other) => other !== id);
    }

    function lose(nth: number): void {
      channel.closed = true;
      // One may end while there is no channel.
      if (nth % 3 === 0) end(nth);
      waiting = [...unacked.map((id) => ({ id, redelivered: true })), ...waiting];
      unacked = [];
      inFlight = [];
      ({ acks, channel } = open());
      memory.channelOpened(prefetch, running.values());
    }

    for (const one of steps) {
      if (one === "publish") waiting.push({ id: ++last, redelivered: false });
      else if ("end" in one) end(one.end);
      else lose(one.loseAcks);
      deliver();
    }
    while (running.size > 0 || inFlight.length > 0) {
      end(0);
      while (inFlight.length > 0) settle();
      deliver();
    }
    assertEquals(waiting, []);
    assertEquals(Array.from(runs), Array.from({ length: last }, (_, n) => [n + 1, 1]));
  }
});
