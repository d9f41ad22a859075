import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { type CallOptions, procedure, type RequestContext, RpcError, RpcServer, text } from "../../lib/rpc.ts";
import { deleteQueue, live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, failure, heard, pair, startServer, texts, told } from "../support/pair.ts";
import { clientProcedures, encodeTask, readLog, spawnServer } from "../support/property_server.ts";
import { tap } from "../support/tap.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { aborted, sleep } from "../support/handlers.ts";
import { plainServer } from "../support/plain_server.ts";
import { double } from "../support/lab_server.ts";

/** Makes a queue that nobody consumes. */
async function declare(url: string, queue: string): Promise<void> {
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
}

live("RpcClient.call() rejects with unavailable at once when the queue does not exist", async ({ url, queue }) => {
  await using client = await connectClient(url);
  const start = performance.now();
  const error = await failure(client.call(texts(queue), "", { timeout: 30_000 }));
  assertEquals([error.code, error.outcome], ["unavailable", "not_executed"]);
  assertMatch(error.message, /does not exist/);
  assert(error.message.includes(queue), error.message);
  assertLess(performance.now() - start, 5_000);
  assertEquals(client.pending, 0);
});

live("RpcClient.call() needs one publish to find that the queue does not exist", async ({ url, queue }) => {
  await using link = tap(url);
  await using client = await connectClient(link.url);
  link.methods.length = 0;
  await failure(client.call(texts(queue), ""));
  assertEquals(link.methods, [`basic.publish /${queue}`]);
});

live("RpcClient.call() rejects before publishing when failFast finds no consumer", async ({ url, queue }) => {
  await declare(url, queue);
  await using link = tap(url);
  await using client = await connectClient(link.url);
  const error = await failure(client.call(texts(queue), "", { failFast: true }));
  assertEquals([error.code, error.outcome], ["unavailable", "not_executed"]);
  assertMatch(error.message, /no consumer/);
  assertEquals(link.methods.filter((method) => method.startsWith("basic.publish")), []);
});

live("RpcClient.call() rejects before publishing when failFast finds no queue", async ({ url, queue }) => {
  await using link = tap(url);
  await using client = await connectClient(link.url);
  const error = await failure(client.call(texts(queue), "", { failFast: true }));
  assertEquals([error.code, error.outcome], ["unavailable", "not_executed"]);
  assertMatch(error.message, /does not exist/);
  assertEquals(link.methods.filter((method) => method.startsWith("basic.publish")), []);
  // The broker closes the channel that asks for a missing queue; it must not be one that is needed.
  assertEquals(heard(client, "disconnected"), []);
});

live("RpcClient.call() gives the result when failFast finds a server", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), (name) => `Hello ${name}`);
  assertEquals(await p.client.call(texts(queue), "Ada", { failFast: true }), "Hello Ada");
});

live("RpcClient.call() looks once at a queue for many failFast calls at a time", async ({ url, queue }) => {
  await using server = await startServer(url, texts(queue), (request) => request);
  await using link = tap(url);
  await using client = await connectClient(link.url);
  link.methods.length = 0;
  const calls = Array.from({ length: 50 }, (_, i) => client.call(texts(queue), `${i}`, { failFast: true }));
  assertEquals(await Promise.all(calls), Array.from({ length: 50 }, (_, i) => `${i}`));
  assertEquals(link.methods.filter((method) => method === "queue.declare").length, 1);
  // A reply may arrive before the broker has confirmed it.
  await waitFor("the server is idle", () => server.pending === 0);
});

live("RpcClient.call() ends with canceled when it is aborted during the failFast look", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  link.stall();
  const controller = new AbortController();
  const ended = failure(client.call(texts(queue), "", { failFast: true, signal: controller.signal }));
  controller.abort();
  const error = await ended;
  assertEquals([error.code, error.outcome], ["canceled", "not_executed"]);
  link.resume();
});

live("RpcClient.call() rejects at once when the connection is lost during the failFast look", async (live) => {
  await using link = relay(portOf(live.url));
  await using client = await connectClient(through(live.url, link.port));
  link.stall();
  const start = performance.now();
  const ended = failure(client.call(texts(live.queue), "", { failFast: true, timeout: 30_000 }));
  link.cut();
  link.resume();
  const error = await ended;
  assertEquals([error.code, error.outcome], ["unavailable", "not_executed"]);
  assertLess(performance.now() - start, 5_000);
});

