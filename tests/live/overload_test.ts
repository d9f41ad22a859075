import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertRejects } from "@std/assert";
import { procedure, RpcClient, RpcError, RpcServer, text } from "../../lib/rpc.ts";
import { CONTROL_EXCHANGE } from "../../lib/wire/control_message.ts";
import type { Delivery } from "../../lib/wire/message.ts";
import { isErrorReply } from "../../lib/wire/reply_message.ts";
import { readSentAt, SENT_AT } from "../../lib/wire/sent_at.ts";
import { sleep } from "../support/handlers.ts";
import { live, plainCall, waitFor } from "../support/live.ts";
import { connectClient, startServer, texts, told } from "../support/pair.ts";
import { connectPeer, type Peer, toQueue } from "../support/peer.ts";

/** How long each call may take, and how long its handler does, in ms. */
const DEADLINE = 1_000;
const WORK = 20;

/** Makes calls at three times the capacity; returns the answered part of the capacity, once the queue is full. */
async function goodputAtThreefoldLoad(url: string, queue: string, loadShedding: boolean): Promise<number> {
  let working = 0;
  let finished = 0;
  await using _server = await startServer(url, texts(queue, true), async (request, { signal }) => {
    const began = performance.now();
    await sleep(WORK, signal);
    working += performance.now() - began;
    finished++;
    return request;
  }, { prefetch: 1, loadShedding });
  await using client = await RpcClient.connect(url, { drainTimeout: 0, onEvent: () => {} });
  let answered = 0;
  const timer = setInterval(() => {
    for (let n = 0; n < 3; n++) {
      client.call(texts(queue, true), "", { timeout: DEADLINE }).then(() => answered++, () => {});
    }
  }, WORK);
  await sleep(3 * DEADLINE);
  answered = working = finished = 0;
  const began = performance.now();
  await sleep(2 * DEADLINE);
  // Handlers on a busy machine take longer than they should.
  const duration = finished === 0 ? WORK : working / finished;
  const capacity = (performance.now() - began) / duration;
  clearInterval(timer);
  return answered / capacity;
}

live("At three times the capacity, most of the capacity is answered in time", async ({ url, queue }) => {
  assertGreater(await goodputAtThreefoldLoad(url, queue, true), 0.6);
});

live("At three times the capacity, almost nothing is answered in time with loadShedding: false", async ({
  url,
  queue,
}) => {
  assertLess(await goodputAtThreefoldLoad(url, queue, false), 0.4);
});

/** A peer whose requests say when they were sent, on a clock that is hours ahead, and which tells servers that clock. */
class ClockPeer implements AsyncDisposable {
  readonly peer: Peer;
  readonly queue: string;
  readonly #replies: Delivery[];
  #last = 0;

  private constructor(peer: Peer, queue: string, replies: Delivery[]) {
    this.peer = peer;
    this.queue = queue;
    this.#replies = replies;
  }

  static async connect(url: string, queue: string): Promise<ClockPeer> {
    const replies: Delivery[] = [];
    const peer = await connectPeer(url, (reply) => {
      const { type, correlationId, replyTo = "" } = reply.properties;
      if (type !== "rpc.clock") {
        replies.push(reply);
        return;
      }
      clock.asked++;
      peer.publish({
        exchange: CONTROL_EXCHANGE,
        routingKey: replyTo,
        mandatory: false,
        properties: { correlationId, type: "clock", headers: [[SENT_AT, String(clock.now)]] },
        body: new Uint8Array(),
      });
    });
    const clock = new ClockPeer(peer, queue, replies);
    return clock;
  }

  /** How often it was asked for its clock. */
  asked = 0;

  get now(): number {
    return Math.floor(performance.now()) + 8 * 3_600_000;
  }

  /** Sends a request that was made some time ago, as if it had waited; returns its correlation id. */
  send(body: string, ago: number, expiration: string | undefined = String(DEADLINE)): string {
    const correlationId = `call-${++this.#last}`;
    const headers = [[SENT_AT, String(this.now - ago)]] as const;
    const properties = { replyTo: this.peer.queue, correlationId, expiration, headers };
    this.peer.publish(toQueue(this.queue, body, properties));
    return correlationId;
  }

