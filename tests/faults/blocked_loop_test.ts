import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { double, lab, readLog, startServer } from "../support/lab.ts";
import { queueInfo, waitFor } from "../support/live.ts";

const test = lab();

/** Declares the queue of a procedure as a server does, and leaves it without consumer. */
async function declare(url: string, called: ReturnType<typeof double>): Promise<void> {
  await using server = await RpcServer.connect(url);
  await server.serve(called, (n) => n);
}

test("A request that blocks the loops of its servers ends as aborted, and those behind it are answered", async (use) => {
  const { url, queue } = use;
  const log = await Deno.makeTempFile();
  const maxDeliveries = 2;
  const options = { queueType: "quorum", maxDeliveries } as const;
  const procedures = [{ queue, ...options }];
  const config = { urls: [url], procedures, log, prefetch: 1, delay: 0, looping: 13, heartbeat: 1 };
  await using client = await RpcClient.connect(url);
  const called = double(queue, options);
  try {
    await declare(url, called);
    const timeout = 60_000;
    const call = client.call(called, 13, { timeout }).catch((error: unknown) => error);
    const mates = Promise.all([101, 102].map((n) => client.call(called, n, { timeout })));
    for (let block = 0; block < maxDeliveries; block++) {
      await using server = await startServer(config);
      await waitFor("it blocks", async () => (await readLog(log))(queue, 13).started === block + 1);
      await waitFor("the broker gives it up", async () => (await queueInfo(url, queue))?.consumers === 0, 20_000);
      server.kill("SIGKILL");
      assertEquals(await server.ended, 137);
    }
    await using server = await startServer(config);
    const error = await call;
    assertInstanceOf(error, RpcError);
    assertEquals([error.code, error.outcome], ["aborted", "unknown"]);
    assertStringIncludes(error.message, "2 times");
    assertEquals(await mates, [202, 204]);
    const runs = await readLog(log);
    assertEquals(runs(queue, 13), { started: 2, finished: 0, aborted: 0 });
    for (const n of [101, 102]) assertEquals(runs(queue, n), { started: 1, finished: 1, aborted: 0 });
    server.kill("SIGTERM");
    assertEquals(await server.ended, 0);
    assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
  } finally {
    await Deno.remove(log);
  }
});
