/**
 * Replies that do harm to the link that they are sent over, and acks that are lost with them.
 *
 * @module
 */

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { Buffer } from "node:buffer";
import { deleteQueue, live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, startServer, texts, told } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";
import { portOf, through } from "../support/relay.ts";
import { scanningRelay } from "../support/scanning_relay.ts";

/** What brings a link down, as a reply. */
const HARM = "this brings the link down";

live(
  "A reply that goes down with its link twice is given up, and its request dead-lettered",
  async ({ url, queue }) => {
    const dead = `${queue}.dead`;
    await using _dead = { [Symbol.asyncDispose]: () => deleteQueue(url, dead) };
    await withChannel(url, async (channel) => {
      await channel.assertQueue(dead);
      await channel.assertQueue(queue, { durable: true, deadLetterExchange: "", deadLetterRoutingKey: dead });
    });
    await using link = scanningRelay(portOf(url), (bytes) => bytes.includes(HARM) ? undefined : bytes);
    const gate = Promise.withResolvers<void>();
    await using server = await startServer(through(url, link.port), texts(queue), async (text) => {
      await gate.promise;
      return text === "harm" ? HARM : `${text}!`;
    }, { prefetch: 20 });
    await using client = await connectClient(url);
    const innocents = Array.from(
      { length: 6 },
      (_, n) => client.call(texts(queue), `before ${n}`, { timeout: 10_000 }),
    );
    await withChannel(url, async (channel) => {
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      await publishRaw(url, queue, "harm", { replyTo, correlationId: "harm", messageId: "harm" });
      innocents.push(
        ...Array.from({ length: 6 }, (_, n) => client.call(texts(queue), `after ${n}`, { timeout: 10_000 })),
      );
      await waitFor("all run", () => server.pending === 13);
      gate.resolve();
      const results = await Promise.all(innocents);
      assertEquals(
        results.filter((result) => /^(before|after) \d!$/.test(result)).length,
        12,
      );
      await waitFor("it is dead-lettered", async () => (await queueInfo(url, dead))?.messages === 1, 10_000);
      assertLessOrEqual(link.cuts, 4);
      const cuts = link.cuts;
      assertEquals(await client.call(texts(queue), "later"), "later!");
      assertEquals(link.cuts, cuts);
    });
    await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
    // Nobody else's reply was taken for the cause.
    assertEquals(new Set(told(server, "reply_dropped").map(({ messageId }) => messageId)), new Set(["harm"]));
  },
);

live("A reply that goes down with its link, but is not the cause, is sent again", async ({ url, queue }) => {
  await using link = scanningRelay(portOf(url), (bytes) => link.cuts === 0 && bytes.includes(HARM) ? undefined : bytes);
  let runs = 0;
  const called = texts(queue, false);
  await using _server = await startServer(through(url, link.port), called, () => {
    runs++;
    return HARM;
  });
  await using client = await connectClient(url);
  // At most once: the request that comes again is answered with aborted, unless the reply is there before.
  const settled = await client.call(called, "once", { timeout: 10_000 }).catch((error) => error.outcome);
  assertEquals([runs, link.cuts, [HARM, "unknown"].includes(settled)], [1, 1, true]);
});

live("What is refused as not_executed is acknowledged before it is answered", async ({ url, queue }) => {
  // So that where the reply has arrived, no other server gets the request, even if the link is lost right then.
  const order: string[] = [];
  const ack = Buffer.from([0, 60, 0, 80]);
  await using link = scanningRelay(portOf(url), (bytes) => {
    const found = [{ what: "ack", at: bytes.indexOf(ack) }, { what: "reply", at: bytes.indexOf("invalid_argument") }];
    for (const { at, what } of found.toSorted((a, b) => a.at - b.at)) if (at >= 0) order.push(what);
    return bytes;
  });
  await using _server = await startServer(through(url, link.port), texts(queue), (text) => text);
  await using client = await connectClient(url);
  const { content } = await plainCall(url, queue, new Uint8Array([0xff]));
  assertEquals(JSON.parse(content.toString()).outcome, "not_executed");
  await waitFor("both were sent", () => order.length >= 2);
  assertEquals(order, ["ack", "reply"]);
  assertEquals(await client.call(texts(queue), "next"), "next");
});

live("What is refused as not_executed is run by no other server when the link is lost with the reply", async (use) => {
  const { url, queue } = use;
  // Passes on all but the reply and what follows it.
  await using link = scanningRelay(portOf(url), (bytes) => {
    const reply = bytes.indexOf("invalid_argument");
    return reply < 0
      ? bytes
      : bytes.subarray(0, Math.max(0, bytes.lastIndexOf(Buffer.from([0, 60, 0, 40]), reply) - 7));
  });
  await using server = await startServer(through(url, link.port), texts(queue), (text) => text);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    await publishRaw(url, queue, new Uint8Array([0xff]), { replyTo, correlationId: "1" });
    await waitFor("it is refused", () => server.pending === 0);
  });
  // Another server, which would run it: it gets nothing, since the first has acknowledged it.
  await using other = await plainServer(url, queue, ({ ack }) => ack());
  link.cut();
  await waitFor("the first is back", () => told(server, "connected").length === 2);
  assertEquals((await queueInfo(url, queue))?.messages, 0);
  assertEquals(other.received.length, 0);
});
