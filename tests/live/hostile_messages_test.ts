/**
 * Messages that are meant to do harm, or do it by chance: each is refused or served, and nobody else notices.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Channel, ConsumeMessage } from "amqplib";
import { frameTransport } from "../../lib/connection/frame_transport.ts";
import { bytes, procedure, type RpcServer } from "../../lib/rpc.ts";
import { deleteQueue, live, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, heard, pair, texts, told } from "../support/pair.ts";
import { entry, nestedTables, publishRawTable } from "../support/raw_message.ts";
import { sleep } from "../support/handlers.ts";

/** How long hostile messages come, in ms. */
const HOSTILE_MS = 1_200;
/** How long a call may take beside it: RabbitMQ 4 may be busy with odd headers for a while on a busy machine. */
const PATIENCE_MS = 5_000;

/** A direct address as RabbitMQ makes them, of a node with this name. */
function directAddress(node: string): string {
  const name = new TextEncoder().encode(node);
  const pid = Uint8Array.of(131, 88, 119, name.length, ...name, 0, 0, 2, 188, 0, 0, 0, 0, 0x6b, 6, 0x5f, 0x14);
  return `amq.rabbitmq.reply-to.${Buffer.from(pid).toString("base64")}.${
    Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64")
  }`;
}

/** `sent_at` as py-amqp writes integers beyond 32 bits. */
const PY_AMQP = entry("sent_at", "L", Uint8Array.of(0, 0, 1, 0x9a, 0xb7, 0x2e, 0x58, 0));

/** Sends what `publish` publishes, every `interval` ms, beside a client that must not notice. */
async function besideGoodClient(
  url: string,
  queue: string,
  publish: (channel: Channel, n: number) => void,
  interval = 10,
): Promise<{ readonly server: RpcServer } & AsyncDisposable> {
  await using rest = new AsyncDisposableStack();
  const both = rest.use(await pair(url, texts(queue), (text) => text, { prefetch: 10 }));
  await withChannel(url, async (channel) => {
    const until = performance.now() + HOSTILE_MS;
    async function call(): Promise<void> {
      for (let n = 0; performance.now() < until; n++) {
        assertEquals(await both.client.call(texts(queue), `${n}`, { timeout: PATIENCE_MS }), `${n}`);
      }
    }
    async function harm(): Promise<void> {
      for (let n = 0; performance.now() < until; n++) {
        publish(channel, n);
        await sleep(interval);
      }
    }
    await Promise.all([call(), harm()]);
  });
  assertEquals([heard(both.client, "disconnected"), told(both.server, "disconnected")], [[], []]);
  await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
  const kept = rest.move();
  return { server: both.server, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

live("Direct addresses that the broker cannot decode disturb nobody", async ({ url, queue }) => {
  const addresses = [".YWJj.Zm9v", ".AAAA.x", ".x", ".", "...", `.${"A".repeat(200)}.x`, "\n.YWJj.Zm9v", "\r\n.AAAA.x"];
  await using served = await besideGoodClient(url, queue, (channel, n) => {
    const replyTo = `amq.rabbitmq.reply-to${addresses[n % addresses.length]}`;
    channel.sendToQueue(queue, Buffer.from("1"), { replyTo, correlationId: `${n}` });
  });
  assert(told(served.server, "rejected_request").length > 50);
});

live("Direct addresses of nodes that are not there disturb nobody", async ({ url, queue }) => {
  await using _served = await besideGoodClient(url, queue, (channel, n) => {
    channel.sendToQueue(queue, Buffer.from("1"), { replyTo: directAddress(`reply@${n}`), correlationId: `${n}` });
  });
});

live("A direct caller that has been answered is not disturbed by addresses of other nodes", async ({ url, queue }) => {
  await using both = await pair(url, texts(queue), (text) => text, { prefetch: 10 });
  await using client = await connectClient(url, { replies: "direct" });
  assertEquals(await client.call(texts(queue), "first"), "first");
  await withChannel(url, async (channel) => {
    for (let n = 0; n < 20; n++) {
      channel.sendToQueue(queue, Buffer.from("1"), { replyTo: directAddress(`reply@${n}`), correlationId: `${n}` });
      assertEquals(await client.call(texts(queue), `${n}`, { timeout: PATIENCE_MS }), `${n}`);
    }
  });
  assertEquals(told(both.server, "disconnected"), []);
});

live("callerAlive() asks the broker nothing about a direct address", async ({ url, queue }) => {
  const alive: boolean[] = [];
  await using both = await pair(url, texts(queue), async (text, context) => {
    alive.push(await context.callerAlive());
    return text;
  });
  await withChannel(url, async (channel) => {
    channel.sendToQueue(queue, Buffer.from("1"), { replyTo: directAddress("reply@1"), correlationId: "1" });
    await waitFor("the handler has asked", () => alive.length === 1);
  });
  assertEquals(alive, [true]);
  assertEquals(await both.client.call(texts(queue), "2"), "2");
  assertEquals(told(both.server, "disconnected"), []);
});

live("A correlation id and body that hold frames reach the caller as they are", async ({ url, queue }) => {
  const victim = `${queue}.victim`;
  const mirror = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
  await using _victim = { [Symbol.asyncDispose]: () => deleteQueue(url, victim) };
  await using both = await pair(url, mirror, (body) => body, { prefetch: 2 });
  await withChannel(url, async (channel) => {
    await channel.assertQueue(victim);
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const replies: ConsumeMessage[] = [];
    await channel.consume(replyTo, (message) => message && replies.push(message), { noAck: true });
    const deletes = Array.from({ length: 8 }, (_, n) => queueDelete(n + 1, victim));
    const body = Buffer.concat([Buffer.from([0xce]), ...deletes]);
    for (const [correlationId, content] of [["plain", Buffer.alloc(600)], ["é", body], ["ü", body]] as const) {
      channel.sendToQueue(queue, content, { replyTo, correlationId });
    }
    await waitFor("all are answered", () => replies.length === 3);
    const found = replies.map(({ properties, content }) => [properties.correlationId, content.length]);
    assertEquals(found, [["plain", 600], ["é", body.length], ["ü", body.length]]);
    assertEquals((await channel.checkQueue(victim)).messageCount, 0);
  });
  assertEquals(told(both.server, "disconnected"), []);
});

/** The frame of a method queue.delete. */
function queueDelete(channel: number, name: string): Buffer {
  const frame = Buffer.alloc(7 + 4 + 2 + 1 + name.length + 1 + 1);
  frame.writeUInt8(1, 0);
  frame.writeUInt16BE(channel, 1);
  frame.writeUInt32BE(frame.length - 8, 3);
  frame.writeUInt16BE(50, 7);
  frame.writeUInt16BE(40, 9);
  frame.writeUInt8(name.length, 13);
  frame.write(name, 14);
  frame.writeUInt8(0xce, frame.length - 1);
  return frame;
}

live("A request that is not ASCII is answered by an error beside others", async ({ url, queue }) => {
  await using both = await pair(url, texts(queue), (text) => {
    if (text === "bad") throw new Error("bad");
    return text;
  }, { prefetch: 20 });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const ids: unknown[] = [];
    await channel.consume(replyTo, (message) => ids.push(message?.properties.correlationId), { noAck: true });
    for (let n = 0; n < 10; n++) {
      channel.sendToQueue(queue, Buffer.from(n % 2 ? "bad" : "good"), { replyTo, correlationId: `ü${n}` });
    }
    await waitFor("all are answered", () => ids.length === 10);
    assertEquals(ids, Array.from({ length: 10 }, (_, n) => `ü${n}`));
  });
  assertEquals(told(both.server, "disconnected"), []);
});

