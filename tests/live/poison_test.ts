import { connect } from "amqplib";
import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { integer, type Procedure, procedure, RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { double, type DoubleOptions } from "../support/lab_server.ts";
import { readLog, startServer } from "../support/lab.ts";
import { live, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { portOf, relay, through } from "../support/relay.ts";

function quorum(queue: string, options: DoubleOptions = {}): Procedure<number, number, number, number> {
  return double(queue, { queueType: "quorum", ...options });
}

/**
 * Takes a request as a server does, and dies of it, by its connection; gives how often it was delivered before, or
 * undefined if none comes until `over`.
 */
async function dieOf(url: string, queue: string, over: Promise<unknown> = new Promise(() => {})): Promise<unknown> {
  await using link = relay(portOf(url));
  const connection = await connect(through(url, link.port));
  connection.on("error", () => {});
  const closed = new Promise((resolve) => connection.on("close", resolve));
  const channel = await connection.createChannel();
  await channel.prefetch(1);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  await channel.consume(queue, (message) => resolve(message?.properties.headers?.["x-delivery-count"] ?? 0));
  const count = await Promise.race([promise, over.then(() => undefined)]);
  link.cut();
  await closed;
  return count;
}

/** Has `deaths` servers die of the request that waits in it. */
async function kill(url: string, queue: string, deaths: number): Promise<void> {
  for (let death = 0; death < deaths; death++) assertEquals(await dieOf(url, queue), death);
}

async function declare(url: string, queue: string, more: Record<string, unknown> = {}): Promise<void> {
  const args = { "x-queue-type": "quorum", ...more };
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true, arguments: args }));
}

live(
  "A request that kills the processes that run it ends as aborted, unknown",
  { run: true },
  async ({ url, queue }) => {
    const log = await Deno.makeTempFile();
    const maxDeliveries = 2;
    const procedures = [{ queue, queueType: "quorum", maxDeliveries }] as const;
    const config = { urls: [url], procedures, log, prefetch: 1, delay: 0, deadly: 13 };
    const called = quorum(queue, { maxDeliveries });
    await using client = await RpcClient.connect(url);
    await declare(url, queue);
    const call = client.call(called, 13).catch((error: unknown) => error);
    try {
      for (let death = 0; death < maxDeliveries; death++) {
        await using server = await startServer(config);
        assertEquals(await server.ended, 1);
      }
      await using server = await startServer(config);
      const error = await call;
      assertInstanceOf(error, RpcError);
      assertEquals([error.code, error.outcome], ["aborted", "unknown"]);
      assertStringIncludes(error.message, queue);
      assertStringIncludes(error.message, "2 times");
      assertEquals((await readLog(log))(queue, 13), { started: 2, finished: 0, aborted: 0 });
      assertEquals(await client.call(called, 4), 8);
      server.kill("SIGTERM");
      assertEquals(await server.ended, 0);
      assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
    } finally {
      await Deno.remove(log);
    }
  },
);

live("A request below maxDeliveries runs, and its handler is told how often it was delivered", async (use) => {
  const { url, queue } = use;
  await declare(url, queue);
  await using client = await RpcClient.connect(url);
  const call = client.call(quorum(queue), 21);
  await kill(url, queue, 2);
  await using server = await RpcServer.connect(url);
  const seen: unknown[] = [];
  await server.serve(quorum(queue, { maxDeliveries: 3 }), (n, { deliveryCount, redelivered }) => {
    seen.push(deliveryCount, redelivered);
    return 2 * n;
  });
  assertEquals(await call, 42);
  assertEquals(seen, [2, true]);
});

for (const limit of [{ "x-delivery-limit": 20 }, {}]) {
  live(`By default a request is refused after 10 deliveries (queue ${JSON.stringify(limit)})`, async (use) => {
    const { url, queue } = use;
    await declare(url, queue, limit);
    await using client = await RpcClient.connect(url);
    const call = client.call(quorum(queue), 21).catch((error: unknown) => error);
    await kill(url, queue, 10);
    await using server = await RpcServer.connect(url);
    let runs = 0;
    await server.serve(quorum(queue), (n) => {
      runs++;
      return n;
    });
    const error = await call;
    assertInstanceOf(error, RpcError);
    assertEquals([error.code, error.outcome, runs], ["aborted", "unknown", 0]);
  });
}

live("A poisonous request goes to the dead-letter exchange where there is one", async ({ url, queue }) => {
  const dead = `${queue}.dead`;
  await withChannel(url, (channel) => channel.assertQueue(dead));
  const called = quorum(queue, { maxDeliveries: 1, deadLetterExchange: "", deadLetterRoutingKey: dead });
  await declare(url, queue, { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead });
  await using client = await RpcClient.connect(url);
  const call = client.call(called, 21).catch((error: unknown) => error);
  await kill(url, queue, 1);
  await using server = await RpcServer.connect(url);
  await server.serve(called, (n) => n);
  const error = await call;
  assertInstanceOf(error, RpcError);
  assertEquals([error.code, error.outcome], ["aborted", "unknown"]);
  const message = await withChannel(
    url,
    (channel) => waitFor("it is dead-lettered", () => channel.get(dead, { noAck: true })),
  );
  assertEquals(message.content.toString(), "21");
  assertEquals(message.properties.headers?.["x-death"]?.[0]?.reason, "rejected");
  await withChannel(url, (channel) => channel.deleteQueue(dead));
});

