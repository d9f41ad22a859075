/**
 * Says, as worker.ts does, how many bytes of heap one pending call takes in a client that has 10,000 of them. URL and
 * queue are its arguments; a server must answer while it warms up, and the end of stdin says that this one has left.
 *
 * @module
 */

import { procedure, RpcClient, text } from "../../lib/rpc.ts";
import type { Said } from "./worker.ts";

const PENDING = 10_000;
const WARM_UPS = 3;

function collectGarbage(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("Cannot measure the heap: it needs --v8-flags=--expose-gc");
  for (let n = 0; n < 5; n++) gc();
  return Deno.memoryUsage().heapUsed;
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function main(url: string, queue: string): Promise<void> {
  const client = await RpcClient.connect(url);
  const echo = procedure({ queue, request: text(), reply: text() });
  for (let n = 0; n < WARM_UPS; n++) {
    await Promise.all(Array.from({ length: PENDING }, () => client.call(echo, "42")));
  }
  say({ type: "ready" });
  for await (const _ of Deno.stdin.readable);
  const before = collectGarbage();
  const calls = Array.from({ length: PENDING }, () => client.call(echo, "42"));
  // Until all are written and confirmed.
  await sleep(2_000);
  const bytesPerCall = (collectGarbage() - before) / calls.length;
  say({ type: "heap", bytesPerCall });
  Deno.exit();
}

function say(said: Said): void {
  console.log(JSON.stringify(said));
}

const [url = "", queue = ""] = Deno.args;
await main(url, queue);
