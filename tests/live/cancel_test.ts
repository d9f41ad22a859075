import { assert, assertEquals, assertLess } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Options } from "amqplib";
import { RpcError } from "../../lib/rpc.ts";
import { live, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, failure, heard, pair, startServer, texts, told } from "../support/pair.ts";
import { tap } from "../support/tap.ts";
import { watchListeners } from "../support/watch_listeners.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { aborted, sleep } from "../support/handlers.ts";
import { plainServer } from "../support/plain_server.ts";

/** A handler that notes which requests run, and how each ends. */
class Work {
  readonly running = new Set<string>();
  readonly stopped = new Map<string, RpcError>();
  readonly #finish = Promise.withResolvers<void>();

  /** Lets those that run give their result. */
  finish(): void {
    this.#finish.resolve();
  }

  readonly handler = async (request: string, { signal }: { signal: AbortSignal }): Promise<string> => {
    this.running.add(request);
    const reason = await Promise.race([aborted(signal), this.#finish.promise]);
    this.running.delete(request);
    if (reason === undefined) return `did ${request}`;
    assert(reason instanceof RpcError);
    this.stopped.set(request, reason);
    throw reason;
  };
}

live("RpcClient.call() rejects with canceled at once, and its handler is stopped", async ({ url, queue }) => {
  const work = new Work();
  await using p = await pair(url, texts(queue), work.handler);
  const controller = new AbortController();
  const ended = failure(p.client.call(texts(queue), "a", { signal: controller.signal, timeout: 30_000 }));
  await waitFor("the handler runs", () => work.running.size === 1);
  const reason = new Error("Changed my mind");
  const start = performance.now();
  controller.abort(reason);
  assertEquals(p.client.pending, 0);
  const error = await ended;
  assertLess(performance.now() - start, 1_000);
  assertEquals([error.code, error.outcome, error.cause], ["canceled", "unknown", reason]);
  await waitFor("the handler is stopped", () => work.stopped.get("a")?.code === "canceled");
  await waitFor("the server counts it", () => told(p.server, "canceled_request").length === 1);
  assertEquals((await queueInfo(url, queue))?.messages, 0);
});

live("RpcClient.call() with an aborted signal rejects with canceled and sends nothing", async ({ url, queue }) => {
  await using link = tap(url);
  await using client = await connectClient(link.url);
  link.methods.length = 0;
  const error = await failure(client.call(texts(queue), "", { signal: AbortSignal.abort("why not") }));
  assertEquals([error.code, error.outcome, error.cause], ["canceled", "not_executed", "why not"]);
  assertEquals(client.pending, 0);
  assertEquals(link.methods, []);
});

live("RpcClient.call() that is aborted before it was written ends with not_executed", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port), { heartbeat: 0 });
  link.stall();
  link.cut();
  await waitFor("the connection is lost", () => heard(client, "disconnected").length === 1);
  const controller = new AbortController();
  const ended = failure(client.call(texts(queue), "", { signal: controller.signal }));
  controller.abort();
  const error = await ended;
  assertEquals([error.code, error.outcome], ["canceled", "not_executed"]);
});

live("RpcClient.call() over direct reply-to is canceled like any other", async ({ url, queue }) => {
  const work = new Work();
  await using _server = await startServer(url, texts(queue), work.handler);
  await using client = await connectClient(url, { replies: "direct" });
  const controller = new AbortController();
  const ended = failure(client.call(texts(queue), "a", { signal: controller.signal }));
  await waitFor("the handler runs", () => work.running.size === 1);
  controller.abort();
  assertEquals((await ended).code, "canceled");
  await waitFor("the handler is stopped", () => work.stopped.size === 1);
});

live("Canceling 100 of 200 running calls over two servers stops exactly those 100 handlers", async ({ url, queue }) => {
  const work = [new Work(), new Work()] as const;
  await using first = await startServer(url, texts(queue), work[0].handler, { prefetch: 100 });
  await using second = await startServer(url, texts(queue), work[1].handler, { prefetch: 100 });
  await using one = await connectClient(url);
  await using other = await connectClient(url);
  const calls = Array.from({ length: 200 }, (_, i) => {
    const controller = new AbortController();
    const client = i % 4 < 2 ? one : other;
    const settled = Promise.allSettled([client.call(texts(queue), `${i}`, { signal: controller.signal })]);
    return { i, controller, settled };
  });
  await waitFor("all run", () => work[0].running.size === 100 && work[1].running.size === 100);

  // Every other group of four: some of either client, and some on either server however the broker deals.
  const isCanceled = (i: number): boolean => Math.floor(i / 4) % 2 === 1;
  const canceled = calls.filter(({ i }) => isCanceled(i));
  for (const { controller } of canceled) controller.abort();
  await waitFor("100 are stopped", () => work[0].stopped.size + work[1].stopped.size === 100);
  await waitFor(
    "both servers have counted them",
    () => [first, second].flatMap((server) => told(server, "canceled_request")).length === 100,
  );
  const stopped = [...work[0].stopped.keys(), ...work[1].stopped.keys()];
  assertEquals(new Set(stopped), new Set(canceled.map(({ i }) => `${i}`)));
  // So that each of the two had some to stop.
  assert(work[0].stopped.size > 0 && work[1].stopped.size > 0);
  assertEquals(first.pending + second.pending, 100);

  work[0].finish();
  work[1].finish();
  for (const { i, settled } of calls) {
    const [result] = await settled;
    if (!isCanceled(i)) assertEquals(result, { status: "fulfilled", value: `did ${i}` });
    else assert(result.status === "rejected" && result.reason instanceof RpcError && result.reason.code === "canceled");
  }
  assertEquals(work[0].stopped.size + work[1].stopped.size, 100);
  await waitFor("the servers are idle", () => first.pending + second.pending === 0);
  assertEquals([one.pending, other.pending], [0, 0]);
});

