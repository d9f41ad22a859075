/**
 * Which queues a server answers to: those that a caller has for itself, and those that the server's options name.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Channel, ConsumeMessage } from "amqplib";
import { frameTransport } from "../../lib/connection/frame_transport.ts";
import { live, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { startServer, texts, told } from "../support/pair.ts";
import { connectPeer, toQueue } from "../support/peer.ts";
import { denoArgs, start } from "../support/script.ts";
import { tap } from "../support/tap.ts";

/** Notes what comes to a queue. */
async function collect(channel: Channel, queue: string): Promise<ConsumeMessage[]> {
  const messages: ConsumeMessage[] = [];
  await channel.consume(queue, (message) => message && messages.push(message), { noAck: true });
  return messages;
}

live(
  "An exclusive queue that its client has named is answered, as aio-pika and kombu do it",
  async ({ url, queue }) => {
    await using _server = await startServer(url, texts(queue), (text) => `${text}!`);
    await withChannel(url, async (channel) => {
      const { queue: replyTo } = await channel.assertQueue(`${queue}.callback`, { exclusive: true, autoDelete: true });
      const replies = await collect(channel, replyTo);
      channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: "1" });
      await waitFor("it is answered", () => replies.length === 1);
      assertEquals(replies[0]?.content.toString(), "Ada!");
    });
  },
);

live("A queue of somebody's, or one that does not exist, is not answered", async ({ url, queue }) => {
  let runs = 0;
  await using server = await startServer(url, texts(queue), () => `${++runs}`);
  await withChannel(url, async (channel) => {
    const shared = [`${queue}.durable`, `${queue}.deleted`] as const;
    await channel.assertQueue(shared[0], { durable: true });
    await channel.assertQueue(shared[1], { durable: true, autoDelete: true });
    for (const replyTo of [...shared, `${queue}.missing`, queue]) {
      channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: "1" });
    }
    await waitFor("all are counted", () => told(server, "rejected_request").length === 4);
    for (const name of shared) assertEquals((await channel.deleteQueue(name)).messageCount, 0);
  });
  assertEquals([runs, (await queueInfo(url, queue))?.messages], [0, 0]);
});

live("A queue of somebody's is answered where the server's replyTo option allows it", async ({ url, queue }) => {
  const options = { replyTo: (name: string) => name.endsWith(".shared") };
  await using _server = await startServer(url, texts(queue), (text) => `${text}!`, options);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue(`${queue}.shared`, { durable: true });
    channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: "1" });
    const reply = await waitFor("it is answered", () => channel.get(replyTo, { noAck: true }));
    assertEquals(reply.content.toString(), "Ada!");
    await channel.deleteQueue(replyTo);
  });
});

live("A thousand requests that name one exclusive queue cost one question", async ({ url, queue }) => {
  await using link = tap(url);
  await using _server = await startServer(link.url, texts(queue), (text) => text, { prefetch: 200 });
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue(`${queue}.callback`, { exclusive: true });
    const replies = await collect(channel, replyTo);
    link.methods.length = 0;
    for (let n = 0; n < 1_000; n++) channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: `${n}` });
    await waitFor("all are answered", () => replies.length === 1_000);
  });
  assertEquals(link.methods.filter((method) => method === "queue.declare"), ["queue.declare"]);
});

live("Requests that name a thousand queues are refused over a bounded number of channels", async ({ url, queue }) => {
  await using link = tap(url);
  await using server = await startServer(link.url, texts(queue), (text) => text, { prefetch: 1_000 });
  link.methods.length = 0;
  await withChannel(url, async (channel) => {
    for (let n = 0; n < 1_000; n++) {
      channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo: `${queue}.${n}`, correlationId: `${n}` });
    }
    await waitFor("all are refused", () => told(server, "rejected_request").length === 1_000, 20_000);
  });
  let open = 0;
  let most = 0;
  for (const method of link.methods) {
    if (method === "channel.open") most = Math.max(most, ++open);
    // channel.close, and the answer to the broker's.
    else if (method === "20.40" || method === "20.41") open--;
  }
  assertEquals(link.methods.filter((method) => method === "queue.declare").length, 1_000);
  assertLessOrEqual(most, 20);
  assertEquals(told(server, "disconnected"), []);
});

live("A caller whose queue was gone for a moment is answered soon after it is back", async ({ url, queue }) => {
  await using server = await startServer(url, texts(queue), (text) => text);
  await withChannel(url, async (channel) => {
    const replyTo = `${queue}.callback`;
    channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: "0" });
    await waitFor("it is refused", () => told(server, "rejected_request").length === 1);
    await channel.assertQueue(replyTo, { exclusive: true });
    const replies = await collect(channel, replyTo);
    const began = performance.now();
    await waitFor("it is answered", () => {
      channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: "1" });
      return replies.length > 0;
    });
    assertLess(performance.now() - began, 3_000);
  });
});

// amqplib alone cannot send such bytes.
if (frameTransport.enabled) {
  live("A queue whose name is no UTF-8 is not mistaken for the exclusive one that it looks like", async (use) => {
    const { url, queue } = use;
    let runs = 0;
    await using server = await startServer(url, texts(queue), () => `${++runs}`);
    await using peer = await connectPeer(url);
    // Shown as text, the byte 0xff is U+FFFD.
    await peer.channel.assertQueue(`${queue}.\ufffd`, { exclusive: true });
    peer.publish(toQueue(queue, "Ada", { replyTo: `${queue}.\xff`, correlationId: "1" }));
    await waitFor("it is refused", () => told(server, "rejected_request").length === 1);
    assertEquals(runs, 0);
  });
}

live("server --reply-to answers to queues of that pattern, and to no others", { run: true }, async ({ url, queue }) => {
  const pattern = `${queue.replaceAll(".", "\\.")}\\.replies\\..*`;
  await using serving = start(denoArgs("server.ts", "--url", url, "--queue", queue, "--reply-to", pattern));
  await serving.printed(" [x] Awaiting RPC requests\n");
  await withChannel(url, async (channel) => {
    const [wanted, other] = [`${queue}.replies.a`, `${queue}.other.replies.a`];
    for (const name of [wanted, other]) await channel.assertQueue(name, { durable: true });
    for (const replyTo of [other, wanted]) {
      channel.sendToQueue(queue, Buffer.from("30"), { replyTo, correlationId: "1" });
    }
    const reply = await waitFor("it is answered", () => channel.get(wanted, { noAck: true }));
    assertEquals(reply.content.toString(), "832040");
    assertEquals((await channel.deleteQueue(other)).messageCount, 0);
    await channel.deleteQueue(wanted);
  });
  await waitFor("the refusal is logged", () => serving.stderr.includes("Rejected a request"));
  assertStringIncludes(serving.stderr, `${queue}.other.replies.a`);
});

live("server --reply-to refuses what is no regular expression", { run: true }, async ({ url }) => {
  await using script = start(denoArgs("server.ts", "--url", url, "--reply-to", "("));
  const { code, stderr } = await script.ended();
  assertEquals(code, 2);
  assert(stderr.includes("--reply-to"));
});
