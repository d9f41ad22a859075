import { assertEquals, assertLess } from "@std/assert";
import { logEvents, RpcClient } from "../../lib/rpc.ts";
import { live, waitFor } from "../support/live.ts";
import { memoryInUse } from "../support/memory.ts";
import { startServer, texts } from "../support/pair.ts";
import { connectPeer, toQueue } from "../support/peer.ts";
import { plainServer } from "../support/plain_server.ts";

/** How many replies come that nobody waits for. */
const REPLIES = 100_000;
/** How much memory may be in use for them, in bytes; their ids alone are as much. */
const MAX_GROWTH = 4 * 1024 * 1024;

live("A flood of forged and late replies takes no memory and one line, and beside it no call is lost", async (use) => {
  const { url, queue } = use;
  const seen = texts(`${queue}.seen`);
  await using _server = await startServer(url, texts(queue), (text) => `${text}!`, { prefetch: 50 });
  await using rogue = await plainServer(url, seen.queue, ({ reply, ack }) => {
    ack();
    reply("innocent");
  }, { autoDelete: true });
  const lines: string[] = [];
  let late = 0;
  const log = logEvents({ write: (line) => lines.push(line) });
  await using client = await RpcClient.connect(url, {
    onEvent: (event) => {
      if (event.type === "late_reply") late++;
      log(event);
    },
  });
  await client.call(seen, "a");
  const { correlationId, replyTo } = rogue.received[0]?.message.properties ?? {};
  await using peer = await connectPeer(url);
  const before = await memoryInUse();
  const began = performance.now();
  let over = false;
  let calls = 0;
  const calling = (async () => {
    while (!over) {
      assertEquals(await client.call(texts(queue), `${calls}`, { timeout: 20_000 }), `${calls}!`);
      calls++;
    }
  })();
  for (let n = 0; n < REPLIES; n++) {
    // A late one in turn with those of unknown calls.
    const id = n % 2 === 0 ? String(correlationId) : `11c990f8-0179-4f4a-8e9f-${n.toString(16).padStart(12, "0")}`;
    peer.publish(toQueue(String(replyTo), "forged", { correlationId: id }));
    if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  await waitFor("all have come", () => late === REPLIES, 120_000);
  const took = performance.now() - began;
  over = true;
  await calling;
  const grown = await memoryInUse() - before;
  console.log(
    `${(1_000 * took / REPLIES).toFixed(1)} us a reply, ${
      (grown / 2 ** 20).toFixed(1)
    } MiB more, ${calls} calls beside it`,
  );
  assertLess(grown, MAX_GROWTH);
  const warnings = lines.filter((line) => line.includes("1000 replies came within 10 s that no call waits for"));
  // Once in ten seconds; and the first connect.
  assertEquals(lines.length - warnings.length, 1);
  assertLess(warnings.length, 2 + took / 10_000);
  assertEquals(warnings.length > 0, true);
});