live("RpcClient.call() is answered by a server that starts after it", async ({ url, queue }) => {
  await declare(url, queue);
  await using client = await connectClient(url);
  const call = client.call(texts(queue), "Ada");
  await waitFor("the request waits", async () => (await queueInfo(url, queue))?.messages === 1);
  await using _server = await startServer(url, texts(queue), (name) => `Hello ${name}`);
  assertEquals(await call, "Hello Ada");
});

live(
  "RpcClient.call() that timed out says how long it waited, that nobody consumes, and how many requests wait",
  async ({ url, queue }) => {
    await declare(url, queue);
    for (const body of ["a", "b", "c"]) await publishRaw(url, queue, body);
    await using client = await connectClient(url);
    const error = await failure(client.call(texts(queue), "", { timeout: 150 }));
    assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
    // Its own request may have expired by then.
    assertMatch(error.message, /within 150 ms.*0 consumers.*[34] requests waiting/);
    assert(error.message.includes(queue), error.message);
  },
);

live("RpcClient.call() that timed out says that the queue has a consumer", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), async (_, { signal }) => {
    await aborted(signal);
    return "";
  });
  const error = await failure(p.client.call(texts(queue), "", { timeout: 150 }));
  assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
  assertMatch(error.message, /1 consumer and 0 requests waiting/);
});

live("RpcClient.call() that timed out looks once for many calls at a time", async ({ url, queue }) => {
  await declare(url, queue);
  await using slow = relay(portOf(url));
  await using link = tap(through(url, slow.port));
  await using client = await connectClient(link.url);
  const calls = Array.from({ length: 50 }, () => failure(client.call(texts(queue), "", { timeout: 300 })));
  await waitFor("the requests wait", async () => (await queueInfo(url, queue))?.messages === 50, 300);
  // What asks now gets no answer, so that the first look lasts until the last call has timed out.
  slow.stall();
  link.methods.length = 0;
  for (const { code } of await Promise.all(calls)) assertEquals(code, "deadline_exceeded");
  // One channel for the look, one for the cancels.
  assertEquals(link.methods, ["channel.open", "channel.open"]);
  slow.resume();
});

live("RpcClient.call() ends at its deadline when the broker does not answer any more", async ({ url, queue }) => {
  await declare(url, queue);
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  // So that the request has left.
  const started = performance.now();
  const ended = failure(client.call(texts(queue), "", { timeout: 500 }));
  await waitFor("the request waits", async () => (await queueInfo(url, queue))?.messages === 1);
  link.stall();
  const error = await ended;
  const elapsed = performance.now() - started;
  assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
  assertMatch(error.message, /within 500 ms$/);
  assertGreaterOrEqual(elapsed, 500);
  assertLess(elapsed, 1_500);
  link.resume();
});

live("RpcClient.call() without timeout ends at the client's timeout", async ({ url, queue }) => {
  await declare(url, queue);
  await using client = await connectClient(url, { timeout: 120 });
  const start = performance.now();
  const error = await failure(client.call(texts(queue), ""));
  assertEquals(error.code, "deadline_exceeded");
  assertGreaterOrEqual(performance.now() - start, 120);
});

live("RpcClient.call() refuses a timeout that is no integer from 1 to 2147483647", async ({ url, queue }) => {
  await using client = await connectClient(url);
  for (const timeout of [0, -1, 1.5, NaN, Infinity, 2_147_483_648]) {
    await assertRejects(() => client.call(texts(queue), "", { timeout }), RangeError, "timeout");
  }
  const options = { timeout: "5000" } as unknown as CallOptions;
  await assertRejects(() => client.call(texts(queue), "", options), TypeError, "timeout");
  assertEquals(client.pending, 0);
});

live("RpcClient.call() refuses a signal and a failFast of another type", async ({ url, queue }) => {
  await using client = await connectClient(url);
  for (const options of [{ signal: {} }, { signal: new AbortController() }, { failFast: "no" }]) {
    await assertRejects(() => client.call(texts(queue), "", options as unknown as CallOptions), TypeError);
  }
  assertEquals(client.pending, 0);
});

