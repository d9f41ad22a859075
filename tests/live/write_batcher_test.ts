/**
 * What leaves through lib/connection/write_batcher.ts is what amqplib would have sent.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { type ChannelModel, connect, type Options } from "amqplib";
import { writeDirectly } from "../../lib/connection/write_batcher.ts";
import { live, waitFor } from "../support/live.ts";

const MESSAGES: Readonly<Record<string, readonly [string, Options.Publish]>> = {
  "of a request": ["42", {
    correlationId: "some-id",
    messageId: "some-id",
    replyTo: "amq.gen-x",
    expiration: "30000",
    contentType: "text/plain",
    deliveryMode: 1,
    mandatory: true,
  }],
  "of an error reply": ["{}", { type: "rpc.error", contentType: "application/json", correlationId: "x" }],
  "without anything": ["", {}],
  "with text that is not ASCII": ["€", { correlationId: "ü", type: "日本" }],
  "with the longest id": ["1", { correlationId: "x".repeat(255) }],
  "with headers": ["1", { headers: { traceparent: "00-1-2-01" }, contentType: "text/plain" }],
  "with all that we never send": ["1", {
    priority: 3,
    timestamp: 5,
    userId: "guest",
    appId: "a",
    contentEncoding: "z",
  }],
  "of the largest body of one small frame": ["b".repeat(4088), { contentType: "text/plain" }],
  "of a body beyond it": ["b".repeat(4089), { contentType: "text/plain" }],
  "of a body of several frames": ["b".repeat(300_000), { contentType: "text/plain" }],
};

/** Publishes all messages in one turn, and gives them as they are delivered. */
async function exchange(url: string, queue: string, direct: boolean): Promise<unknown[]> {
  const model = await connect(url, { noDelay: true });
  try {
    if (direct) assert(writeDirectly(model));
    const channel = await model.createConfirmChannel();
    await channel.assertQueue(queue, { durable: true });
    const delivered: unknown[] = [];
    await channel.consume(queue, (message) => {
      if (message === null) return;
      // Absent or undefined, no headers or empty ones: the same to everybody who reads them.
      const { properties: { headers, ...properties }, content } = message;
      const given = Object.entries(properties).filter(([, value]) => value !== undefined);
      delivered.push([content.toString(), Object.fromEntries(given), { ...headers }]);
    }, { noAck: true });
    for (const [body, options] of Object.values(MESSAGES)) channel.publish("", queue, Buffer.from(body), options);
    await channel.waitForConfirms();
    await waitFor("all are delivered", () => delivered.length === Object.keys(MESSAGES).length);
    assertThrows(() => channel.publish("", queue, Buffer.from("1"), { correlationId: "x".repeat(256) }), TypeError);
    await channel.close();
    assertThrows(() => channel.publish("", queue, Buffer.from("1"), {}), Error, "closed");
    return delivered;
  } finally {
    await model.close();
  }
}

live("writeDirectly() sends every message as amqplib does", async ({ url, queue }) => {
  const direct = await exchange(url, queue, true);
  const plain = await exchange(url, queue, false);
  for (const [n, name] of Object.keys(MESSAGES).entries()) assertEquals(direct[n], plain[n], `A message ${name}`);
});

Deno.test("writeDirectly() leaves an amqplib alone that is not as it must be", () => {
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const freshChannel = (_channel: unknown, _options: unknown): number => 1;
  const sendMessage = (...[_a, _b, _c]: readonly unknown[]): boolean => true;
  const connections: readonly object[] = [
    {},
    { stream, channels: [], freshChannel },
    { stream, channels: [], freshChannel, sendMessage },
    { stream: {}, channels: [], freshChannel, sendMessage: (..._: [1, 2, 3, 4, 5, 6]) => true },
  ];
  for (const connection of connections) {
    const before = { ...connection };
    assertEquals(writeDirectly({ connection } as unknown as ChannelModel), false);
    assertEquals({ ...connection }, before);
  }
});

/** What amqplib's connection has of all that `writeDirectly` uses. */
class FakeConnection {
  readonly buffer = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  readonly channels: unknown[] = [];
  readonly writes: string[] = [];
  readonly stream: Duplex;
  /** Lets the socket take what it was given. */
  take: () => void = () => {};

  constructor() {
    const write = (text: string, done: () => void): void => {
      this.writes.push(text);
      this.take = done;
    };
    this.stream = new Duplex({
      read() {},
      write: (chunk, _encoding, done) => write(String(chunk), done),
      writev: (chunks, done) => write(chunks.map(({ chunk }) => String(chunk)).join("|"), done),
    });
    writeDirectly({ connection: this } as unknown as ChannelModel);
    this.freshChannel(undefined, undefined);
  }

  freshChannel(_channel: unknown, _options: unknown): number {
    return this.channels.push({ buffer: this.buffer }) - 1;
  }

  sendMessage(_a: unknown, _b: unknown, _c: unknown, _d: unknown, _e: unknown, _f: unknown): boolean {
    return true;
  }
}

Deno.test("writeDirectly() makes one write of one turn, in order, large frames included", async () => {
  const connection = new FakeConnection();
  const { buffer, writes } = connection;
  const large = "x".repeat(10_000);
  for (const frame of ["a", "b", large, "c"]) buffer.write(Buffer.from(frame));
  assertEquals(writes, []);
  await Promise.resolve();
  assertEquals(writes, [`ab|${large}|c`]);
  buffer.write(Buffer.from("d"));
  connection.take();
  await waitFor("the rest is written", () => writes.length > 1);
  assertEquals(writes[1], "d");
  connection.stream.destroy();
});

Deno.test("writeDirectly() tells a channel to wait while the socket is full, and when it may go on", async () => {
  const connection = new FakeConnection();
  const { buffer } = connection;
  let drained = 0;
  buffer.on("drain", () => drained++);
  const frame = Buffer.alloc(1_000);
  let sent = 0;
  while (buffer.write(frame)) sent++;
  assert(sent >= 15, `It must take more than ${sent} frames`);
  await Promise.resolve();
  assertEquals(buffer.write(frame), false);
  assertEquals(drained, 0);
  connection.take();
  await waitFor("the first write is taken", () => connection.writes.length > 1);
  connection.take();
  await waitFor("it may go on", () => drained > 0);
  assertEquals(buffer.write(frame), true);
  connection.stream.destroy();
});