const TABLES = [
  // RabbitMQ 4 itself takes 150 ms to deliver 5,000 levels, and delivers nothing else from the queue meanwhile.
  ["nested thousands deep", nestedTables(15_000), nestedTables(5_000), 500],
  ["as py-amqp writes them", PY_AMQP, PY_AMQP, 10],
] as const;

// Where amqplib decodes what comes, it gives the connection up.
for (const [what, headers, often, interval] of frameTransport.enabled ? TABLES : []) {
  live(`Headers ${what} disturb no server`, async ({ url, queue }) => {
    await using _served = await besideGoodClient(url, queue, (channel, n) => {
      const message = { routingKey: queue, correlationId: `${n}`, headers: often, body: "1" };
      publishRawTable(channel, message);
      publishRawTable(channel, { ...message, exchange: "rpc.control" });
    }, interval);
  });

  live(`A request with headers ${what} is served`, async ({ url, queue }) => {
    await using _both = await pair(url, texts(queue), (text) => `${text}!`);
    await withChannel(url, async (channel) => {
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      const { promise, resolve } = Promise.withResolvers<string>();
      await channel.consume(replyTo, (message) => message && resolve(message.content.toString()), { noAck: true });
      publishRawTable(channel, { routingKey: queue, correlationId: "1", replyTo, headers, body: "odd" });
      assertEquals(await promise, "odd!");
    });
  });

  live(`ReplyPublisher with headers ${what} disturb no client`, async ({ url, queue }) => {
    await using client = await connectClient(url);
    await withChannel(url, async (channel) => {
      await channel.assertQueue(queue, { durable: true });
      const asked = Promise.withResolvers<ConsumeMessage>();
      await channel.consume(queue, (message) => message && asked.resolve(message), { noAck: true });
      const calling = client.call(texts(queue), "1");
      const { properties: { replyTo, correlationId } } = await asked.promise;
      publishRawTable(channel, { routingKey: replyTo, correlationId: "x", headers, body: "stranger" });
      publishRawTable(channel, { routingKey: replyTo, correlationId, headers, body: "odd" });
      assertEquals(await calling, "odd");
    });
    assertEquals(heard(client, "disconnected"), []);
  });
}
