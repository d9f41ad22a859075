/**
 * What servers tell of themselves to whoever asks over the control exchange.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import type { Channel } from "amqplib";
import { Buffer } from "node:buffer";
import { integer, method, RpcClient, RpcError, RpcServer, service } from "../../lib/rpc.ts";
import { encodeServerInfo } from "../../lib/wire/server_info.ts";
import { live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { gated } from "../support/handlers.ts";
import { connectClient, failure, pair, startServer, texts } from "../support/pair.ts";
import { connectPeer } from "../support/peer.ts";

/** What a plain server does: it consumes, and answers nothing. */
async function plainConsumer(url: string, queue: string): Promise<AsyncDisposable> {
  const stop = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const running = withChannel(url, async (channel) => {
    await channel.consume(queue, () => {});
    started.resolve();
    await stop.promise;
  });
  await started.promise;
  return {
    async [Symbol.asyncDispose]() {
      stop.resolve();
      await running;
    },
  };
}

/** Hears the questions for the servers of a queue, as one of them does. */
async function hearQuestions(
  channel: Channel,
  queue: string,
  asked: (replyTo: string, correlationId: string) => void,
): Promise<void> {
  const { queue: heard } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(heard, "rpc.control", queue);
  await channel.consume(heard, (message) => {
    const { replyTo, correlationId } = message?.properties ?? {};
    asked(replyTo, correlationId);
  }, { noAck: true });
}

live("A server tells how the calls of each method have ended", async ({ url, queue }) => {
  const maths = service({
    queue,
    queueType: "classic",
    methods: {
      half: method({ request: integer({ min: 0 }), reply: integer() }),
      idle: method({ request: integer(), reply: integer() }),
    },
  });
  await using server = await RpcServer.connect(url, { name: "adder", version: "1.2.3", onEvent: () => {} });
  await server.serve(maths, {
    half: (n) => {
      if (n === 3) throw new RpcError("not_found", "secret of the caller", { details: "of the caller" });
      if (n === 5) throw new Error("secret of the server");
      return n / 2;
    },
    idle: (n) => n,
  }, { prefetch: 7 });
  await using client = await connectClient(url);
  const api = client.of(maths);
  for (const n of [2, 4, 6]) await api.half(n);
  const [, internal] = [await failure(api.half(3)), await failure(api.half(5))];
  await failure(client.call({ ...maths.methods.half, request: integer() }, -1));
  await failure(client.call({ ...maths.methods.half, method: "third" }, 1));
  await failure(client.call({ ...maths.methods.half, method: "fourth" }, 1));
  await publishRaw(url, queue, "1");
  const { servers, consumers, messages } = await waitFor("all is counted", async () => {
    const info = await client.servers(queue);
    const [half] = info.servers[0]?.methods ?? [];
    return half?.requests === 6 && info.servers[0]?.rejected === 1 && info.servers[0].inFlight === 0 && info;
  });
  assertEquals([consumers, messages, servers.length], [1, 0, 1]);
  const [{ id, uptime, roundTrip, library, methods, ...rest }] = servers as [typeof servers[number]];
  assertMatch(id, /^[0-9a-f-]{36}$/);
  assertMatch(library, /^rpc\/\d+\.\d+\.\d+$/);
  assert(uptime > 0 && uptime < 60_000, `uptime ${uptime}`);
  assert(roundTrip > 0 && roundTrip < 1_000, `round trip ${roundTrip}`);
  assertEquals(rest, {
    name: "adder",
    version: "1.2.3",
    state: "serving",
    consumers: 1,
    prefetch: 7,
    inFlight: 0,
    oldest: undefined,
    rejected: 1,
    omitted: 0,
  });
  assertEquals(
    methods.map(({ name, requests, codes, refused, handled }) => [name, requests, codes, refused, handled]),
    [
      ["half", 6, { ok: 3, not_found: 1, internal: 1, out_of_range: 1 }, 1, 5],
      [undefined, 2, { unimplemented: 2 }, 2, 0],
      ["idle", 0, {}, 0, 0],
    ],
  );
  assertGreater(methods[0]?.processingTime, 0);
  assertLess(methods[0]?.p50, 1_000);
  assertGreater(methods[0]?.p99, 0);
  assertEquals([methods[2]?.p50, methods[2]?.p99], [undefined, undefined]);

  assertEquals(methods.map(({ lastError }) => lastError?.code), ["out_of_range", "unimplemented", undefined]);

  // The error of an unknown exception is told by its id alone.
  const [, again] = [await failure(api.half(3)), await failure(api.half(5))];
  assertMatch(internal.id ?? "", /^[0-9a-f-]{36}$/);
  const told = await client.servers(queue);
  assertEquals({ ...told.servers[0]?.methods[0]?.lastError, ago: 0 }, { code: "internal", id: again.id, ago: 0 });
  assert(!JSON.stringify(told).includes("secret") && !JSON.stringify(told).includes("of the caller"));
});

