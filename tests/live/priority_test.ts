import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { procedure, type QueueType, RpcServer, text } from "../../lib/rpc.ts";
import { isAtLeast, live, queueInfo, waitFor } from "../support/live.ts";
import { connectClient, heard } from "../support/pair.ts";

const PRIORITIES = [undefined, 0, 1, 4, 5, 9, 10, 11, 31, 32, 100, 255] as const;

/** In which order requests with these priorities, which wait, come to a handler. */
async function orderOf(
  url: string,
  queue: string,
  options: { queueType: QueueType; maxPriority?: number },
): Promise<{ readonly order: string; readonly events: readonly string[] }> {
  const called = procedure({ ...options, queue, request: text(), reply: text() });
  {
    await using server = await RpcServer.connect(url);
    await server.serve(called, (name) => name);
  }
  await using client = await connectClient(url);
  const calls: Promise<string>[] = [];
  for (const priority of PRIORITIES) {
    calls.push(client.call(called, `${priority ?? "none"}`, { priority }));
    // One after the other, so that they wait in the order of the calls.
    await waitFor("it waits", async () => (await queueInfo(url, queue))?.messages === calls.length);
  }
  await using server = await RpcServer.connect(url);
  const order: string[] = [];
  await server.serve(called, (name) => {
    order.push(name);
    return name;
  }, { prefetch: 1 });
  assertEquals(await Promise.all(calls), PRIORITIES.map((priority) => `${priority ?? "none"}`));
  return { order: order.join(" "), events: heard(client, "priority_ignored").map(({ reason }) => reason) };
}

/** The order in which they were sent. */
const SENT = "none 0 1 4 5 9 10 11 31 32 100 255";

live("A classic queue with maxPriority gives requests of a higher priority out first", async ({ url, queue }) => {
  assertEquals(await orderOf(url, queue, { queueType: "classic", maxPriority: 10 }), {
    order: "10 11 31 32 100 255 9 5 4 1 none 0",
    events: [],
  });
});

live("A classic queue without maxPriority has no priorities, and the client says so once", async ({ url, queue }) => {
  assertEquals(await orderOf(url, queue, { queueType: "classic" }), {
    order: SENT,
    events: ["its queueType is classic, and it has no maxPriority"],
  });
});

live("A quorum queue has the priorities of its version", async ({ url, queue }) => {
  const { order, events } = await orderOf(url, queue, { queueType: "quorum" });
  if (await isAtLeast(url, "4.3")) {
    assertEquals([order, events], ["31 32 100 255 11 10 9 5 none 4 1 0", []]);
  } else if (await isAtLeast(url, "4.0")) {
    // Two of the higher ones, then one of the lower ones.
    assertEquals([order, events], ["5 9 none 10 11 0 31 32 1 100 255 4", []]);
  } else {
    assertEquals(order, SENT);
    const [reason = "", ...others] = events;
    assertStringIncludes(reason, "from RabbitMQ 4.0 on, and the broker is 3.");
    assertEquals(others, []);
  }
});

live("A priority out of its bounds is refused before anything is sent", async ({ url, queue }) => {
  const called = procedure({ queue, request: text(), reply: text() });
  await using client = await connectClient(url);
  for (const priority of [-1, 256, 1.5, NaN]) {
    const error = await client.call(called, "", { priority }).catch((error: unknown) => error);
    assert(error instanceof RangeError);
    assertStringIncludes(error.message, "'priority' must be an integer between 0 and 255");
  }
});