  async reply(correlationId: string): Promise<Delivery> {
    const find = (): Delivery | undefined =>
      this.#replies.find(({ properties }) => properties.correlationId === correlationId);
    return await waitFor(`there is a reply to ${correlationId}`, find);
  }

  /** Calls as often as it takes to learn how long handlers take and what the clock is. */
  async warmUp(): Promise<void> {
    for (let n = 0; n < 3; n++) await this.reply(this.send("warm", 0));
    await waitFor("the server asks for the clock", async () => {
      await this.reply(this.send("asks", 400));
      return this.asked > 0;
    });
    // This comes after the answer, which goes over the same channel.
    await this.reply(this.send("warm", 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
  }
}

/** A handler that takes 50 ms, and what it was given. */
function slow(): { readonly seen: string[]; readonly handler: (request: string) => Promise<string> } {
  const seen: string[] = [];
  return {
    seen,
    handler: async (request) => {
      seen.push(request);
      await sleep(50);
      return request;
    },
  };
}

live("A request with less time left than its work takes is refused at once, without running, and acknowledged", async ({
  url,
  queue,
}) => {
  const { seen, handler } = slow();
  await using server = await startServer(url, texts(queue), handler);
  await using clock = await ClockPeer.connect(url, queue);
  await clock.warmUp();
  const { properties, body } = await clock.reply(clock.send("late", 980));
  assert(isErrorReply(properties));
  const { code, outcome, message } = JSON.parse(new TextDecoder().decode(body));
  assertEquals([code, outcome], ["resource_exhausted", "not_executed"]);
  assertMatch(message, /overloaded: of its 1000 ms, the request has \d+ ms left, and such work now takes up to \d+ ms/);
  assert(!seen.includes("late"));
  await waitFor("it is acknowledged", () => server.pending === 0);
  assertEquals(told(server, "overloaded").map(({ queue, refused }) => [queue, refused]), [[queue, 1]]);
  const [handled] = told(server, "handled").slice(-1);
  assertEquals([handled?.code, handled?.executed], ["resource_exhausted", false]);
});

live("With loadShedding: false, a request is started however little time is left", async ({ url, queue }) => {
  const { seen, handler } = slow();
  await using _server = await startServer(url, texts(queue), handler, { loadShedding: false });
  await using clock = await ClockPeer.connect(url, queue);
  await clock.warmUp();
  clock.send("late", 980);
  await waitFor("it is started", () => seen.includes("late"));
});

live("A request without a deadline is started, however long it has waited", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), slow().handler);
  await using clock = await ClockPeer.connect(url, queue);
  await clock.warmUp();
  await clock.reply(clock.send("late", 990));
  const { properties } = await clock.reply(clock.send("old", 60_000, undefined));
  assert(!isErrorReply(properties));
  assertEquals((await plainCall(url, queue, "plain")).content.toString(), "plain");
});

live("A handler's deadline is the caller's, whatever their clocks, less what the request has waited", async ({
  url,
  queue,
}) => {
  let left = NaN;
  await using _server = await startServer(url, texts(queue), (request, { deadline }) => {
    left = (deadline?.getTime() ?? NaN) - Date.now();
    return request;
  });
  await using clock = await ClockPeer.connect(url, queue);
  await clock.warmUp();
  assert(left > 900 && left <= 1_001, `${left}`);
  await clock.reply(clock.send("waited", 600, "60000"));
  assert(left > 59_300 && left < 59_500, `${left}`);
});

live("A signal is aborted when the caller stops waiting, which a request that has waited says by its clock", async ({
  url,
  queue,
}) => {
  const { promise, resolve } = Promise.withResolvers<number>();
  await using _server = await startServer(url, texts(queue), async (request, { signal }) => {
    if (request !== "waited") return request;
    const began = performance.now();
    signal.addEventListener("abort", () => resolve(performance.now() - began));
    await sleep(5_000, signal);
    return request;
  });
  await using clock = await ClockPeer.connect(url, queue);
  await clock.warmUp();
  clock.send("waited", 600);
  assertLess(await promise, 700);
});

