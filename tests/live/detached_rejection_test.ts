import { assertEquals, assertStringIncludes } from "@std/assert";
import { RpcClient } from "../../lib/rpc.ts";
import { double, lab, readLog, startServer } from "../support/lab.ts";
import { queueInfo, waitFor } from "../support/live.ts";

const test = lab();

test("A promise that a handler leaves behind, and that is rejected, ends its process; no request is lost", async (use) => {
  const { url, queue } = use;
  const log = await Deno.makeTempFile();
  try {
    const config = { urls: [url], procedures: [{ queue }], log, prefetch: 10, delay: 300 };
    await using other = await startServer(config);
    await using server = await startServer({ ...config, detached: 13 });
    await using client = await RpcClient.connect(url);
    const called = double(queue);
    const numbers = Array.from({ length: 12 }, (_, n) => n);
    const mates = Promise.all(numbers.map((n) => client.call(called, n)));
    await waitFor("they run", async () => {
      const runs = await readLog(log);
      return numbers.every((n) => runs(queue, n).started > 0);
    });
    // The broker gives them to the servers in turn.
    const calls = Promise.all([client.call(called, 13), client.call(called, 13)]);
    let code: number | undefined;
    server.ended.then((ended) => code = ended);
    await waitFor("the process ends", () => code !== undefined);
    assertEquals(code, 1);
    assertStringIncludes(server.stderr, "Uncaught (in promise) Error: left behind");
    assertEquals(await calls, [26, 26]);
    assertEquals(await mates, numbers.map((n) => 2 * n));
    // What the other one had answered and not acknowledged is run again.
    await waitFor("all are off the queue", async () => (await other.stats()).pending === 0);
    assertEquals((await queueInfo(url, queue))?.messages, 0);
  } finally {
    await Deno.remove(log);
  }
});
