/**
 * The tutorial's server with the tutorial's recursive fib, in worker processes.
 *
 * @module
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { procedure, RpcClient } from "../../lib/rpc.ts";
import { fibonacci } from "../../lib/tutorial/fib.ts";
import { live, waitFor } from "../support/live.ts";
import { denoArgs, type Script, start } from "../support/script.ts";
import { failure } from "../support/pair.ts";

function server(url: string, ...args: string[]): Script {
  const [deno = "", run = "", ...rest] = denoArgs("server.ts", "--url", url, "--naive", ...args);
  return start([deno, run, "--allow-run", ...rest]);
}

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  const text = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
  return text.split(" ").filter((word) => word !== "").map(Number);
}

/** The worker processes of a server, as soon as there are so many. */
async function workersOf({ pid }: Script, count: number): Promise<number[]> {
  return await waitFor("the workers are there", () => {
    const children = childrenOf(pid);
    return children.length === count && children;
  });
}

const run = { run: true };

live("Two workers compute fib(38) while fib(1) is answered beside them", run, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue, "--workers", "2");
  await serving.printed("Awaiting");
  await workersOf(serving, 2);
  await using client = await RpcClient.connect(url);
  const called = procedure({ ...fibonacci, queue });
  let over = false;
  const heavy = Promise.all([38, 38, 38].map((n) => client.call(called, n))).finally(() => over = true);
  const times: number[] = [];
  while (!over) {
    const began = performance.now();
    assertEquals(await client.call(called, 1), 1n);
    times.push(performance.now() - began);
  }
  assertEquals(await heavy, [39088169n, 39088169n, 39088169n]);
  times.sort((a, b) => a - b);
  assert(times.length > 20, `${times.length} calls`);
  assertLess(times[times.length >> 1] ?? Infinity, 50);
  serving.kill("SIGTERM");
  assertEquals((await serving.ended()).code, 0);
});

live("Naive fib(60) stops when its call is canceled", run, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue, "--workers", "1");
  await serving.printed("Awaiting");
  const [worker] = await workersOf(serving, 1);
  await using client = await RpcClient.connect(url);
  const called = procedure({ ...fibonacci, queue });
  const controller = new AbortController();
  const call = failure(client.call(called, 60, { signal: controller.signal }));
  await serving.printed("fib(60)");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(childrenOf(serving.pid), [worker]);
  const began = performance.now();
  controller.abort();
  assertEquals((await call).code, "canceled");
  await waitFor("it has stopped", () => !childrenOf(serving.pid).includes(worker ?? 0));
  assertLess(performance.now() - began, 1_000);
  assertEquals(await client.call(called, 30), 832040n);
});

live("A server that is killed leaves no idle worker behind", run, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue, "--workers", "2");
  await serving.printed("Awaiting");
  const workers = await workersOf(serving, 2);
  serving.kill("SIGKILL");
  await waitFor("they have ended", async () => {
    const found = await Promise.all(workers.map((pid) => Deno.stat(`/proc/${pid}`).catch(() => undefined)));
    return found.every((stat) => stat === undefined);
  });
});

live("A signal to the whole group ends the server once its workers are done", run, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue, "--workers", "1");
  await serving.printed("Awaiting");
  const [worker] = await workersOf(serving, 1);
  await using client = await RpcClient.connect(url);
  const call = client.call(procedure({ ...fibonacci, queue }), 38);
  await serving.printed("fib(38)");
  // As Ctrl-C in a terminal does.
  for (const pid of [worker ?? 0, serving.pid]) Deno.kill(pid, "SIGINT");
  assertEquals(await call, 39088169n);
  assertEquals((await serving.ended()).code, 0);
});

live("The server says which permission workers need, and that --workers needs --naive", run, async ({ url, queue }) => {
  await using without = start(denoArgs("server.ts", "--url", url, "--queue", queue, "--naive", "--workers", "1"));
  const { code, stderr } = await without.ended();
  assertEquals(code, 1);
  assert(stderr.includes("--allow-run"), stderr);
  await using wrong = start(denoArgs("server.ts", "--workers", "1"));
  const ended = await wrong.ended();
  assertEquals(ended.code, 2);
  assert(ended.stderr.includes("--workers needs --naive"), ended.stderr);
});
