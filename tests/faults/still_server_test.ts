/**
 * Servers that stand still for longer than their heartbeat allows: the broker closes their connection, and delivers their
 * requests again when they are back.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { connect } from "amqplib";
import { Buffer } from "node:buffer";
import { type ClientEvent, RpcClient, type RpcError } from "../../lib/rpc.ts";
import { double, lab, listen, readLog, startServer } from "../support/lab.ts";
import { queueInfo, waitFor } from "../support/live.ts";

const test = lab();

/** The numbers from the first one up to the one before the last. */
function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** With a heartbeat of 2 s, the broker closes a silent connection after 4 to 6 s. */
const HEARTBEAT = "/?heartbeat=2";
const STILL_MS = 9_000;

/** How long a server is stopped that has the default heartbeat of 10 s. */
const STOPPED_MS = 30_000;
/** How long callers wait: beyond that, and not for as long. */
const LONG_MS = 3 * STOPPED_MS;
const SHORT_MS = STOPPED_MS / 6;

for (const queueType of ["classic", "quorum"] as const) {
  test(`A plain client's request that blocks the loop beyond the heartbeat runs once (${queueType})`, async (lab) => {
    const { url, queue } = lab;
    const log = await Deno.makeTempFile();
    const connection = await connect(url);
    try {
      const procedures = [{ queue, queueType }];
      const urls = [`${url}${HEARTBEAT}`];
      await using server = await startServer({ urls, procedures, log, prefetch: 10, delay: STILL_MS, blocking: 1 });
      const channel = await connection.createChannel();
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      const replies: string[] = [];
      await channel.consume(replyTo, (message) => message && replies.push(message.content.toString()), { noAck: true });
      channel.sendToQueue(queue, Buffer.from("1"), { replyTo, correlationId: "c" });
      await waitFor("it is answered", () => replies.length > 0, 4 * STILL_MS);
      await waitFor("it is off the queue", async () => (await server.stats()).pending === 0, 2 * STILL_MS);
      // Whatever is delivered again comes before this.
      channel.sendToQueue(queue, Buffer.from("2"), { replyTo, correlationId: "d" });
      await waitFor("the next one is answered", () => replies.length > 1, 4 * STILL_MS);
      assertEquals(replies, ["2", "4"]);
      assertEquals([(await server.stats()).losses, (await readLog(log))(queue, 1)], [1, {
        started: 1,
        finished: 1,
        aborted: 0,
      }]);
      assertEquals((await queueInfo(url, queue))?.messages, 0);
    } finally {
      await connection.close();
      await Deno.remove(log);
    }
  });

  for (const idempotent of [undefined, false]) {
    test(
      `Requests that run while their server is stopped run once (${queueType}, idempotent ${idempotent})`,
      async ({ url, queue }) => {
        const log = await Deno.makeTempFile();
        const events = listen<ClientEvent>();
        try {
          const procedures = [{ queue, queueType, idempotent }];
          const urls = [`${url}${HEARTBEAT}`];
          await using server = await startServer({ urls, procedures, log, prefetch: 10, delay: 1_000 });
          await using client = await RpcClient.connect(url, { onEvent: events.onEvent });
          const called = double(queue, { queueType, idempotent });
          const numbers = Array.from({ length: 10 }, (_, n) => n);
          const calls = Promise.all(numbers.map((n) => client.call(called, n)));
          await waitFor("all run", async () => {
            const runs = await readLog(log);
            return numbers.every((n) => runs(queue, n).started === 1);
          });
          server.kill("SIGSTOP");
          await new Promise((resolve) => setTimeout(resolve, STILL_MS));
          server.kill("SIGCONT");
          assertEquals(await calls, numbers.map((n) => 2 * n));
          assertEquals(await client.call(called, 100), 200);
          const runs = await readLog(log);
          assertEquals(numbers.map((n) => runs(queue, n).started), numbers.map(() => 1));
          assertEquals([(await server.stats()).losses, events.of("late_reply").length], [1, 0]);
        } finally {
          await Deno.remove(log);
        }
      },
    );
  }
}