live(
  "RpcClient.call() ends with deadline_exceeded, not_executed when it was never written",
  async ({ url, queue }) => {
    await using link = relay(portOf(url));
    await using client = await connectClient(through(url, link.port), { heartbeat: 0 });
    link.stall();
    link.cut();
    await waitFor("the connection is lost", () => heard(client, "disconnected").length === 1);
    const error = await failure(client.call(texts(queue), "", { timeout: 150 }));
    assertEquals([error.code, error.outcome], ["deadline_exceeded", "not_executed"]);
    assertMatch(error.message, /no connection/);
  },
);

live("A reply that comes after the deadline is dropped and counted", async ({ url, queue }) => {
  await using server = await plainServer(url, queue, ({ ack }) => ack());
  await using client = await connectClient(url);
  await failure(client.call(texts(queue), "", { timeout: 100 }));
  const [request] = server.received;
  assert(request !== undefined);
  request.reply("late");
  const [event] = await waitFor("the reply is counted", () => {
    const late = heard(client, "late_reply");
    return late.length > 0 && late;
  });
  assertEquals(event?.correlationId, request.message.properties.correlationId);
  assertEquals(client.pending, 0);
});

live("A request that nobody took before its deadline never reaches a server", async ({ url, queue }) => {
  await declare(url, queue);
  await using client = await connectClient(url);
  const error = await failure(client.call(texts(queue), "expired", { timeout: 100 }));
  assertMatch(error.message, /0 consumers/);
  const seen: string[] = [];
  await using _server = await startServer(url, texts(queue), (request) => {
    seen.push(request);
    return request;
  });
  await client.call(texts(queue), "in time");
  assertEquals(seen, ["in time"]);
});

live("A request that expired while a handler blocked the server is not started", async ({ url, queue }) => {
  const seen: string[] = [];
  await using server = await startServer(url, texts(queue), (request) => {
    seen.push(request);
    const end = performance.now() + 400;
    while (request === "block" && performance.now() < end);
    return request;
  });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const replied = Promise.withResolvers<void>();
    await channel.consume(replyTo, () => replied.resolve(), { noAck: true });
    // Nobody sends a cancel for these: the server has to see for itself.
    channel.sendToQueue(queue, Buffer.from("block"), { replyTo });
    channel.sendToQueue(queue, Buffer.from("expired"), { replyTo, expiration: "200", messageId: "expired" });
    await replied.promise;
  });
  await waitFor(
    "the request is dropped",
    () =>
      [...told(server, "expired_request"), ...told(server, "returned_request")].some(({ messageId }) =>
        messageId === "expired"
      ),
  );
  await waitFor("the queue is empty", async () => (await queueInfo(url, queue))?.messages === 0);
  await waitFor("the server is idle", () => server.pending === 0);
  assertEquals(seen, ["block"]);
});

/** Starts a server in a process of its own, and a client. */
async function remote(url: string, prefix: string) {
  const log = await Deno.makeTempFile();
  const procedures = clientProcedures(prefix);
  await using opened = new AsyncDisposableStack();
  opened.defer(() => Deno.remove(log));
  for (const { queue } of procedures) opened.defer(() => deleteQueue(url, queue));
  const server = opened.use(spawnServer(url, prefix, log));
  await server.ready;
  const client = opened.use(await connectClient(url));
  const both = opened.move();
  const [, called] = procedures;
  assert(called !== undefined);
  return {
    server,
    queue: called.queue,
    log: () => readLog(log),
    call: (i: number, delay: number, timeout: number) =>
      client.call(called, encodeTask({ i, act: "reply", delay, heeds: true }), { timeout }),
    [Symbol.asyncDispose]: () => both.disposeAsync(),
  };
}