live("A server asks a client for its clock when its callers leave early, and then knows what has waited", async ({
  url,
  queue,
}) => {
  const { seen, handler } = slow();
  await using _server = await startServer(url, texts(queue), handler);
  await using clock = await ClockPeer.connect(url, queue);
  // All that the server sees of this client has waited for 900 ms, so it cannot know.
  for (let n = 0; n < 3; n++) await clock.reply(clock.send("waited", 900));
  assertEquals(clock.asked, 0);
  await waitFor("it asks", async () => {
    const body = `canceled ${seen.length}`;
    const id = clock.send(body, 980);
    await waitFor("it runs", () => seen.includes(body));
    clock.peer.publish({
      exchange: CONTROL_EXCHANGE,
      routingKey: queue,
      mandatory: false,
      properties: { correlationId: id, type: "cancel", expiration: "1000" },
      body: new Uint8Array(),
    });
    await clock.reply(clock.send("more", 900));
    return clock.asked > 0;
  });
  await waitFor("it refuses what has waited", async () => {
    const { properties } = await clock.reply(clock.send("late", 980));
    return isErrorReply(properties);
  });
});

live("Whoever sends requests in another client's name, with a clock that is ahead, harms none of its calls", async ({
  url,
  queue,
}) => {
  for (const confirmed of [false, true]) {
    await using server = await startServer(url, texts(`${queue}${confirmed}`), slow().handler);
    await using clock = await ClockPeer.connect(url, `${queue}${confirmed}`);
    await using other = await connectPeer(url);
    if (confirmed) await clock.warmUp();
    else await clock.reply(clock.send("warm", 0));
    for (const ahead of [700, 980, 1_100]) {
      const headers = [[SENT_AT, String(clock.now + ahead)]] as const;
      other.publish(toQueue(clock.queue, "forged", { replyTo: clock.peer.queue, expiration: "1000", headers }));
      for (let n = 0; n < 3; n++) {
        const { properties, body } = await clock.reply(clock.send("honest", 0));
        assert(!isErrorReply(properties), new TextDecoder().decode(body));
      }
    }
    assertEquals([told(server, "overloaded"), told(server, "expired_request")], [[], []]);
  }
});

live("A client answers a server that asks for its clock, and takes the question for no reply", async ({
  url,
  queue,
}) => {
  const answers: Delivery[] = [];
  await using listener = await connectPeer(url, (answer) => answers.push(answer));
  await listener.channel.assertDirectExchange(CONTROL_EXCHANGE);
  const key = `test.${crypto.randomUUID()}`;
  await listener.channel.bindQueue(listener.queue, CONTROL_EXCHANGE, key);
  await using server = await connectPeer(url, ({ properties: { replyTo = "", correlationId, headers } }) => {
    server.publish(toQueue(replyTo, "", { type: "rpc.clock", correlationId: "token", replyTo: key }));
    if (headers !== undefined) assertGreater(readSentAt(headers) ?? -1, 0);
    server.publish(toQueue(replyTo, "answer", { correlationId, contentType: "text/plain" }));
  });
  await server.channel.assertQueue(queue, { durable: true });
  await server.channel.consume(queue, { noAck: true });
  await using client = await connectClient(url);
  assertEquals(await client.call(texts(queue), ""), "answer");
  const { properties } = await waitFor("the client answers", () => answers[0]);
  assertEquals([properties.type, properties.correlationId], ["clock", "token"]);
  const told = readSentAt(properties.headers ?? new Uint8Array()) ?? NaN;
  assert(Math.abs(told - performance.now()) < 5_000, `${told}`);
});

live("A refused call is not made again, although it is idempotent", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue, true), () => {
    throw new RpcError("resource_exhausted", "too much");
  });
  const attempts: number[] = [];
  await using client = await connectClient(url, {
    onEvent: (event) => event.type === "called" && attempts.push(event.attempts),
  });
  await assertRejects(() => client.call(texts(queue, true), ""), RpcError, "too much");
  assertEquals(attempts, [1]);
});

live("serve() refuses a loadShedding that is neither true nor false", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const served = procedure({ queue, request: text(), reply: text() });
  const options = { loadShedding: "no" } as unknown as { loadShedding: boolean };
  await assertRejects(() => server.serve(served, (name) => name, options), TypeError, "'loadShedding'");
});
