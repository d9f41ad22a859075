/**
 * Requests that take longer than the broker lets a consumer hold them. What the broker then does depends on its version:
 * until 4.2 it closes the channel and delivers all its requests again; from 4.3 on it ends the consumer, delivers again
 * only what has taken too long, and classic queues have no timeout.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type QueueType, RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import type { Broker } from "../support/broker.ts";
import { sleep } from "../support/handlers.ts";
import { double, type DoubleOptions } from "../support/lab_server.ts";
import { type Heard, lab, listen } from "../support/lab.ts";
import { plainServer } from "../support/plain_server.ts";
import { isAtLeast, queueInfo, waitFor, withChannel } from "../support/live.ts";

const test = lab();

const TIMEOUT_MS = 1_500;

/** Makes the broker's timeout short, and makes it look often; for channels and queues that are made after it. */
async function shorten(broker: Broker, ms = TIMEOUT_MS): Promise<void> {
  const settings = [["consumer_timeout", ms], ["channel_tick_interval", 200], ["quorum_tick_interval", 200]];
  for (const [key, value] of settings) await broker.eval(`application:set_env(rabbit, ${key}, ${value})`);
}

/** Whether a queue of this type has a consumer timeout. */
async function hasTimeout(url: string, queueType: QueueType): Promise<boolean> {
  return queueType === "quorum" || !await isAtLeast(url, "4.3");
}

/** A server whose handler takes as many ms as its request says, and which counts its runs. */
interface Counting extends AsyncDisposable {
  readonly server: RpcServer;
  readonly events: Heard<ServerEvent>;
  /** How often each request was started. */
  readonly runs: Map<number, number>;
  /** How many were in progress at once, at the most. */
  readonly most: number;
}

