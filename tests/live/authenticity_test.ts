/**
 * Whoever serves one queue sees the ids of its calls. With them it can neither answer nor cancel the same client's calls
 * over other queues.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Channel } from "amqplib";
import { live, waitFor, withChannel } from "../support/live.ts";
import { aborted } from "../support/handlers.ts";
import { connectClient, heard, startServer, texts, told } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";

/** How many calls before and after the one that it saw a rogue server tries. */
const REACH = 1_000;

/** The ids that a client gives to its calls before and after one, if what one has seen tells them. */
function neighbours(id: string): string[] {
  const number = parseInt(id.slice(24), 16);
  assert(number > 0);
  const ids = [id];
  for (let n = Math.max(0, number - REACH); n <= number + REACH; n++) {
    ids.push(id.slice(0, 24) + n.toString(16).padStart(12, "0"));
  }
  return ids;
}

/** Has a client call a queue whose server is a rogue, and gives what that one has seen. */
async function seenBy(
  url: string,
  queue: string,
  call: () => Promise<string>,
): Promise<{ id: string; replyTo: string }> {
  await using rogue = await plainServer(url, queue, ({ reply, ack }) => {
    ack();
    reply("innocent");
  });
  assertEquals(await call(), "innocent");
  const { correlationId, replyTo } = rogue.received[0]?.message.properties ?? {};
  return { id: String(correlationId), replyTo: String(replyTo) };
}

/** Waits until all that was published on a channel is routed. */
async function flush(channel: Channel): Promise<void> {
  await channel.assertQueue("", { exclusive: true });
}

live("A server of one queue cannot forge replies to calls over another", async ({ url, queue }) => {
  const [seen, other] = [texts(`${queue}.seen`), texts(queue)];
  const gate = Promise.withResolvers<void>();
  await using _server = await startServer(url, other, async (text) => {
    await gate.promise;
    return `honest ${text}`;
  });
  await using client = await connectClient(url);
  const running = client.call(other, "before");
  const { id, replyTo } = await seenBy(url, seen.queue, () => client.call(seen, "a"));
  const later = client.call(other, "after");
  const ids = neighbours(id);
  await withChannel(url, async (channel) => {
    for (const correlationId of ids) channel.sendToQueue(replyTo, Buffer.from("forged"), { correlationId });
    await waitFor("all forgeries have arrived", () => heard(client, "late_reply").length >= ids.length - 2);
    await channel.deleteQueue(seen.queue);
  });
  gate.resolve();
  assertEquals(await Promise.all([running, later]), ["honest before", "honest after"]);
  assertEquals(heard(client, "late_reply").length, ids.length);
});

live("A server of one queue cannot cancel calls over another, nor those to come", async ({ url, queue }) => {
  const [seen, other] = [texts(`${queue}.seen`), texts(queue)];
  const gate = Promise.withResolvers<void>();
  const stopped: string[] = [];
  await using server = await startServer(url, other, async (text, { signal }) => {
    aborted(signal).then(() => stopped.push(text));
    await gate.promise;
    return text;
  }, { prefetch: 100 });
  await using client = await connectClient(url);
  const running = client.call(other, "before");
  const { id } = await seenBy(url, seen.queue, () => client.call(seen, "a"));
  await withChannel(url, async (channel) => {
    for (const correlationId of neighbours(id)) {
      const cancel = { type: "cancel", correlationId, expiration: "2147483647" };
      channel.publish("rpc.control", other.queue, Buffer.alloc(0), cancel);
    }
    await flush(channel);
    await channel.deleteQueue(seen.queue);
  });
  // Cancels arrive in the order in which they are sent: when this one has, so have all others.
  const marker = new AbortController();
  const marked = client.call(other, "marker", { signal: marker.signal }).catch(() => "canceled");
  await waitFor("the marker runs", () => server.pending === 2);
  marker.abort();
  assertEquals(await marked, "canceled");
  await waitFor("the marker is stopped", () => stopped.length > 0);
  assertEquals(stopped, ["marker"]);
  gate.resolve();
  const later = Array.from({ length: 200 }, (_, n) => client.call(other, `${n}`, { timeout: 5_000 }));
  assertEquals(await running, "before");
  assertEquals(await Promise.all(later), Array.from({ length: 200 }, (_, n) => `${n}`));
  assertEquals(told(server, "canceled_request").length, 1);
});

live("A cancel over one queue ends no call of another queue with the same id", async ({ url, queue }) => {
  const [first, second] = [texts(`${queue}.first`), texts(queue)];
  const stopped: string[] = [];
  const gate = Promise.withResolvers<void>();
  const handler = (name: string) => async (text: string, { signal }: { readonly signal: AbortSignal }) => {
    await Promise.race([aborted(signal).then(() => stopped.push(name)), gate.promise]);
    return `${name} ${text}`;
  };
  await using server = await startServer(url, first, handler("first"));
  await server.serve(second, handler("second"));
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const replies: string[] = [];
    await channel.consume(replyTo, (message) => message && replies.push(message.content.toString()), { noAck: true });
    const call = { replyTo, correlationId: "the same", messageId: "m" };
    for (const { queue: name } of [first, second]) channel.sendToQueue(name, Buffer.from("runs"), call);
    await waitFor("both run", () => server.pending === 2);
    const cancel = { type: "cancel", correlationId: "the same", expiration: "60000" };
    channel.publish("rpc.control", first.queue, Buffer.alloc(0), cancel);
    await waitFor("the first is stopped", () => stopped.length > 0 && server.pending === 1);
    // What comes later over the first queue is not run, over the second it is.
    for (const { queue: name } of [first, second]) channel.sendToQueue(name, Buffer.from("comes later"), call);
    gate.resolve();
    await waitFor("the second is answered", () => replies.length === 2);
    assertEquals(replies.toSorted(), ["second comes later", "second runs"]);
    assertEquals(stopped, ["first"]);
    await waitFor("the others are counted", () => told(server, "canceled_request").length === 2);
    await channel.deleteQueue(first.queue);
  });
});
