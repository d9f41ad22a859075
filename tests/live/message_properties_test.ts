import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import type { ConsumeMessage } from "amqplib";
import { RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { double } from "../support/lab_server.ts";
import { live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";

/** Consumes a queue as a plain peer does, and gives what arrives. */
async function serveRaw(
  url: string,
  queue: string,
  answer: (message: ConsumeMessage, reply: (body: string, properties?: object) => void) => void,
  during: () => Promise<void>,
): Promise<void> {
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue, { durable: true });
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const { replyTo, correlationId } = message.properties;
      answer(message, (body, properties = {}) => {
        channel.sendToQueue(replyTo, Buffer.from(body), { correlationId, ...properties });
      });
      channel.ack(message);
    });
    await during();
  });
}

live("A request has the properties of the wire protocol, and its body is the encoded value", async ({ url, queue }) => {
  const seen: ConsumeMessage[] = [];
  await serveRaw(url, queue, (message, reply) => {
    seen.push(message);
    reply("42");
  }, async () => {
    await using client = await RpcClient.connect(url);
    assertEquals(await client.call(double(queue), 21, { timeout: 4_321 }), 42);
    assertEquals(await client.call(double(queue), 21), 42);
  });
  const [first, second] = seen;
  assert(first !== undefined && second !== undefined);
  const { properties, content, fields } = first;
  assertEquals(content.toString(), "21");
  assertMatch(properties.replyTo, /^amq\.gen-/);
  assertMatch(properties.correlationId, /^[0-9a-f-]{36}$/);
  assertEquals(properties.messageId, properties.correlationId);
  // What is left of it when it is written.
  const expiration = Number(properties.expiration);
  assert(expiration > 4_000 && expiration <= 4_321, `${expiration}`);
  assertEquals(properties.deliveryMode, 1);
  assertEquals(properties.contentType, "text/plain");
  assertEquals([properties.type, fields.exchange, fields.routingKey], [undefined, "", queue]);
  assert(properties.correlationId !== second.properties.correlationId);
  assert(Number(second.properties.expiration) > 29_000, second.properties.expiration);
});

live(
  "A reply has the request's correlation id, no type, and its body is the encoded result",
  async ({ url, queue }) => {
    await using server = await RpcServer.connect(url);
    await server.serve(double(queue), (n) => 2 * n);
    const { content, properties } = await plainCall(url, queue, "21", { correlationId: "mine" });
    assertEquals([content.toString(), properties.correlationId, properties.type], ["42", "mine", undefined]);
  },
);

live("An error reply has the type rpc.error and a JSON body without a stack", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), () => {
    throw new RpcError("not_found", "No such number", { details: { n: 1 } });
  });
  const { content, properties } = await plainCall(url, queue, "21");
  assertEquals([properties.type, properties.contentType], ["rpc.error", "application/json"]);
  assertEquals(JSON.parse(content.toString()), {
    code: "not_found",
    message: "No such number",
    outcome: "executed",
    details: { n: 1 },
  });
});

live("A request is acknowledged only after its reply is confirmed", async ({ url, queue }) => {
  // A full queue that rejects what is published nacks every reply.
  const full = `${queue}.full`;
  await withChannel(url, async (channel) => {
    await channel.assertQueue(full, {
      durable: true,
      arguments: { "x-max-length": 1, "x-overflow": "reject-publish" },
    });
    await channel.assertQueue(queue, { durable: true });
  });
  await publishRaw(url, full, "in the way");
  try {
    await using picky = await RpcServer.connect(url, { replyTo: (name) => name === full });
    let runs = 0;
    await picky.serve(double(queue), (n) => {
      runs++;
      return 2 * n;
    });
    await publishRaw(url, queue, "21", { replyTo: full, correlationId: "c", expiration: "20000" });
    await waitFor("the handler has run", () => runs === 1);
    assertEquals(picky.pending, 1);
    await withChannel(url, async (channel) => {
      await channel.purgeQueue(full);
      // Nacked replies are published again: once there is room the reply comes, and the request ran once.
      const reply = await waitFor("the reply has arrived", () => channel.get(full, { noAck: true }));
      assertEquals(reply.content.toString(), "42");
    });
    await waitFor("the request is acknowledged", () => picky.pending === 0);
    assertEquals([runs, (await queueInfo(url, queue))?.messages], [1, 0]);
  } finally {
    await withChannel(url, (channel) => channel.deleteQueue(full));
  }
});

live(
  "A reply that comes back because the caller has left is counted, and the request is gone",
  async ({ url, queue }) => {
    const events: ServerEvent[] = [];
    await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event) });
    await server.serve(double(queue), (n) => 2 * n);
    await publishRaw(url, queue, "21", { replyTo: "amq.gen-nobody-has-this-one", correlationId: "c" });
    await waitFor("the caller is known to have left", () => events.some(({ type }) => type === "caller_left"));
    await waitFor("the request is acknowledged", () => server.pending === 0);
    assertEquals((await queueInfo(url, queue))?.messages, 0);
  },
);

for (const timeout of [0, -1, 1.5, NaN, 2_147_483_648, Infinity]) {
  live(
    `RpcClient.call() gives a RangeError for the timeout ${timeout}, and publishes nothing`,
    async ({ url, queue }) => {
      await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
      await using client = await RpcClient.connect(url);
      await assertRejects(() => client.call(double(queue), 1, { timeout }), RangeError, "'timeout' must be an integer");
      assertEquals([client.pending, (await queueInfo(url, queue))?.messages], [0, 0]);
    },
  );
}

live("RpcClient.call() takes the largest timeout that there is", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 21, { timeout: 2_147_483_647 }), 42);
});