async function startCounting(url: string, queue: string, options: DoubleOptions, prefetch = 5): Promise<Counting> {
  const events = listen<ServerEvent>();
  const server = await RpcServer.connect(url, { onEvent: events.onEvent, drainTimeout: 5_000 });
  const runs = new Map<number, number>();
  let running = 0;
  let most = 0;
  await server.serve(double(queue, options), async (ms, { signal }) => {
    runs.set(ms, 1 + (runs.get(ms) ?? 0));
    most = Math.max(most, ++running);
    // A handler that does not listen to its signal hangs for ever.
    await (ms === 0 ? new Promise(() => {}) : sleep(ms, signal)).finally(() => running--);
    return 2 * ms;
  }, { prefetch });
  return {
    server,
    events,
    runs,
    get most() {
      return most;
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

const OPTIONS = { timeout: 30_000 };

for (const queueType of ["quorum", "classic"] as const) {
  for (const idempotent of [true, false]) {
    test(
      `What outlasts the consumer timeout runs once, as do its mates (${queueType}, idempotent ${idempotent})`,
      async ({ broker, url, queue }) => {
        await shorten(broker);
        await using counting = await startCounting(url, queue, { queueType, idempotent });
        const { events, runs } = counting;
        const called = double(queue, { queueType, idempotent });
        await using client = await RpcClient.connect(url);
        const long = client.call(called, 4_500, OPTIONS);
        await waitFor("it runs", () => runs.size === 1);
        await sleep(1_000);
        const mates = [1_001, 1_002, 1_003];
        const short = Promise.all(mates.map((n) => client.call(called, n, OPTIONS)));
        assertEquals(await short, mates.map((n) => 2 * n));
        const meanwhile = Promise.all([11, 12, 13].map((n) => client.call(called, n, OPTIONS)));
        assertEquals(await meanwhile, [22, 24, 26]);
        assertEquals(await long, 9_000);
        assertEquals(Array.from(runs.values()), Array(7).fill(1));
        const timeouts = events.of("consumer_timeout");
        if (await hasTimeout(url, queueType)) {
          assertGreaterOrEqual(timeouts.length, 1);
          for (const { queue: name, messageId, method, duration } of timeouts) {
            assertEquals([name, typeof messageId, method], [queue, "string", undefined]);
            // The broker's clock started a little earlier.
            assert(duration >= TIMEOUT_MS - 100 && duration < 4_600, `${duration} ms`);
          }
        } else {
          assertEquals(timeouts, []);
        }
        assertEquals([events.of("consumer_canceled").length, events.losses, counting.server.pending], [0, 0, 0]);
        assertEquals(await client.call(called, 1), 2);
        await counting.server.close();
        await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
      },
    );
  }
}

test("With one request at a time, what outlasts the consumer timeout stays the only one", async (use) => {
  const { broker, url, queue } = use;
  await shorten(broker);
  await using counting = await startCounting(url, queue, { queueType: "quorum" }, 1);
  await using client = await RpcClient.connect(url);
  const called = double(queue, { queueType: "quorum" });
  const long = client.call(called, 3_500, OPTIONS);
  await waitFor("it runs", () => counting.runs.size === 1);
  const others = Promise.all([1, 2, 3].map((n) => client.call(called, n, OPTIONS)));
  assertEquals([await long, await others], [7_000, [2, 4, 6]]);
  assertEquals([counting.most, counting.runs.size], [1, 4]);
  assertGreaterOrEqual(counting.events.of("consumer_timeout").length, 1);
});

test("Of two servers, none runs a request twice, and from 4.3 on mates run once in all", async (use) => {
  const { broker, url, queue } = use;
  await shorten(broker);
  await using first = await startCounting(url, queue, { queueType: "quorum" });
  await using client = await RpcClient.connect(url);
  const called = double(queue, { queueType: "quorum" });
  const long = client.call(called, 4_000, OPTIONS);
  await waitFor("it runs", () => first.runs.size === 1);
  await sleep(1_000);
  const mates = [1_001, 1_002, 1_003];
  const short = Promise.all(mates.map((n) => client.call(called, n, OPTIONS)));
  await waitFor("all run", () => first.runs.size === 4);
  await using second = await startCounting(url, queue, { queueType: "quorum" });
  assertEquals([await long, await short], [8_000, mates.map((n) => 2 * n)]);
  for (const { runs } of [first, second]) {
    for (const [n, times] of runs) assertEquals(times, 1, `${n} ran ${times} times`);
  }
  if (await isAtLeast(url, "4.3")) {
    for (const n of mates) assertEquals(second.runs.get(n), undefined, `${n} ran again`);
  }
  await waitFor("the second one is done as well", () => second.server.pending === 0, 10_000);
  await Promise.all([first.server.close(), second.server.close()]);
  await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
});

for (const queueType of ["quorum", "classic"] as const) {
  test(`A handler that hangs for ever ends in aborted after maxDeliveries (${queueType})`, async (use) => {
    const { broker, url, queue } = use;
    await shorten(broker, 500);
    const options = { queueType, maxDeliveries: 3 } as const;
    await using counting = await startCounting(url, queue, options);
    const called = double(queue, options);
    await using client = await RpcClient.connect(url);
    const endless = client.call(called, 0, { timeout: 6_000 }).catch((error: unknown) => error);
    await waitFor("it runs", () => counting.runs.size === 1);
    // One mate at a time, for as long as it hangs.
    let mates = 0;
    let ended = false;
    endless.then(() => ended = true);
    while (!ended) {
      const n = 100 + mates++;
      assertEquals(await client.call(called, n), 2 * n);
    }
    const error = await endless;
    assertInstanceOf(error, RpcError);
    if (await hasTimeout(url, queueType)) {
      assertEquals([error.code, error.outcome], ["aborted", "unknown"]);
      assertStringIncludes(error.message, "3 times");
    } else {
      assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
    }
    for (const [n, times] of counting.runs) assertEquals(times, 1, `${n} ran ${times} times`);
    assertEquals(counting.runs.size, mates + 1);
    await counting.server.close();
    await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
  });
}

test("The broker's own delivery limit counts consumer timeouts until 4.2, and not from 4.3 on", async (use) => {
  const { broker, url, queue } = use;
  await shorten(broker, 500);
  const args = { "x-queue-type": "quorum", "x-delivery-limit": 1 };
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true, arguments: args }));
  const options = { queueType: "quorum", maxDeliveries: 4 } as const;
  await using counting = await startCounting(url, queue, options);
  await using client = await RpcClient.connect(url);
  const error = await assertRejects(() => client.call(double(queue, options), 0, { timeout: 6_000 }), RpcError);
  const ours = await isAtLeast(url, "4.3");
  assertEquals([error.code, error.outcome], [ours ? "aborted" : "deadline_exceeded", "unknown"]);
  assertEquals(counting.runs.get(0), 1);
  await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
});

for (const queueType of ["quorum", "classic"] as const) {
  test(`consumerTimeout lets a request take longer where the broker takes it (${queueType})`, async (use) => {
    const { broker, url, queue } = use;
    await shorten(broker, 500);
    const options = { queueType, consumerTimeout: 60_000 } as const;
    await using counting = await startCounting(url, queue, options);
    await using client = await RpcClient.connect(url);
    assertEquals(await client.call(double(queue, options), 2_000), 4_000);
    const timeouts = counting.events.of("consumer_timeout").length;
    // RabbitMQ ignores it before 3.12.
    assertEquals(timeouts > 0, !await isAtLeast(url, "3.12"), `${timeouts} timeouts`);
    assertEquals(counting.events.of("adopted_queue"), []);
  });
}

test("consumerTimeout holds for an existing queue from 4.3 on", async ({ broker, url, queue }) => {
  await shorten(broker, 500);
  await withChannel(url, (channel) => {
    return channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  });
  const options = { queueType: "quorum", consumerTimeout: 60_000 } as const;
  await using counting = await startCounting(url, queue, options);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue, options), 2_000), 4_000);
  assertEquals(counting.events.of("consumer_timeout").length > 0, !await isAtLeast(url, "4.3"));
  assertEquals(counting.events.of("adopted_queue").length, await isAtLeast(url, "4.3") ? 1 : 0);
});

