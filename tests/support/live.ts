/**
 * Tests against a real broker: the one at `AMQP_URL`, else on localhost. `deno task test` starts one for them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type Channel, connect, type ConsumeMessage, type Options } from "amqplib";
import { answers, DEFAULT_URL, hostAndPort } from "./broker.ts";

/** A broker under load answers late; a test waits no longer than this. */
const WAIT = 5_000;

const url = findUrl();
const ready = mayUseNetwork();
// Asked for by scripts that run subprocesses; plain `deno test` must not ask twice.
const mayRun = Deno.permissions.querySync({ name: "run" }).state === "granted";
let broker: Promise<void> | undefined;

function findUrl(): string {
  const { state } = Deno.permissions.querySync({ name: "env", variable: "AMQP_URL" });
  return (state === "granted" ? Deno.env.get("AMQP_URL") : undefined) ?? DEFAULT_URL;
}

/** `deno test` never asks for a permission, not even on a terminal: what is not granted is denied. */
function mayUseNetwork(): boolean {
  if (Deno.permissions.querySync({ name: "net" }).state === "granted") return true;
  console.log("Tests that need RabbitMQ are ignored without network permission; run them with: deno task test");
  return false;
}

async function requireBroker(): Promise<void> {
  if (await answers(url)) return;
  throw new Error(
    `Cannot test: no broker answers at ${hostAndPort(url)}. ` +
      "Run the tests with 'deno task test', or start a broker with 'deno task broker'",
  );
}

/** What a live test gets. */
export interface Live {
  /** The URL of the broker. */
  readonly url: string;
  /** The name of a queue of the test's own; it does not exist yet, and is deleted after the test. */
  readonly queue: string;
}

/** Options of {@linkcode live}. */
export interface LiveOptions {
  /**
   * Whether the test starts subprocesses. Without permission for that it is ignored.
   *
   * @default {false}
   */
  readonly run?: boolean;
  /**
   * Whether to leave the test out, for want of a peer that its name then has to say.
   *
   * @default {false}
   */
  readonly ignore?: boolean;
}

/** Registers a test that needs a broker, with a queue of its own. */
export function live(name: string, fn: (live: Live) => Promise<void>): void;
/** Registers a test that needs a broker and more. */
export function live(name: string, options: LiveOptions, fn: (live: Live) => Promise<void>): void;
export function live(
  name: string,
  ...rest: [(live: Live) => Promise<void>] | [LiveOptions, (live: Live) => Promise<void>]
): void {
  const [options, fn] = rest.length === 1 ? [{}, rest[0]] : rest;
  const ignore = !ready || (options.run === true && !mayRun) || options.ignore === true;
  Deno.test({
    name,
    ignore,
    fn: async () => {
      await (broker ??= requireBroker());
      const queue = `test.${crypto.randomUUID()}`;
      // Disposal, unlike finally, keeps both errors if both the test and the deletion fail.
      await using _queue = { [Symbol.asyncDispose]: () => deleteQueue(url, queue) };
      await fn({ url, queue });
    },
  });
}

/** Runs `fn` with a channel on a connection of its own. */
export async function withChannel<T>(url: string, fn: (channel: Channel) => Promise<T>): Promise<T> {
  const connection = await connect(url, { noDelay: true, timeout: WAIT });
  // A closed channel also rejects what waits for it; without a listener it would end the process.
  connection.on("error", () => {});
  try {
    const channel = await connection.createChannel();
    channel.on("error", () => {});
    return await fn(channel);
  } finally {
    await connection.close();
  }
}

/** Whether the broker is a RabbitMQ of this version, such as 4.3, or of a later one. */
export async function isAtLeast(url: string, version: string): Promise<boolean> {
  const connection = await connect(url, { noDelay: true, timeout: WAIT });
  const { serverProperties } = connection.connection as unknown as { serverProperties: { version: string } };
  await connection.close();
  const numbers = (text: string): number[] => text.split(".").map((part) => parseInt(part));
  const [major = 0, minor = 0] = numbers(serverProperties.version);
  const [wantedMajor = 0, wantedMinor = 0] = numbers(version);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** Deletes a queue, if it exists. */
export async function deleteQueue(url: string, queue: string): Promise<void> {
  await withChannel(url, (channel) => channel.deleteQueue(queue));
}

/** Tells how many messages wait in a queue and how many consumers it has; undefined if it does not exist. */
export async function queueInfo(
  url: string,
  queue: string,
): Promise<{ messages: number; consumers: number } | undefined> {
  return await withChannel(url, async (channel) => {
    try {
      const { messageCount, consumerCount } = await channel.checkQueue(queue);
      return { messages: messageCount, consumers: consumerCount };
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === 404) return undefined;
      throw error;
    }
  });
}

/** Publishes a message to a queue as it is, and waits until the broker has it. */
export async function publishRaw(
  url: string,
  queue: string,
  body: string | Uint8Array,
  properties: Options.Publish = {},
): Promise<void> {
  const connection = await connect(url, { noDelay: true, timeout: WAIT });
  try {
    const channel = await connection.createConfirmChannel();
    channel.sendToQueue(queue, Buffer.from(body), properties);
    await channel.waitForConfirms();
  } finally {
    await connection.close();
  }
}

/** Calls as the tutorial's client does: an exclusive reply queue, a correlation id, and nothing else. */
export async function plainCall(
  url: string,
  queue: string,
  body: string | Uint8Array,
  properties: Options.Publish = {},
): Promise<ConsumeMessage> {
  return await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const { promise, resolve, reject } = Promise.withResolvers<ConsumeMessage>();
    await channel.consume(replyTo, (message) => message && resolve(message), { noAck: true });
    channel.sendToQueue(queue, Buffer.from(body), { correlationId: crypto.randomUUID(), replyTo, ...properties });
    const timer = setTimeout(() => reject(new Error(`No reply from '${queue}' within ${WAIT} ms`)), WAIT);
    return await promise.finally(() => clearTimeout(timer));
  });
}

/**
 * Waits until `predicate` gives something true.
 *
 * @param what What is waited for, for the error: `the queue is empty`; a function is called when it was in vain.
 * @returns What `predicate` gave.
 * @throws {Error} If it takes longer than `ms`.
 */
export async function waitFor<T>(
  what: string | (() => string),
  predicate: () => T | Promise<T>,
  ms = WAIT,
): Promise<Exclude<T, false | 0 | "" | null | undefined>> {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await predicate();
    if (value) return value as Exclude<T, false | 0 | "" | null | undefined>;
    if (performance.now() > deadline) {
      throw new Error(`Waited ${ms} ms in vain until ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