test("After a server was stopped for 30 s, all calls end, nothing runs twice, and what it had not read runs", async (lab) => {
  const { url, queue } = lab;
  const log = await Deno.makeTempFile();
  const events = listen<ClientEvent>();
  const kinds = (["classic", "quorum"] as const).flatMap((queueType) =>
    [true, undefined, false].map((idempotent) => ({
      queue: `${queue}.${queueType}.${idempotent}`,
      queueType,
      idempotent,
    }))
  );
  await using _log = { [Symbol.asyncDispose]: () => Deno.remove(log) };
  await using server = await startServer({ urls: [url], procedures: kinds, log, prefetch: 20, delay: 1_000 });
  await using client = await RpcClient.connect(url, { onEvent: events.onEvent });
  /** Calls each procedure with these numbers; gives "ok", or the code of the error, by procedure. */
  function callAll(numbers: readonly number[], timeout: number): Promise<string[][]> {
    return Promise.all(kinds.map((kind) =>
      Promise.all(numbers.map(async (n) => {
        try {
          return await client.call(double(kind.queue, kind), n, { timeout }) === 2 * n ? "ok" : "wrong";
        } catch (error) {
          return (error as RpcError).code;
        }
      }))
    ));
  }
  async function waitUntil(what: "started" | "finished", numbers: readonly number[]): Promise<void> {
    await waitFor(`all have ${what}`, async () => {
      const runs = await readLog(log);
      return kinds.every(({ queue }) => numbers.every((n) => runs(queue, n)[what] === 1));
    }, STOPPED_MS);
  }
  const finished = range(0, 10);
  const running = range(10, 20);
  // The prefetch has room for ten more: these wait in the server's socket, and the others in the queue.
  const unread = range(20, 30);
  const queued = range(30, 40);
  const expired = range(40, 50);
  const calls = [callAll(finished, LONG_MS)];
  await waitUntil("finished", finished);
  calls.push(callAll(running, LONG_MS));
  await waitUntil("started", running);
  server.kill("SIGSTOP");
  calls.push(callAll(unread, LONG_MS), callAll(queued, LONG_MS), callAll(expired, SHORT_MS));
  await new Promise((resolve) => setTimeout(resolve, STOPPED_MS));
  await waitFor("the broker has closed its connection", async () => {
    const all = await Promise.all(kinds.map(({ queue }) => queueInfo(url, queue)));
    return all.every((info) => info?.consumers === 0);
  }, STOPPED_MS);
  server.kill("SIGCONT");
  const ends = await Promise.all(calls);
  const runs = await readLog(log);
  for (const [at, { queue, queueType, idempotent }] of kinds.entries()) {
    const [finishedEnds, runningEnds, unreadEnds = [], queuedEnds, expiredEnds] = ends.map((all) => all[at]);
    const started = (numbers: readonly number[]): number[] => numbers.map((n) => runs(queue, n).started);
    const all = (end: string): string[] => Array(10).fill(end);
    assertEquals([finishedEnds, runningEnds, queuedEnds], [all("ok"), all("ok"), all("ok")], queue);
    assertEquals(expiredEnds, all("deadline_exceeded"), queue);
    // Without a count of deliveries, another server may have run it meanwhile.
    if (queueType === "quorum" || idempotent !== false) assertEquals(unreadEnds, all("ok"), queue);
    assertEquals(started(unread), unreadEnds.map((end) => end === "aborted" ? 0 : 1), queue);
    assertEquals(started([...finished, ...running, ...queued]), Array(30).fill(1), queue);
    assertEquals(started(expired), Array(10).fill(0), queue);
  }
  assertEquals([(await server.stats()).losses, events.of("late_reply").length], [1, 0]);
});
