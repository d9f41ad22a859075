/**
 * Messages that are larger than a broker takes: it closes the channel that they come on.
 *
 * @module
 */

import { assertEquals, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import { bytes, type Procedure, procedure, text } from "../../lib/rpc.ts";
import { lab } from "../support/lab.ts";
import { connectClient, failure, heard, pair, startServer, texts, told } from "../support/pair.ts";

const MAX_SIZE = 100_000;
const TOO_LARGE = new Uint8Array(MAX_SIZE + 1);

const test = lab({ config: [`max_message_size = ${MAX_SIZE}`] });

function blobs(queue: string, idempotent?: boolean): Procedure<Uint8Array, Uint8Array, string, string> {
  return procedure({ queue, queueType: "classic", request: bytes(), reply: text(), idempotent });
}

/** Makes calls, 20 at a time, until it is told that so many are enough. */
function traffic(call: (n: number) => Promise<unknown>): (enough: number) => Promise<void> {
  let until = Infinity;
  let calls = 0;
  const lane = async (): Promise<void> => {
    while (calls < until) await call(calls++);
  };
  const running = Promise.all(Array.from({ length: 20 }, lane));
  running.catch(() => {});
  return async (enough) => {
    until = Math.max(enough, calls);
    await running;
  };
}

test("An oversized call beside steady traffic fails alone, and costs one channel", async ({ url, queue }) => {
  const called = blobs(queue, true);
  await using both = await pair(url, called, (body) => `${body.length}`, { prefetch: 100 });
  const innocents = traffic(async (n) => {
    const size = 1 + n % 1_000;
    assertEquals(await both.client.call(called, new Uint8Array(size), { timeout: 10_000 }), `${size}`);
  });
  await both.client.call(called, new Uint8Array(1));
  const oversized = await Promise.all(
    Array.from({ length: 5 }, () => failure(both.client.call(called, TOO_LARGE, { timeout: 10_000 }))),
  );
  const later = await failure(both.client.call(called, TOO_LARGE, { timeout: 10_000 }));
  await innocents(500);
  for (const { code, message } of oversized) {
    assertEquals(code, "resource_exhausted");
    assertStringIncludes(message, `${MAX_SIZE}`);
  }
  // By then the limit is known, and nothing is written.
  assertEquals([later.code, later.outcome], ["resource_exhausted", "not_executed"]);
  assertLessOrEqual(heard(both.client, "channel_lost").length, 2);
  assertEquals(heard(both.client, "disconnected"), []);
});

test("An oversized call that is not idempotent is told why", async ({ url, queue }) => {
  const called = blobs(queue);
  await using both = await pair(url, called, (body) => `${body.length}`, { prefetch: 100 });
  const beside = Array.from({ length: 10 }, () => both.client.call(called, new Uint8Array(1)).catch(() => {}));
  const { code, message } = await failure(both.client.call(called, TOO_LARGE));
  await Promise.all(beside);
  assertEquals(code, "resource_exhausted");
  assertStringIncludes(message, `${MAX_SIZE}`);
});

test("An oversized call over direct reply-to beside steady traffic fails alone", async ({ url, queue }) => {
  const called = blobs(queue, true);
  await using _server = await startServer(url, called, (body) => `${body.length}`, { prefetch: 100 });
  await using client = await connectClient(url, { replies: "direct" });
  const innocents = traffic(async (n) => {
    const size = 1 + n % 1_000;
    assertEquals(await client.call(called, new Uint8Array(size), { timeout: 10_000 }), `${size}`);
  });
  await client.call(called, new Uint8Array(1));
  const { message } = await failure(client.call(called, TOO_LARGE, { timeout: 10_000 }));
  assertStringIncludes(message, `${MAX_SIZE}`);
  await innocents(500);
  assertLessOrEqual(heard(client, "channel_lost").length, 2);
});

test("An oversized reply is told to its caller, and other replies of the moment arrive", async ({ url, queue }) => {
  const gate = Promise.withResolvers<void>();
  let runs = 0;
  await using both = await pair(url, texts(queue), async (request) => {
    runs++;
    await gate.promise;
    return request === "large" ? "x".repeat(MAX_SIZE + 1) : request;
  }, { prefetch: 100 });
  const oversized = failure(both.client.call(texts(queue), "large", { timeout: 10_000 }));
  const names = Array.from({ length: 30 }, (_, n) => `${n}`);
  const innocents = names.map((name) => both.client.call(texts(queue), name, { timeout: 10_000 }));
  while (both.server.pending < 31) await new Promise((resolve) => setTimeout(resolve, 5));
  gate.resolve();
  const { code, outcome, message } = await oversized;
  assertEquals([code, outcome], ["resource_exhausted", "executed"]);
  assertStringIncludes(message, `${MAX_SIZE + 1}`);
  assertEquals(await Promise.all(innocents), names);
  // Once is enough: from now on the limit is known.
  const before = told(both.server, "channel_lost").length;
  const again = await Promise.all(
    Array.from({ length: 10 }, () => failure(both.client.call(texts(queue), "large", { timeout: 10_000 }))),
  );
  for (const { code, outcome } of again) assertEquals([code, outcome], ["resource_exhausted", "executed"]);
  assertLessOrEqual(before, 2);
  assertEquals(told(both.server, "channel_lost").length, before);
  assertEquals([told(both.server, "disconnected"), runs], [[], 41]);
});

test("Oversized replies beside steady traffic end before their deadline", async ({ url, queue }) => {
  const large = texts(`${queue}.large`);
  await using both = await pair(url, texts(queue), (request) => request, { prefetch: 100 });
  await both.server.serve(large, () => "x".repeat(MAX_SIZE + 1), { prefetch: 10 });
  const innocents = traffic(async (n) => {
    assertEquals(await both.client.call(texts(queue), `${n}`, { timeout: 10_000 }), `${n}`);
  });
  for (let n = 0; n < 5; n++) {
    const { code, outcome } = await failure(both.client.call(large, "", { timeout: 5_000 }));
    assertEquals([code, outcome], ["resource_exhausted", "executed"]);
  }
  await innocents(500);
  assertLessOrEqual(told(both.server, "channel_lost").length, 2);
});
