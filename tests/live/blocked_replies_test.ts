/**
 * Replies that wait for the end of an alarm although their requests are acknowledged already: refusals, and replies to
 * direct addresses. They take little memory, however long the alarm is and however many requests there are.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { connect, type ConsumeMessage } from "amqplib";
import { Buffer } from "node:buffer";
import { MAX_BYTES, MAX_COUNT } from "../../lib/server/waiting_replies.ts";
import type { Broker } from "../support/broker.ts";
import { clearAlarm, held, lab, raiseAlarm } from "../support/lab.ts";
import { waitFor } from "../support/live.ts";
import { memoryInUse } from "../support/memory.ts";
import { startServer, texts, told } from "../support/pair.ts";

const test = lab();

const PREFETCH = 100;

interface Caller extends AsyncDisposable {
  /** The replies by correlation id. */
  readonly replies: Map<string, string>;
}

/** Fills a queue with equal requests, numbered from 0, before there is a server; and takes the replies. */
async function ask(
  url: string,
  queue: string,
  { count, body, direct, expiration = 600_000 }: {
    readonly count: number;
    readonly body: Buffer;
    readonly direct: boolean;
    /** In ms. */
    readonly expiration?: number;
  },
): Promise<Caller> {
  const model = await connect(url);
  const replies = new Map<string, string>();
  const channel = await model.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true });
  const replyTo = direct ? "amq.rabbitmq.reply-to" : (await channel.assertQueue("", { exclusive: true })).queue;
  await channel.consume(replyTo, (message: ConsumeMessage | null) => {
    if (message !== null) replies.set(message.properties.correlationId, message.content.toString());
  }, { noAck: true });
  for (let n = 0; n < count; n++) {
    channel.sendToQueue(queue, body, { replyTo, correlationId: `${n}`, expiration });
    if (n % 500 === 0) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  return { replies, [Symbol.asyncDispose]: () => model.close() };
}

/** An alarm that ends with the test, at the latest. */
async function alarm(broker: Broker): Promise<AsyncDisposable> {
  await raiseAlarm(broker);
  return { [Symbol.asyncDispose]: () => clearAlarm(broker) };
}

/** How many messages a queue has when that has not changed for a second. */
async function settled(broker: Broker, queue: string): Promise<number> {
  let now = await held(broker, queue);
  for (let same = 0; same < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = now;
    now = await held(broker, queue);
    same = before === now ? same + 1 : 0;
  }
  return now;
}

test("During an alarm, a server keeps a limited number of direct replies, and leaves other requests in their queue", async (use) => {
  const { broker, url, queue } = use;
  const count = MAX_COUNT + 5_000;
  await using caller = await ask(url, queue, { count, body: Buffer.alloc(4_096, "x"), direct: true });
  await using _alarm = await alarm(broker);
  const before = await memoryInUse();
  await using server = await startServer(url, texts(queue), () => "Hi!", { prefetch: PREFETCH });
  assertGreaterOrEqual(await settled(broker, queue), count - MAX_COUNT - PREFETCH);
  assertEquals(server.pending, PREFETCH);
  // The bodies of the requests whose replies wait are 40 MB.
  assertLess(await memoryInUse() - before, 20_000_000);
  await clearAlarm(broker);
  await waitFor("all are answered", () => caller.replies.size === count, 60_000);
  assertEquals(told(server, "reply_dropped"), []);
  await waitFor("all are acknowledged", async () => await held(broker, queue) === 0);
});

test("During an alarm, a server keeps a limited number of bytes of direct replies", async ({ broker, url, queue }) => {
  const count = 400;
  const size = 2 ** 17;
  await using caller = await ask(url, queue, { count, body: Buffer.from("x"), direct: true });
  await using _alarm = await alarm(broker);
  await using server = await startServer(url, texts(queue), () => "x".repeat(size), { prefetch: PREFETCH });
  assertGreaterOrEqual(await settled(broker, queue), count - MAX_BYTES / size - PREFETCH);
  assertEquals(server.pending, PREFETCH);
  await clearAlarm(broker);
  await waitFor("all are answered", () => caller.replies.size === count, 60_000);
  assertEquals(new Set(Array.from(caller.replies.values(), (reply) => reply.length)), new Set([size]));
});

test("During an alarm, direct replies are dropped at their deadlines, not at the end of the alarm", async (use) => {
  const { broker, url, queue } = use;
  await using caller = await ask(url, queue, { count: 200, body: Buffer.from("x"), direct: true, expiration: 5_000 });
  await using _alarm = await alarm(broker);
  await using server = await startServer(url, texts(queue), () => "Hi!", { prefetch: PREFETCH });
  // One was written before the server was told of the alarm.
  await waitFor("the others are dropped", () => told(server, "reply_dropped").length === 199, 15_000);
  assertEquals(told(server, "handled").filter(({ code }) => code === "ok").length, 200);
  assertEquals([caller.replies.size, server.pending, await held(broker, queue)], [0, 0, 0]);
  await clearAlarm(broker);
  await waitFor("the one arrives", () => caller.replies.size === 1);
});

test("During an alarm, a server refuses no more requests than its prefetch, and all of them after it", async (use) => {
  const { broker, url, queue } = use;
  await using caller = await ask(url, queue, { count: 3_000, body: Buffer.from([0xff]), direct: false });
  await using _alarm = await alarm(broker);
  await using server = await startServer(url, texts(queue), () => "Hi!", { prefetch: PREFETCH });
  assertGreaterOrEqual(await settled(broker, queue), 3_000 - PREFETCH);
  await clearAlarm(broker);
  await waitFor("all are answered", () => caller.replies.size === 3_000, 60_000);
  assertEquals(Array.from(caller.replies.values()).filter((reply) => !reply.includes("invalid_argument")), []);
  assertEquals(told(server, "reply_dropped"), []);
});