live("A server tells how many requests are in flight, and for how long", async ({ url, queue }) => {
  const { handler, release, started } = gated();
  await using both = await pair(url, texts(queue), async () => String(await handler(1)), { prefetch: 2 });
  const calls = ["a", "b", "c"].map((text) => both.client.call(texts(queue), text));
  await started;
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { servers: [info], messages } = await both.client.servers(queue);
  assertEquals([info?.inFlight, messages], [2, 1]);
  assertGreater(info?.oldest, 40);
  release();
  await Promise.all(calls);
});

live("A server that drains says so", async ({ url, queue }) => {
  const { handler, release, started } = gated();
  const server = await startServer(url, texts(queue), async () => String(await handler(1)), { prefetch: 1 });
  await using client = await connectClient(url);
  const call = client.call(texts(queue), "a");
  await started;
  const closing = server.close();
  await using _gate = {
    async [Symbol.asyncDispose]() {
      release();
      await Promise.all([call, closing]);
    },
  };
  await using _other = await startServer(url, texts(queue), (text) => text, { name: "other" });
  await waitFor("the other one alone consumes", async () => (await queueInfo(url, queue))?.consumers === 1);
  // With a consumer that never answers, all answers are awaited.
  await using _plain = await plainConsumer(url, queue);
  const { servers } = await client.servers(queue, { timeout: 300 });
  assertEquals(servers.map(({ state }) => state).sort(), ["draining", "serving"]);
});

live("An answer of a server that drains does not end the wait for those that serve", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using client = await connectClient(url);
  const { servers: [real] } = await client.servers(queue);
  assert(real !== undefined);
  await withChannel(url, async (channel) => {
    await hearQuestions(channel, queue, (replyTo, correlationId) => {
      const answer = (id: string, state: "serving" | "draining"): boolean =>
        channel.sendToQueue(
          replyTo,
          Buffer.from(encodeServerInfo({ ...real, id, state, consumers: state === "serving" ? 1 : 0 })),
          { correlationId },
        );
      for (const id of ["a", "b", "c"]) answer(id, "draining");
      setTimeout(() => answer("d", "serving"), 200);
    });
    await channel.consume(queue, () => {});
    const { servers, consumers } = await client.servers(queue, { timeout: 20_000 });
    assertEquals([consumers, servers.map(({ id }) => id).sort()], [2, [real.id, "a", "b", "c", "d"].sort()]);
  });
});

live("A server with further consumers does not end the wait for the other servers", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text, { name: "real" });
  await using client = await connectClient(url);
  const { servers: [real] } = await client.servers(queue);
  assert(real !== undefined);
  await withChannel(url, async (channel) => {
    await hearQuestions(channel, queue, (replyTo, correlationId) => {
      const answer = (id: string, consumers: number): boolean =>
        channel.sendToQueue(replyTo, Buffer.from(encodeServerInfo({ ...real, id, consumers })), { correlationId });
      answer("loaded", 3);
      setTimeout(() => answer("late", 1), 5);
    });
    for (let n = 0; n < 3; n++) await channel.consume(queue, () => {});
    const began = performance.now();
    const { servers } = await client.servers(queue, { timeout: 20_000 });
    assertEquals(servers.map(({ id }) => id).sort(), [real.id, "late", "loaded"].sort());
    assertLess(performance.now() - began, 5_000);
  });
});