live("An abort and a passed deadline each publish one cancel with the call's id", async ({ url, queue }) => {
  await using server = await plainServer(url, queue, ({ ack }) => ack());
  await using client = await connectClient(url);
  await withChannel(url, async (channel) => {
    const ids: unknown[] = [];
    await channel.assertExchange("rpc.control", "direct", { durable: true });
    const { queue: cancels } = await channel.assertQueue("", { exclusive: true });
    await channel.bindQueue(cancels, "rpc.control", queue);
    await channel.consume(cancels, (message) => ids.push(message?.properties.correlationId), { noAck: true });

    const controller = new AbortController();
    const canceled = failure(client.call(texts(queue), "canceled", { signal: controller.signal }));
    await waitFor("the request has arrived", () => server.received.length === 1);
    controller.abort();
    await canceled;
    await failure(client.call(texts(queue), "expired", { timeout: 100 }));
    await waitFor("two cancels", () => ids.length === 2);
    assertEquals(ids, server.received.map(({ message }) => message.properties.correlationId));
  });
});

live("A canceled request that waits in the queue is not started when its turn comes", async ({ url, queue }) => {
  const work = new Work();
  await using p = await pair(url, texts(queue), work.handler, { prefetch: 1 });
  const running = new AbortController();
  const first = failure(p.client.call(texts(queue), "first", { signal: running.signal }));
  await waitFor("the first runs", () => work.running.has("first"));
  const waiting = new AbortController();
  const second = failure(p.client.call(texts(queue), "second", { signal: waiting.signal }));
  await waitFor("the second waits", async () => (await queueInfo(url, queue))?.messages === 1);
  waiting.abort();
  // Cancels arrive in the order in which they are sent: when the first has been stopped, the other is known.
  running.abort();
  assertEquals([(await first).code, (await second).code], ["canceled", "canceled"]);
  await waitFor("both are counted", () => told(p.server, "canceled_request").length === 2);
  work.finish();
  assertEquals(await p.client.call(texts(queue), "third"), "did third");
  assertEquals([...work.stopped.keys()], ["first"]);
});

/** Publishes cancels as another client does. */
async function publishCancels(url: string, queue: string, cancels: Options.Publish[]): Promise<void> {
  await withChannel(url, async (channel) => {
    for (const cancel of cancels) channel.publish("rpc.control", queue, Buffer.from(""), { type: "cancel", ...cancel });
    // The answer to this comes when all before it has been routed.
    await channel.checkExchange("rpc.control");
  });
}

live("A server remembers a cancel until its request would have expired, and no longer", async ({ url, queue }) => {
  const seen: string[] = [];
  const stopped = Promise.withResolvers<void>();
  await using server = await startServer(url, texts(queue), async (request, { signal }) => {
    seen.push(request);
    if (request === "marker") {
      await aborted(signal);
      stopped.resolve();
    }
    return request;
  });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from("marker"), { replyTo, correlationId: "marker" });
    await waitFor("the marker runs", () => seen.length === 1);
    await publishCancels(url, queue, [
      { correlationId: "long", expiration: "60000" },
      { correlationId: "short", expiration: "100" },
      { correlationId: "marker", expiration: "60000" },
    ]);
    await stopped.promise;
    await sleep(150);
    channel.sendToQueue(queue, Buffer.from("long"), { replyTo, correlationId: "long", messageId: "long" });
    channel.sendToQueue(queue, Buffer.from("short"), { replyTo, correlationId: "short", messageId: "short" });
    await waitFor("the last is run", () => seen.includes("short"));
    assertEquals(seen, ["marker", "short"]);
    assertEquals(told(server, "canceled_request").map(({ messageId }) => messageId), [undefined, "long"]);
  });
});

