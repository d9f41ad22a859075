import { assertEquals, assertStringIncludes } from "@std/assert";
import { fib, fibonacci } from "../../lib/tutorial/fib.ts";
import { RpcClient, RpcServer } from "../../lib/rpc.ts";
import { isAtLeast, waitFor } from "../support/live.ts";
import { interop, PIKA_PEER } from "../support/pika.ts";
import { type Script, start } from "../support/script.ts";

/** The queue of a plain server: as older tutorials declare it, or as today's one where the broker refuses that. */
async function queueTypeAt(url: string): Promise<"transient" | "quorum"> {
  return await isAtLeast(url, "4.3") ? "quorum" : "transient";
}

/** Starts the plain server. */
async function startPlain(python: string, url: string, queue: string): Promise<Script> {
  const queueType = await queueTypeAt(url);
  const args = queueType === "quorum" ? [queueType] : [];
  const plain = start([python, PIKA_PEER, "server", queue, ...args], { AMQP_URL: url });
  await plain.printed(" [x] Awaiting RPC requests");
  return plain;
}

interop("A plain tutorial client gets its number from our server", async ({ url, queue, python }) => {
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n) => fib(n), { prefetch: 1 });
  await using client = start([python, PIKA_PEER, "client", queue, "30"], { AMQP_URL: url });
  const { code, stdout, stderr } = await client.ended();
  assertEquals([code, stdout], [0, " [.] Got 832040\n"], stderr);
});

interop("Our client gets its number from a plain tutorial server", async ({ url, queue, python }) => {
  await using _server = await startPlain(python, url, queue);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call({ ...fibonacci, queue }, 30), 832040n);
  const numbers = [1, 2, 3, 50, 100];
  assertEquals(await Promise.all(numbers.map((n) => client.call({ ...fibonacci, queue }, n))), numbers.map(fib));
});

interop("Our server and a plain tutorial server share one queue", async ({ url, queue, python }) => {
  await using _plain = await startPlain(python, url, queue);
  let served = 0;
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue, queueType: await queueTypeAt(url) }, (n) => {
    served++;
    return fib(n);
  }, { prefetch: 1 });
  await using client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  assertEquals(await Promise.all(numbers.map((n) => client.call({ ...fibonacci, queue }, n))), numbers.map(fib));
  assertEquals(served > 0 && served < 200, true, `our server answered ${served} of 200`);
});

interop(
  "A plain tutorial server joins a queue that our server declared with the same type",
  async ({ url, queue, python }) => {
    await using server = await RpcServer.connect(url);
    await server.serve({ ...fibonacci, queue, queueType: await queueTypeAt(url) }, (n) => fib(n));
    await using plain = await startPlain(python, url, queue);
    await waitFor("the plain server runs", () => plain.stderr === "");
    assertStringIncludes(plain.stdout, "Awaiting");
  },
);
