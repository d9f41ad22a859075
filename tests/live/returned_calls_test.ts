/**
 * Requests that the broker sends back, because their queue was deleted.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { assertEquals, assertLess } from "@std/assert";
import { frameTransport } from "../../lib/connection/frame_transport.ts";
import { json, type Procedure, procedure, text } from "../../lib/rpc.ts";
import { deleteQueue, live, waitFor } from "../support/live.ts";
import { connectClient, texts } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";

const CALLS = 40_000;

/** The CPU time in ms that this process uses for `fn`; other processes do not count. */
async function cpuTime(fn: () => Promise<void>): Promise<number> {
  const before = cpuUsage();
  await fn();
  const { user, system } = cpuUsage(before);
  return (user + system) / 1_000;
}

live("40,000 calls to a queue that is deleted end soon, each in its own result, for no more work each", async (use) => {
  const { url, queue } = use;
  let attempts = 0;
  await using client = await connectClient(url, {
    onEvent: (event) => event.type === "called" && (attempts += event.attempts),
  });
  const calls = (called: Procedure<string, string, string, string>, length = CALLS): Promise<string>[] => {
    return Array.from({ length }, (_, n) => {
      return client.call(called, `${n}`, { timeout: 60_000 }).then(() => "answered", ({ code }) => code);
    });
  };
  // Nobody has declared the queue: each comes back at once. Few at a time, so that work for all that wait would not show.
  const control = await cpuTime(async () => {
    for (let n = 0; n < CALLS; n += 100) {
      assertEquals(new Set(await Promise.all(calls(texts(queue), 100))), new Set(["unavailable"]));
    }
  });
  assertEquals(attempts, CALLS);

  const called = texts(queue, true);
  await using server = await plainServer(url, queue, ({ message, reply }) => {
    if (message.content.toString() === "first") reply("answered");
  });
  assertEquals(await client.call(called, "first"), "answered");
  attempts = 0;
  const waiting = calls(called);
  await waitFor("all have arrived", () => server.received.length === CALLS + 1, 30_000);
  await deleteQueue(url, queue);
  const used = await cpuTime(async () => {
    // The first of these finds out; the others come back one by one.
    assertEquals(new Set(await Promise.all([...waiting, ...calls(called)])), new Set(["unavailable"]));
  });
  assertEquals(client.pending, 0);
  // They are sent again for two seconds, in case that a server declares the queue again: how often is up to the machine.
  const ratio = (used / attempts) / (control / CALLS);
  console.log(`${attempts} requests, each ${ratio.toFixed(2)} times the CPU time of one to a queue that never existed`);
  assertLess(ratio, frameTransport.enabled ? 2 : 5);
});

/** Calls that end only when the test says so, although their answer has come. */
function validating(queue: string) {
  const gate = Promise.withResolvers<void>();
  let validations = 0;
  const reply = json({
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value: unknown) => {
        validations++;
        if (String(value).startsWith("slow")) await gate.promise;
        return { value };
      },
    },
  });
  const called = procedure({ queue, queueType: "classic", request: text(), reply, idempotent: true });
  return { called, release: () => gate.resolve(), count: () => validations };
}

live("A call that is answered and still being validated is not sent again when its queue is deleted", async (use) => {
  const { url, queue } = use;
  const { called, release, count } = validating(queue);
  await using client = await connectClient(url);
  let slow: Promise<unknown> | undefined;
  {
    await using _first = await plainServer(url, queue, ({ message, reply, ack }) => {
      ack();
      reply(JSON.stringify(message.content.toString()));
    });
    assertEquals(await client.call(called, "quick"), "quick");
    slow = client.call(called, "slow");
    await waitFor("its answer is being validated", () => count() === 2);
  }
  await deleteQueue(url, queue);
  const other = client.call(called, "other", { timeout: 10_000 });
  await using second = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    reply(JSON.stringify(message.content.toString()));
  });
  assertEquals(await other, "other");
  // What would have been sent again with it has been by now, since the wait before is at most 200 ms.
  await new Promise((resolve) => setTimeout(resolve, 300));
  assertEquals(second.received.map(({ message }) => message.content.toString()), ["other"]);
  release();
  assertEquals(await slow, "slow");
});

live("A call that is answered before it is sent again is not sent again", async ({ url, queue }) => {
  const { called, release, count } = validating(queue);
  await using client = await connectClient(url);
  // The waits before another try are drawn at random: here the longest.
  const { random } = Math;
  Math.random = () => 0.999;
  try {
    await using first = await plainServer(url, queue, ({ message, reply, ack }) => {
      const body = message.content.toString();
      if (body === "slow") return;
      ack();
      reply(JSON.stringify(body));
    });
    assertEquals(await client.call(called, "quick"), "quick");
    const slow = client.call(called, "slow");
    await waitFor("it has arrived", () => first.received.length === 2);
    await deleteQueue(url, queue);
    const other = client.call(called, "other", { timeout: 10_000 });
    // It comes back, and with it both are to be sent again; the answer to one comes before that.
    await new Promise((resolve) => setTimeout(resolve, 50));
    first.received[1]?.reply('"slow"');
    await waitFor("its answer is being validated", () => count() === 2);
    await using second = await plainServer(url, queue, ({ message, reply, ack }) => {
      ack();
      reply(JSON.stringify(message.content.toString()));
    });
    assertEquals(await other, "other");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assertEquals(second.received.map(({ message }) => message.content.toString()), ["other"]);
    release();
    assertEquals(await slow, "slow");
  } finally {
    Math.random = random;
  }
});
