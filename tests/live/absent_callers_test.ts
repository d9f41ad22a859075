/**
 * Requests of callers that have left: their replies would be returned, so they are not run.
 *
 * @module
 */

import { assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { Buffer } from "node:buffer";
import { deafBroker } from "../support/deaf_broker.ts";
import { live, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, startServer, texts, told } from "../support/pair.ts";
import { portOf, through } from "../support/relay.ts";

/** How many callers leave, and how many requests of each then wait. */
const CALLERS = 100;
const EACH = 20;

/** Leaves requests in a queue whose callers are gone. */
async function leave(url: string, queue: string, callers: number, each: number): Promise<void> {
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue, { durable: true });
    for (let caller = 0; caller < callers; caller++) {
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      for (let n = 0; n < each; n++) {
        channel.sendToQueue(queue, Buffer.from("left"), { replyTo, correlationId: `${caller}.${n}` });
      }
    }
    // Nothing of it is lost when the connection is closed.
    await channel.checkQueue(queue);
  });
}

for (const prefetch of [1, 10]) {
  live(`Of 2,000 requests whose callers have left, few are run (prefetch ${prefetch})`, async ({ url, queue }) => {
    await leave(url, queue, CALLERS, EACH);
    let runs = 0;
    const began = performance.now();
    await using server = await startServer(url, texts(queue), (text) => {
      runs++;
      return text;
    }, { prefetch });
    await using client = await connectClient(url);
    assertEquals(await client.call(texts(queue), "Ada", { timeout: 30_000 }), "Ada");
    const took = performance.now() - began;
    console.log(`${runs - 1} of ${CALLERS * EACH} were run, the next call waited ${Math.round(took)} ms`);
    assertLessOrEqual(runs, 2 * prefetch + 1);
    await waitFor("all callers are known to have left", () => told(server, "caller_left").length === CALLERS * EACH);
    assertEquals((await queueInfo(url, queue))?.messages, 0);
  });
}

live("Beside callers that have left, all that wait are answered", async ({ url, queue }) => {
  await withChannel(url, async (channel) => {
    const { queue: own } = await channel.assertQueue("", { exclusive: true });
    const { queue: named } = await channel.assertQueue(`${queue}.replies`, { exclusive: true });
    const replies: string[] = [];
    for (const name of [own, named]) {
      await channel.consume(name, (reply) => reply && replies.push(reply.properties.correlationId), { noAck: true });
    }
    const expected: string[] = [];
    await leave(url, queue, 10, 2);
    for (let n = 0; n < 30; n++) {
      for (const [index, replyTo] of [own, named].entries()) {
        expected.push(`${index}.${n}`);
        channel.sendToQueue(queue, Buffer.from("here"), { replyTo, correlationId: `${index}.${n}` });
      }
      if (n % 3 === 0) await leave(url, queue, 2, 2);
    }
    let left = 0;
    await using _server = await startServer(url, texts(queue), (text) => {
      if (text === "left") left++;
      return text;
    }, { prefetch: 5 });
    await waitFor("all are answered", () => replies.length === expected.length, 20_000);
    assertEquals(new Set(replies), new Set(expected));
    assertLess(left, 30);
  });
});

live("A broker that does not say whether callers have left holds up no request", async ({ url, queue }) => {
  await using broker = deafBroker(portOf(url));
  await leave(url, queue, 1, 1);
  const options = { connectTimeout: 3_000, drainTimeout: 100 };
  await using server = await startServer(through(url, broker.port), texts(queue), (text) => text, options);
  await waitFor("a caller is known to have left", () => told(server, "caller_left").length === 1);
  broker.ignore("20.10", "50.10");
  await using client = await connectClient(url);
  const began = performance.now();
  assertEquals(await client.call(texts(queue), "Ada"), "Ada");
  assertEquals(await client.call(texts(queue), "Bob"), "Bob");
  assertLess(performance.now() - began, 2_500);
});
