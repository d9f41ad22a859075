import { assertEquals, assertLess } from "@std/assert";
import { live, waitFor } from "../support/live.ts";
import { aborted } from "../support/handlers.ts";
import { connectClient, startServer, texts, told } from "../support/pair.ts";
import { memoryInUse } from "../support/memory.ts";
import { connectPeer, toQueue } from "../support/peer.ts";

/** How many cancels come, several times as many as a server remembers. */
const CANCELS = 150_000;
/** How much may be remembered of them, in bytes. */
const MAX_GROWTH = 20 * 1024 * 1024;

live("A flood of cancels takes bounded memory, and beside it no call is lost", async ({ url, queue }) => {
  const started = Promise.withResolvers<void>();
  await using server = await startServer(url, texts(queue), async (text, { signal }) => {
    if (text !== "marker") return text;
    started.resolve();
    await aborted(signal);
    return text;
  }, { prefetch: 50 });
  await using one = await connectClient(url);
  await using other = await connectClient(url);
  await using peer = await connectPeer(url);
  const empty = new Uint8Array();
  const cancel = (correlationId: string): void =>
    peer.publish({
      exchange: "rpc.control",
      routingKey: queue,
      mandatory: false,
      properties: { type: "cancel", correlationId, expiration: "2147483647" },
      body: empty,
    });
  const before = await memoryInUse();
  const began = performance.now();
  let over = false;
  const failures: unknown[] = [];
  const calls: Promise<unknown>[] = [];
  const calling = (async () => {
    for (let n = 0; !over; n++) {
      for (const client of [one, other]) {
        calls.push(client.call(texts(queue), `${n}`, { timeout: 10_000 }).catch((error) => failures.push(error)));
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  for (let n = 0; n < CANCELS; n++) {
    cancel(`11c990f8-0179-4f4a-8e9f-${n.toString(16).padStart(12, "0")}`);
    if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  peer.publish(toQueue(queue, "marker", { replyTo: peer.queue, correlationId: "marker" }));
  await started.promise;
  cancel("marker");
  await waitFor("all cancels have arrived", () => told(server, "canceled_request").length === 1, 120_000);
  const took = performance.now() - began;
  over = true;
  await calling;
  await Promise.all(calls);
  assertEquals(failures, []);
  calls.length = 0;
  const grown = await memoryInUse() - before;
  console.log(`${(1_000 * took / CANCELS).toFixed(1)} us a cancel, ${(grown / 2 ** 20).toFixed(1)} MiB more`);
  assertLess(grown, MAX_GROWTH);
});