live("A cancel of another call, or one that says nothing usable, stops nothing", async ({ url, queue }) => {
  const work = new Work();
  await using p = await pair(url, texts(queue), work.handler);
  const marker = new AbortController();
  const call = p.client.call(texts(queue), "a");
  const marked = failure(p.client.call(texts(queue), "marker", { signal: marker.signal }));
  await waitFor("both run", () => work.running.size === 2);
  await publishCancels(url, queue, [
    { correlationId: crypto.randomUUID(), expiration: "60000" },
    { correlationId: "", expiration: "60000" },
    { correlationId: "no expiration" },
    { expiration: "60000" },
    { headers: { "x-odd": [1, null, { a: 1n === 1n }] }, contentType: "text/html" },
  ]);
  marker.abort();
  await marked;
  await waitFor("the marker is stopped", () => work.stopped.size === 1);
  assertEquals([...work.running], ["a"]);
  work.finish();
  assertEquals(await call, "did a");
});

live("A call that is not canceled costs one publish and nothing else", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (request) => request);
  await using link = tap(url);
  await using client = await connectClient(link.url);
  link.methods.length = 0;
  const { signal } = new AbortController();
  for (let i = 0; i < 10; i++) assertEquals(await client.call(texts(queue), `${i}`, { signal }), `${i}`);
  assertEquals(link.methods, Array.from({ length: 10 }, () => `basic.publish /${queue}`));
});

live("A canceled call in a handler ends with the call that the handler serves", async ({ url, queue }) => {
  const inner = texts(`${queue}.inner`);
  const work = new Work();
  await using back = await pair(url, inner, work.handler);
  await using front = await pair(url, texts(queue), async (request, { signal }) => {
    return await back.client.call(inner, request, { signal });
  });
  const controller = new AbortController();
  const ended = failure(front.client.call(texts(queue), "a", { signal: controller.signal }));
  await waitFor("the inner handler runs", () => work.running.size === 1);
  controller.abort();
  await ended;
  await waitFor("the inner handler is stopped", () => work.stopped.get("a")?.code === "canceled");
  assertEquals(back.client.pending, 0);
  await withChannel(url, (channel) => channel.deleteQueue(inner.queue));
});

live("A canceled handler that ends in its result all the same sends no reply", async ({ url, queue }) => {
  const ended = Promise.withResolvers<void>();
  await using p = await pair(url, texts(queue), async (request, { signal }) => {
    if (request === "a") {
      await aborted(signal);
      ended.resolve();
    }
    return request;
  });
  const controller = new AbortController();
  const canceled = failure(p.client.call(texts(queue), "a", { signal: controller.signal }));
  await waitFor("the handler runs", () => p.server.pending === 1);
  controller.abort();
  await canceled;
  await ended.promise;
  await waitFor("the server is idle", () => p.server.pending === 0);
  // Replies go over one channel, so that this one would come after it.
  assertEquals(await p.client.call(texts(queue), "b"), "b");
  assertEquals(heard(p.client, "late_reply"), []);
});

live("RpcClient.call() leaves no abort listener behind, however it ends", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), async (request, { signal }) => {
    if (request === "result") return request;
    if (request === "error") throw new RpcError("not_found", "Cannot find it");
    await aborted(signal);
    return "";
  });
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = watchListeners(signal);
  const missing = texts(`${queue}.missing`);
  await p.client.call(texts(queue), "result", { signal });
  await failure(p.client.call(texts(queue), "error", { signal }));
  await failure(p.client.call(texts(queue), "deadline", { signal, timeout: 50 }));
  await failure(p.client.call(missing, "missing", { signal }));
  await failure(p.client.call(missing, "missing", { signal, failFast: true }));
  assertEquals(listeners(), 0);
  const last = failure(p.client.call(texts(queue), "abort", { signal }));
  assertEquals(listeners(), 1);
  controller.abort();
  await last;
  assertEquals(listeners(), 0);
});

live("RpcServer.close() leaves no timer for a cancel that comes while it closes", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const server = await startServer(through(url, link.port), texts(queue), (request) => request, {
    heartbeat: 0,
    drainTimeout: 50,
  });
  link.stall();
  await publishCancels(url, queue, [{ correlationId: "a", expiration: "60000" }]);
  const closing = server.close();
  // By then it has given up to drain, and closes its channels.
  await sleep(200);
  link.resume();
  await closing;
  // The sanitizer of the test sees a timer that is left.
});

live("callerAlive() is true while the caller waits, and false when it has left", async ({ url, queue }) => {
  const alive: boolean[] = [];
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const left = Promise.withResolvers<void>();
  await using server = await startServer(url, texts(queue), async (request, context) => {
    alive.push(await context.callerAlive());
    asked[0].resolve();
    await left.promise;
    alive.push(await context.callerAlive());
    asked[1].resolve();
    return request;
  });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from("a"), { replyTo, messageId: "a" });
    await asked[0].promise;
  });
  left.resolve();
  await asked[1].promise;
  assertEquals(alive, [true, false]);
  // Its reply comes back: it is counted, and the request is gone.
  const [event] = await waitFor("the returned reply is counted", () => {
    const events = told(server, "caller_left");
    return events.length > 0 && events;
  });
  assertEquals(event?.messageId, "a");
  await server.close();
  assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
});