live("A request that expired while its server was stopped is not started", { run: true }, async ({ url, queue }) => {
  await using peer = await remote(url, queue);
  assertEquals(await peer.call(1, 0, 30_000), 2);
  peer.server.pause();
  // Nobody sends a cancel for this one: the server has to see for itself.
  const request = encodeTask({ i: 2, act: "reply", delay: 0, heeds: true });
  await publishRaw(url, peer.queue, request, { replyTo: "amq.gen-nobody", expiration: "300" });
  await sleep(400);
  peer.server.resume();
  assertEquals(await peer.call(3, 0, 30_000), 6);
  assertEquals(peer.log().filter(({ at }) => at === "started").map(({ i }) => i), [1, 3]);
});

live("A request that comes late while its server is stopped keeps all of its time", { run: true }, async (live) => {
  await using peer = await remote(live.url, live.queue);
  assertEquals(await peer.call(1, 0, 30_000), 2);
  peer.server.pause();
  await sleep(800);
  const result = peer.call(2, 600, 1_400);
  await sleep(100);
  peer.server.resume();
  assertEquals(await result, 4);
});

live("A handler's signal is aborted at the deadline, and context.deadline says when", async ({ url, queue }) => {
  const ended = Promise.withResolvers<{ reason: unknown; early: number }>();
  let deadline: Date | undefined;
  let arrived = 0;
  await using _server = await startServer(url, texts(queue), async (_, context) => {
    arrived = Date.now();
    ({ deadline } = context);
    const reason = await aborted(context.signal);
    ended.resolve({ reason, early: (deadline?.getTime() ?? 0) - Date.now() });
    return "";
  });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from(""), { replyTo, expiration: "300" });
    const { reason, early } = await ended.promise;
    assert(reason instanceof RpcError);
    assertEquals(reason.code, "deadline_exceeded");
    assertLess(early, 50);
  });
  assert(deadline !== undefined);
  assertLess(Math.abs(deadline.getTime() - arrived - 300), 250);
});

live("A plain client without expiration has no deadline, and its handler is not stopped", async ({ url, queue }) => {
  const contexts: RequestContext[] = [];
  await using _server = await startServer(url, texts(queue), (_, context) => {
    contexts.push(context);
    // The listener is what would arm a timer.
    return context.signal.aborted ? "aborted" : "running";
  });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const reply = Promise.withResolvers<string>();
    await channel.consume(replyTo, (message) => reply.resolve(message?.content.toString() ?? ""), { noAck: true });
    channel.sendToQueue(queue, Buffer.from(""), { replyTo });
    assertEquals(await reply.promise, "running");
  });
  assertEquals(contexts.map(({ deadline, messageId }) => [deadline, messageId]), [[undefined, undefined]]);
});

live("A call made in a handler with its signal ends with the handler's deadline", async ({ url, queue }) => {
  const inner = texts(`${queue}.inner`);
  const stopped = Promise.withResolvers<unknown>();
  const nested = Promise.withResolvers<RpcError>();
  await using back = await pair(url, inner, async (_, { signal }) => {
    stopped.resolve(await aborted(signal));
    return "";
  });
  await using front = await pair(url, texts(queue), async (request, { signal }) => {
    const call = back.client.call(inner, request, { signal, timeout: 30_000 });
    failure(call).then(nested.resolve, nested.reject);
    return await call;
  });
  const error = await failure(front.client.call(texts(queue), "", { timeout: 200 }));
  assertEquals(error.code, "deadline_exceeded");
  assertEquals((await nested.promise).code, "canceled");
  assert(await stopped.promise instanceof RpcError);
  await withChannel(url, (channel) => channel.deleteQueue(inner.queue));
});

live("RpcClient.call() rejects with resource_exhausted when the queue is full", async ({ url, queue }) => {
  const limited = procedure({ queue, queueType: "classic", request: text(), reply: text(), maxLength: 1 });
  // The queue is made by the server that leaves it.
  await using server = await startServer(url, limited, (request) => request);
  await server.close();
  await publishRaw(url, queue, "fills the queue");
  await using client = await connectClient(url);
  const start = performance.now();
  const error = await failure(client.call(limited, "", { timeout: 30_000 }));
  assertEquals([error.code, error.outcome], ["resource_exhausted", "unknown"]);
  assertLess(performance.now() - start, 5_000);
});

live('A plain request with the expiration "0", now or never, is run', async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  assertEquals((await plainCall(url, queue, "21", { expiration: "0" })).content.toString(), "42");
});