live("A poisonous request of a plain client without expiration ends too", async ({ url, queue }) => {
  await declare(url, queue);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    await publishRaw(url, queue, "21", { replyTo, correlationId: "c" });
    await kill(url, queue, 2);
    await using server = await RpcServer.connect(url);
    await server.serve(quorum(queue, { maxDeliveries: 2 }), (n) => n);
    const reply = await waitFor("it is answered", () => channel.get(replyTo, { noAck: true }));
    assertEquals([reply.properties.type, reply.properties.correlationId], ["rpc.error", "c"]);
    const { code, outcome } = JSON.parse(reply.content.toString());
    assertEquals([code, outcome], ["aborted", "unknown"]);
    await waitFor("the queue is empty", async () => (await queueInfo(url, queue))?.messages === 0);
  });
});

live("With idempotent: false a request that has killed its server is not run again", async ({ url, queue }) => {
  await declare(url, queue);
  const called = quorum(queue, { idempotent: false });
  await using client = await RpcClient.connect(url);
  const call = client.call(called, 21).catch((error: unknown) => error);
  await kill(url, queue, 1);
  await using server = await RpcServer.connect(url);
  let runs = 0;
  await server.serve(called, (n) => {
    runs++;
    return n;
  });
  const error = await call;
  assertInstanceOf(error, RpcError);
  assertEquals([error.code, error.outcome, runs], ["aborted", "unknown", 0]);
});

live("On a classic queue a request with an expiration does not go round for ever", async ({ url, queue }) => {
  await withChannel(url, (channel) => channel.assertQueue(queue));
  await using client = await RpcClient.connect(url);
  const called = procedure({ queue, queueType: "classic", request: integer(), reply: integer(), idempotent: true });
  const began = performance.now();
  const call = assertRejects(() => client.call(called, 13, { timeout: 1_000 }), RpcError);
  let deaths = 0;
  while (await dieOf(url, queue, call) !== undefined) deaths++;
  const error = await call;
  assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
  assertLess(performance.now() - began, 3_000);
  assert(deaths > 1, `${deaths} servers died of it`);
  await waitFor("the queue is empty", async () => (await queueInfo(url, queue))?.messages === 0);
});

live(
  "Requests that a dying server held beside the deadly one are run by another",
  { run: true },
  async ({ url, queue }) => {
    const log = await Deno.makeTempFile();
    const config = { urls: [url], log, prefetch: 10, delay: 20 };
    const called = quorum(queue, { maxDeliveries: 3 });
    await declare(url, queue);
    await using client = await RpcClient.connect(url);
    const numbers = [1, 2, 3, 13];
    const calls = Promise.all(numbers.map((n) => client.call(called, n).catch((error: unknown) => error)));
    try {
      {
        const procedures = [{ queue, queueType: "quorum", maxDeliveries: 1 }] as const;
        await using server = await startServer({ ...config, procedures, deadly: 13 });
        assertEquals(await server.ended, 1);
      }
      await using _server = await startServer({
        ...config,
        procedures: [{ queue, queueType: "quorum", maxDeliveries: 3 }],
      });
      assertEquals(await calls, numbers.map((n) => 2 * n));
    } finally {
      await Deno.remove(log);
    }
  },
);

for (const [maxDeliveries, code] of [[2, "aborted"], [3, "deadline_exceeded"]] as const) {
  live(`With a delivery limit of 2 at the broker and ${maxDeliveries} of ours, a call ends in ${code}`, async (use) => {
    const { url, queue } = use;
    const dead = `${queue}.dead`;
    await withChannel(url, (channel) => channel.assertQueue(dead));
    const letters = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead };
    await declare(url, queue, { "x-delivery-limit": 2, ...letters });
    await using client = await RpcClient.connect(url);
    const began = performance.now();
    const call = client.call(quorum(queue, { maxDeliveries }), 21, { timeout: 3_000 }).catch((error: unknown) => error);
    // The broker drops what was delivered once more than its limit.
    await kill(url, queue, maxDeliveries);
    await using server = await RpcServer.connect(url, { onEvent: () => {} });
    let runs = 0;
    await server.serve(quorum(queue, { maxDeliveries }), (n) => {
      runs++;
      return n;
    });
    const error = await call;
    assertInstanceOf(error, RpcError);
    assertEquals([error.code, error.outcome, runs], [code, "unknown", 0]);
    if (code === "deadline_exceeded") assert(performance.now() - began >= 3_000);
    const message = await withChannel(
      url,
      (channel) => waitFor("it is dead-lettered", () => channel.get(dead, { noAck: true })),
    );
    const reason = message.properties.headers?.["x-death"]?.[0]?.reason;
    assertEquals(reason, code === "aborted" ? "rejected" : "delivery_limit");
    await withChannel(url, (channel) => channel.deleteQueue(dead));
  });
}