for (const replies of ["queue", "direct"] as const) {
  live(`A question is answered as soon as all consumers have answered, over a ${replies} reply`, async (use) => {
    const { url, queue } = use;
    await using _one = await startServer(url, texts(queue), (text) => text, { name: "one" });
    await using _two = await startServer(url, texts(queue), (text) => text, { name: "two" });
    await using client = await connectClient(url, { replies });
    const began = performance.now();
    const { servers, consumers } = await client.servers(queue, { timeout: 20_000 });
    assertLess(performance.now() - began, 5_000);
    assertEquals(consumers, 2);
    assertEquals(servers.map(({ name }) => name).sort(), ["one", "two"]);
  });
}

live("Plain servers are consumers without figures", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using _plain = await plainConsumer(url, queue);
  await using client = await connectClient(url);
  const { consumers, servers } = await client.servers(queue, { timeout: 200 });
  assertEquals([consumers, servers.length], [2, 1]);
});

live("A queue without a server has none, and a missing one is said to be missing", async ({ url, queue }) => {
  await using client = await connectClient(url);
  const missing = await failure(client.servers(queue));
  assertEquals([missing.code, missing.outcome], ["not_found", "not_executed"]);
  assertMatch(missing.message, /^Cannot ask the servers of ".*": the queue does not exist, so start a server for it$/);
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  await publishRaw(url, queue, "waits");
  const began = performance.now();
  assertEquals(await client.servers(queue, { timeout: 20_000 }), { messages: 1, consumers: 0, servers: [] });
  assertLess(performance.now() - began, 5_000);
});

live("Options of servers() are checked, and its signal ends it", async ({ url, queue }) => {
  await using client = await connectClient(url);
  for (const timeout of [0, -1, 1.5, NaN, 2 ** 31]) {
    const error = await client.servers(queue, { timeout }).catch((error: unknown) => error);
    assert(error instanceof RangeError, `${timeout}`);
  }
  assert(await client.servers("").catch((error: unknown) => error) instanceof RangeError);
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using _plain = await plainConsumer(url, queue);
  const began = performance.now();
  const error = await failure(client.servers(queue, { timeout: 20_000, signal: AbortSignal.timeout(100) }));
  assertEquals(error.code, "canceled");
  assertLess(performance.now() - began, 5_000);
  assertEquals((await failure(client.servers(queue, { signal: AbortSignal.abort() }))).code, "canceled");
  await client.close();
  assertEquals((await failure(client.servers(queue))).code, "unavailable");
});

live("A question leaves no queue behind", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using peer = await connectPeer(url);
  await peer.channel.bindQueue(peer.queue, "rpc.control", queue);
  await using client = await connectClient(url);
  await client.servers(queue);
  await waitFor("the question is heard", () => peer.replies[0]);
  const replyTo = peer.replies[0]?.properties.replyTo ?? "";
  assertMatch(replyTo, /^amq\.gen-/);
  await waitFor("its queue is gone", async () => await queueInfo(url, replyTo) === undefined);
});

live("Answers go only where replies may go, and only to who asks over the control exchange", async ({ url, queue }) => {
  const foreign = `${queue}.foreign`;
  await using server = await startServer(url, texts(queue), (text) => text);
  await using client = await connectClient(url);
  await withChannel(url, async (channel) => {
    await channel.assertQueue(foreign, { durable: true });
    const { queue: own } = await channel.assertQueue("", { exclusive: true });
    const { queue: named } = await channel.assertQueue(`${queue}.mine`, { exclusive: true });
    const answers: string[] = [];
    for (const name of [own, named]) {
      await channel.consume(name, (message) => {
        if (message !== null) answers.push(`${name === own ? "own" : "named"} ${message.properties.correlationId}`);
      }, { noAck: true });
    }
    const ask = (replyTo: string, correlationId: string): boolean =>
      channel.publish("rpc.control", queue, Buffer.alloc(0), { type: "info", replyTo, correlationId });
    for (const replyTo of [foreign, queue, "amq.rabbitmq.reply-to.YWJj.Zm9v", "\r\n", ""]) {
      ask(replyTo, "forged");
    }
    // A request that looks like a question is a request.
    channel.sendToQueue(queue, Buffer.from("x"), { type: "info", replyTo: own, correlationId: "request" });
    ask(named, "a");
    ask(own, "b");
    await waitFor("the honest ones are answered", () => answers.length === 3);
    assertEquals(answers.sort(), ["named a", "own b", "own request"]);
    assertEquals((await channel.checkQueue(foreign)).messageCount, 0);
    await channel.deleteQueue(foreign);
  });
  assertEquals(await client.call(texts(queue), "still here"), "still here");
  assertEquals(server.pending, 0);
});

