import { assertEquals, assertStringIncludes } from "@std/assert";
import { fib, fibonacci } from "../../lib/tutorial/fib.ts";
import { RpcClient, RpcServer } from "../../lib/rpc.ts";
import { isAtLeast, live, waitFor } from "../support/live.ts";
import { type Script, start } from "../support/script.ts";

/** Debian's own Python sees Debian's packages; another one on the PATH does not. */
const PYTHON = await findPython();
const PEER = new URL("../support/pika_peer.py", import.meta.url).pathname;

async function findPython(): Promise<string | undefined> {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  for (const python of ["/usr/bin/python3", "python3"]) {
    try {
      const { success } = await new Deno.Command(python, { args: ["-c", "import pika"], stderr: "null" }).output();
      if (success) return python;
    } catch {
      // Not installed.
    }
  }
  return undefined;
}

/** The queue of a plain server: as older tutorials declare it, or as today's one where the broker refuses that. */
async function queueTypeAt(url: string): Promise<"transient" | "quorum"> {
  return await isAtLeast(url, "4.3") ? "quorum" : "transient";
}

/** Starts the plain server. */
async function startPlain(python: string, url: string, queue: string): Promise<Script> {
  const queueType = await queueTypeAt(url);
  const args = queueType === "quorum" ? [queueType] : [];
  const plain = start([python, PEER, "server", queue, ...args], { AMQP_URL: url });
  await plain.printed(" [x] Awaiting RPC requests");
  return plain;
}

function interop(name: string, fn: (live: { url: string; queue: string; python: string }) => Promise<void>): void {
  const python = PYTHON ?? "";
  live(`${name} (python3-pika)`, { run: true, ignore: python === "" }, (found) => fn({ ...found, python }));
}

interop("A plain tutorial client gets its number from our server", async ({ url, queue, python }) => {
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n) => fib(n), { prefetch: 1 });
  await using client = start([python, PEER, "client", queue, "30"], { AMQP_URL: url });
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