test("A consumer that the broker wakes up again after its timeout loses nothing", async ({ broker, url, queue }) => {
  await shorten(broker);
  await using counting = await startCounting(url, queue, { queueType: "quorum", idempotent: false });
  const { events, runs } = counting;
  await using client = await RpcClient.connect(url);
  const called = double(queue, { queueType: "quorum", idempotent: false });
  const long = client.call(called, 2_500, OPTIONS);
  await waitFor("it runs", () => runs.size === 1);
  await sleep(1_200);
  // From 4.3 on, it keeps the channel of the first one open beyond the end of that one.
  const mate = client.call(called, 1_480, OPTIONS);
  await waitFor("both run", () => runs.size === 2);
  // Takes what comes back before our server consumes again, and keeps it.
  const declared = { durable: true, arguments: { "x-queue-type": "quorum" } };
  await using thief = await plainServer(url, queue, () => {}, declared);
  await waitFor("the timeout has passed", () => events.of("consumer_timeout").length >= 1, 10_000);
  // With nothing left to take back, the broker goes on with the consumer that it has ended.
  assertEquals(await long, 5_000);
  const numbers = Array.from({ length: 20 }, (_, n) => n + 1);
  const others = Promise.all(numbers.map((n) => client.call(called, n, OPTIONS).catch(String)));
  assertEquals(await mate, 2_960);
  await thief[Symbol.asyncDispose]();
  const results = await others;
  // Until 4.2 the other one may have taken some of them.
  for (const [index, n] of numbers.entries()) {
    if (results[index] !== 2 * n) assertStringIncludes(String(results[index]), "at-most-once");
  }
  for (const [n, times] of runs) assertEquals(times, 1, `${n} ran ${times} times`);
  await counting.server.close();
  await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
});

test("A server that is closed while a request outlasts the consumer timeout answers it", async (use) => {
  const { broker, url, queue } = use;
  await shorten(broker);
  await using counting = await startCounting(url, queue, { queueType: "quorum" });
  await using client = await RpcClient.connect(url);
  const called = double(queue, { queueType: "quorum" });
  const long = client.call(called, 3_000, OPTIONS);
  await waitFor("the timeout has passed", () => counting.events.of("consumer_timeout").length === 1, 10_000);
  await waitFor("it is there again", () => counting.events.of("redelivered_request").length >= 1);
  await Promise.all([counting.server.close(), long]);
  assertEquals([await long, counting.runs.get(3_000)], [6_000, 1]);
  await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
});

test("A queue that is deleted is still told from a consumer timeout", async ({ broker, url, queue }) => {
  await shorten(broker, 60_000);
  await using counting = await startCounting(url, queue, { queueType: "quorum" });
  await using client = await RpcClient.connect(url);
  const called = double(queue, { queueType: "quorum" });
  const call = client.call(called, 500, OPTIONS);
  await waitFor("it runs", () => counting.runs.size === 1);
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  assertEquals(await call, 1_000);
  await waitFor("it is served again", async () => (await queueInfo(url, queue))?.consumers === 1);
  const { events } = counting;
  assertEquals([events.of("consumer_canceled").length, events.of("consumer_timeout").length], [1, 0]);
});

test("What outlasts the consumer timeout under overload, on the second consumer too, runs once", async (use) => {
  const { broker, url, queue } = use;
  await shorten(broker, 700);
  const options = { queueType: "quorum", idempotent: true } as const;
  await using counting = await startCounting(url, queue, options, 3);
  await using client = await RpcClient.connect(url);
  const called = double(queue, options);
  await client.call(called, 200);
  // More than it can do in time.
  const flood = setInterval(() => {
    for (let n = 0; n < 3; n++) client.call(called, 100, { timeout: 600 }).catch(() => {});
  }, 50);
  try {
    await waitFor("it has a second consumer", async () => ((await queueInfo(url, queue))?.consumers ?? 0) > 1);
    const long = Array.from({ length: 8 }, (_, n) => 1_001 + n);
    assertEquals(await Promise.all(long.map((n) => client.call(called, n, OPTIONS))), long.map((n) => 2 * n));
    for (const n of long) assertEquals(counting.runs.get(n), 1, `${n}`);
  } finally {
    clearInterval(flood);
  }
  const { events } = counting;
  assertGreaterOrEqual(events.of("consumer_timeout").length, 1);
  assertEquals(events.losses, 0);
  await waitFor("it is done", () => counting.server.pending === 0);
  await counting.server.close();
  await waitFor("nothing is left", async () => (await queueInfo(url, queue))?.messages === 0);
});