live("A flood of questions is answered in part, and calls are answered beside it", async ({ url, queue }) => {
  const QUESTIONS = 20_000;
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using client = await connectClient(url);
  let answers = 0;
  await using peer = await connectPeer(url, () => answers++);
  const began = performance.now();
  const calls: Promise<string>[] = [];
  for (let n = 0; n < QUESTIONS; n++) {
    peer.publish({
      exchange: "rpc.control",
      routingKey: queue,
      mandatory: false,
      properties: { type: "info", replyTo: peer.queue, correlationId: `${n}` },
      body: new Uint8Array(),
    });
    if (n % 500 === 0) {
      calls.push(client.call(texts(queue), `${n}`));
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  await Promise.all(calls);
  // The last question has been read, because a cancel sent after it would have been.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const seconds = (performance.now() - began) / 1_000;
  assert(answers > 0 && answers <= 50 + 25 * seconds + 1, `${answers} answers in ${seconds} s`);
});

live("A flood of answers of servers that drain is cut off", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using client = await connectClient(url);
  const { servers: [real] } = await client.servers(queue);
  assert(real !== undefined);
  await withChannel(url, async (channel) => {
    await hearQuestions(channel, queue, (replyTo, correlationId) => {
      for (let n = 0; n < 1_000; n++) {
        const body = encodeServerInfo({ ...real, id: `${n}`, state: "draining", consumers: 0 });
        channel.sendToQueue(replyTo, Buffer.from(body), { correlationId });
      }
    });
    await channel.consume(queue, () => {});
    const { servers, consumers } = await client.servers(queue, { timeout: 20_000 });
    assertEquals([consumers, servers.length], [2, 102]);
  });
});

live("What is no answer is no server", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using _plain = await plainConsumer(url, queue);
  await withChannel(url, async (channel) => {
    await hearQuestions(channel, queue, (replyTo, correlationId) => {
      for (const body of ["", "{}", "null", "[]", '{"id":1}', "\xff", `{"id":"x","methods":${"[".repeat(50_000)}`]) {
        channel.sendToQueue(replyTo, Buffer.from(body, "latin1"), { correlationId });
      }
      channel.sendToQueue(replyTo, Buffer.alloc(0), { correlationId: "another" });
    });
    await using client = await RpcClient.connect(url);
    const { servers } = await client.servers(queue, { timeout: 300 });
    assertEquals(servers.length, 1);
  });
});

live("A hundred servers answer within a second", async ({ url, queue }) => {
  await using opened = new AsyncDisposableStack();
  for (let n = 0; n < 100; n += 20) {
    const some = Array.from({ length: 20 }, (_, k) => {
      return startServer(url, texts(queue), (text) => text, { name: `server ${n + k}` });
    });
    for (const server of await Promise.all(some)) opened.use(server);
  }
  await using client = await connectClient(url);
  const began = performance.now();
  const { servers, consumers } = await client.servers(queue);
  const took = performance.now() - began;
  console.log(`100 servers answered in ${took.toFixed(0)} ms`);
  assertEquals([consumers, servers.length, new Set(servers.map(({ name }) => name)).size], [100, 100, 100]);
  assertLess(took, 1_000);
});

live("A plain call is counted like any other", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  await using client = await connectClient(url);
  await plainCall(url, queue, "x");
  await waitFor("it is counted", async () => {
    return (await client.servers(queue)).servers[0]?.methods[0]?.codes["ok"] === 1;
  });
});
