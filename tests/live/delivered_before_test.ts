/**
 * What tells a server that a request was delivered before: the broker, and not whoever sent it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { procedure, text } from "../../lib/rpc.ts";
import { deleteQueue, live, plainCall, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, startServer, texts } from "../support/pair.ts";

for (const queueType of ["classic", "quorum"] as const) {
  live(`A count of deliveries that the sender has forged is not believed (${queueType})`, async ({ url, queue }) => {
    const served = procedure({ queue, queueType, request: text(), reply: text(), maxDeliveries: 1 });
    const counts: unknown[] = [];
    await using _server = await startServer(url, served, (request, { deliveryCount }) => {
      counts.push(deliveryCount);
      return request;
    });
    const { content, properties } = await plainCall(url, queue, "Ada", { headers: { "x-delivery-count": 100 } });
    assertEquals([content.toString(), properties.type, counts.length], ["Ada", undefined, 1]);
  });
}

for (const [idempotent, runs] of [[false, 0], [undefined, 1], [true, 1]] as const) {
  const name = `A request that comes back by way of a dead-letter exchange is run ${runs} times if idempotent is `;
  live(name + idempotent, async ({ url, queue }) => {
    const loop = `${queue}.loop`;
    await using _loop = { [Symbol.asyncDispose]: () => deleteQueue(url, loop) };
    await withChannel(url, async (channel) => {
      await channel.assertQueue(queue, { durable: true, deadLetterExchange: "", deadLetterRoutingKey: loop });
      await channel.assertQueue(loop, { deadLetterExchange: "", deadLetterRoutingKey: queue });
    });
    const called = texts(queue, idempotent);
    await using client = await connectClient(url);
    const calling = client.call(called, "Ada").catch((error) => `${error.code} ${error.outcome}`);
    await withChannel(url, async (channel) => {
      const taken = await waitFor("the request is there", () => channel.get(queue));
      channel.nack(taken, false, false);
      const rejected = await waitFor("it is dead-lettered", () => channel.get(loop));
      channel.nack(rejected, false, false);
      await waitFor("it has come back", async () => (await queueInfo(url, queue))?.messages === 1);
    });
    const seen: boolean[] = [];
    await using _server = await startServer(url, called, (request, { redelivered }) => {
      seen.push(redelivered);
      return request;
    });
    assertEquals(await calling, runs === 0 ? "aborted unknown" : "Ada");
    assertEquals(seen, Array(runs).fill(true));
    assertEquals(await client.call(called, "Bob"), "Bob");
  });
}
