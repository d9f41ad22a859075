/**
 * Handlers that block the event loop, so that nothing else is done meanwhile.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { method, RpcClient, type ServerEvent, service, text } from "../../lib/rpc.ts";
import { live, waitFor } from "../support/live.ts";
import { sleep } from "../support/handlers.ts";
import { pair, startServer, texts, told } from "../support/pair.ts";

const BLOCK_MS = 700;

/** Computes without a pause. */
function block(): void {
  const end = performance.now() + BLOCK_MS;
  while (performance.now() < end);
}

type Blocked = Extract<ServerEvent, { readonly type: "loop_blocked" }>;

function assertBlocked(events: readonly Blocked[], queue: string, name?: string): void {
  assertEquals(events.length, 1);
  const [event] = events;
  assert(event !== undefined);
  assertEquals([event.queue, event.method, event.messageId?.length], [queue, name, 36]);
  assertGreaterOrEqual(event.duration, BLOCK_MS);
  assertLess(event.duration, 2 * BLOCK_MS);
}

live("A handler that blocks the loop at its start is named", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), (name) => {
    if (name === "block") block();
    return name;
  });
  // Those beside it are not.
  await Promise.all(["a", "block", "b"].map((name) => p.client.call(texts(queue), name)));
  assertBlocked(told(p.server, "loop_blocked"), queue);
});

live("A handler that blocks the loop and then waits is named", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), async (name) => {
    if (name !== "block") return await sleep(2 * BLOCK_MS).then(() => name);
    block();
    await sleep(50);
    return name;
  });
  await Promise.all(["a", "block", "b"].map((name) => p.client.call(texts(queue), name)));
  assertBlocked(told(p.server, "loop_blocked"), queue);
});

live("A method that blocks the loop before it ends is named", async ({ url, queue }) => {
  const texting = { request: text(), reply: text() };
  const served = service({ queue, queueType: "classic", methods: { find: method(texting), wait: method(texting) } });
  const events: Blocked[] = [];
  await using server = await startServer(url, texts(`${queue}.other`), (name) => name, {
    onEvent: (event) => event.type === "loop_blocked" && events.push(event),
  });
  await server.serve(served, {
    find: async (name) => {
      await sleep(10);
      block();
      return name;
    },
    wait: (name) => sleep(2 * BLOCK_MS).then(() => name),
  });
  await using client = await RpcClient.connect(url);
  const api = client.of(served);
  await Promise.all([api.wait("a"), api.find("b"), api.wait("c")]);
  assertBlocked(events, queue, "find");
});

live("A handler that blocks the loop between two pauses is named if it is the only one", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), async (name) => {
    await sleep(10);
    block();
    await sleep(10);
    return name;
  });
  await p.client.call(texts(queue), "a");
  assertBlocked(told(p.server, "loop_blocked"), queue);
});

live("Code that blocks the loop while no request is in progress is noticed", async ({ url, queue }) => {
  await using server = await startServer(url, texts(queue), (name) => name);
  await sleep(10);
  block();
  await waitFor("it is noticed", () => told(server, "loop_blocked").length === 1);
  assertEquals(told(server, "loop_blocked")[0]?.queue, undefined);
});
