/**
 * Servers that stand still for longer than their heartbeat allows: the broker closes their connection, and delivers their
 * requests again when they are back.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { connect } from "amqplib";
import { Buffer } from "node:buffer";
import { type ClientEvent, RpcClient } from "../../lib/rpc.ts";
import { double, lab, listen, readLog, startServer } from "../support/lab.ts";
import { queueInfo, waitFor } from "../support/live.ts";

const test = lab();

/** With a heartbeat of 2 s, the broker closes a silent connection after 4 to 6 s. */
const HEARTBEAT = "/?heartbeat=2";
const STILL_MS = 9_000;

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
