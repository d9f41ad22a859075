/**
 * Requests that the broker sends back, because their queue was deleted.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { assertEquals, assertLess } from "@std/assert";
import { frameTransport } from "../../lib/connection/frame_transport.ts";
import { json, procedure, text } from "../../lib/rpc.ts";
import { deleteQueue, live, waitFor } from "../support/live.ts";
import { connectClient, texts } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";

const CALLS = 40_000;

live("40,000 calls to a queue that is deleted end soon, each in its own result", async ({ url, queue }) => {
  const called = texts(queue, true);
  await using server = await plainServer(url, queue, ({ message, reply }) => {
    if (message.content.toString() === "first") reply("answered");
  });
  await using client = await connectClient(url);
  assertEquals(await client.call(called, "first"), "answered");
  const waiting = Array.from({ length: CALLS }, (_, n) => {
    return client.call(called, `${n}`, { timeout: 60_000 }).then(() => "answered", ({ code }) => code);
  });
  await waitFor("all have arrived", () => server.received.length === CALLS + 1, 30_000);
  await deleteQueue(url, queue);
  const before = cpuUsage();
  // The first of these finds out; the others come back one by one.
  const later = Array.from({ length: CALLS }, (_, n) => {
    return client.call(called, `${n}`, { timeout: 60_000 }).then(() => "answered", ({ code }) => code);
  });
  const results = await Promise.all([...waiting, ...later]);
  const used = cpuUsage(before);
  const took = (used.user + used.system) / 1_000;
  assertEquals(new Set(results), new Set(["unavailable"]));
  assertEquals(client.pending, 0);
  console.log(`${Math.round(took)} ms of CPU time`);
  // They are sent again for two seconds, in case that a server declares the queue again. Other processes do not count.
  assertLess(took, frameTransport.enabled ? 6_000 : 20_000);
});

live("40,000 calls to a queue that nobody has declared come back each at once", async ({ url, queue }) => {
  await using client = await connectClient(url);
  const calls = Array.from(
    { length: CALLS },
    () => client.call(texts(queue), "", { timeout: 60_000 }).catch(({ code }) => code),
  );
  assertEquals(new Set(await Promise.all(calls)), new Set(["unavailable"]));
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
