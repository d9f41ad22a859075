/**
 * Handlers that run in processes of their own.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import {
  type RequestContext,
  RpcClient,
  RpcError,
  RpcServer,
  type ServeOptions,
  type ServerEvent,
  WorkerPool,
} from "../../lib/rpc.ts";
import { settlesWithin } from "../../lib/contract/deadline.ts";
import { HandlerContext } from "../../lib/server/handler_context.ts";
import type { RunningRequest } from "../../lib/server/running_request.ts";
import { delivery } from "../support/delivery.ts";
import { SOON } from "../support/lab.ts";
import { HEAVY, heavy } from "../support/heavy.ts";
import { live, waitFor } from "../support/live.ts";
import { failure, texts } from "../support/pair.ts";
import { sleep } from "../support/handlers.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { runningRequest } from "../support/running_request.ts";

/** A server whose handlers run in workers, with a client. */
async function start(url: string, queue: string, options: ServeOptions = {}) {
  await using opened = new AsyncDisposableStack();
  const events: ServerEvent[] = [];
  const server = opened.use(
    await RpcServer.connect(url, { onEvent: (event) => events.push(event), drainTimeout: 2_000, backoff: SOON }),
  );
  const serving = await server.serve(heavy(queue), HEAVY, { workers: 2, ...options });
  const client = opened.use(await RpcClient.connect(url));
  const both = opened.move();
  return {
    server,
    serving,
    client,
    api: client.of(heavy(queue)),
    told: (type: ServerEvent["type"]) => events.filter((event) => event.type === type),
    [Symbol.asyncDispose]: () => both.disposeAsync(),
  };
}

const run = { run: true };

live("Workers compute as many requests at once as there are of them, and the loop stays free", run, async (use) => {
  await using site = await start(use.url, use.queue);
  await site.server.serve(texts(`${use.queue}.light`), (name) => name);
  const began = performance.now();
  const pids = Promise.all([1, 2].map(() => site.api.compute(600)));
  let light = 0;
  while (performance.now() - began < 500) {
    await site.client.call(texts(`${use.queue}.light`), "a");
    light++;
  }
  const [first, second] = await pids;
  assertNotEquals(first, second);
  assertNotEquals(first, Deno.pid);
  assert(light > 2, `${light} calls`);
  assertEquals(site.told("loop_blocked"), []);
});

live("A worker's handler knows of its request what one in the server knows", run, async ({ url, queue }) => {
  await using site = await start(url, queue);
  let cost: string | undefined;
  const text = await site.api.describe("größe", {
    timeout: 5_000,
    headers: { tenant: "acme" },
    onReplyHeaders: (headers) => cost = headers["cost"],
  });
  const { left, messageId, ...rest } = JSON.parse(text);
  assertEquals(rest, {
    request: "größe",
    redelivered: false,

    method: "describe",
    headers: { tenant: "acme" },
    alive: true,
  });
  assert(left > 0 && left <= 5_000, `${left}`);
  assertEquals([cost, messageId.length], ["1", 36]);
});

live("Errors of a worker's handler reach the caller as those of any handler", run, async ({ url, queue }) => {
  await using site = await start(url, queue);
  const declared = await failure(site.api.fail("declared"));
  assertEquals([declared.code, declared.outcome, declared.details], ["not_found", "executed", "key 7"]);
  for (const [kind, text] of [["plain", /A secret/], ["symbol", /could not be cloned/]] as const) {
    const { code, outcome, message } = await failure(site.api.fail(kind));
    assertEquals([code, outcome], ["internal", "executed"]);
    assert(!text.test(message));
    const event = site.told("handler_error").at(-1);
    assert(event?.type === "handler_error" && event.error instanceof Error);
    assertMatch(event.error.stack ?? "", text);
  }
});

live("A computation stops when its call is canceled, or its deadline has passed", run, async ({ url, queue }) => {
  await using site = await start(url, queue, { workers: 1 });
  const pid = await site.api.compute(0);
  const controller = new AbortController();
  const canceled = failure(site.api.spin(1, { signal: controller.signal }));
  await sleep(200);
  controller.abort();
  const began = performance.now();
  await canceled;
  await waitFor("it has stopped", () => site.server.pending === 0);
  const stopped = performance.now() - began;
  assertLess(stopped, 500);
  const next = await site.api.compute(0);
  assertNotEquals(next, pid);
  const { code } = await failure(site.api.spin(1, { timeout: 300 }));
  assertEquals(code, "deadline_exceeded");
  await waitFor("it has stopped", () => site.server.pending === 0);
  assertNotEquals(await site.api.compute(0), next);
  assertEquals([...site.told("worker_lost"), ...site.told("handler_error")], []);
});

live("A handler that obeys its signal keeps its process", run, async ({ url, queue }) => {
  await using site = await start(url, queue, { workers: 1 });
  // On a busy machine it may be too late now and then.
  await waitFor("a process is kept", async () => {
    const pid = await site.api.compute(0);
    const { code } = await failure(site.api.wait(1, { timeout: 200 }));
    assertEquals(code, "deadline_exceeded");
    return await site.api.compute(0) === pid;
  }, 20_000);
});

for (const code of [7, 0]) {
  live(`A worker that ends ${code > 0 ? "itself" : "of a detached promise"} costs one request`, run, async (use) => {
    await using site = await start(use.url, use.queue);
    const beside = site.api.compute(300);
    const error = await failure(site.api.die(code));
    assertEquals([error.code, error.outcome], ["internal", "unknown"]);
    await beside;
    await Promise.all([1, 2, 3].map(() => site.api.compute(0)));
    const [lost] = site.told("worker_lost");
    assert(lost?.type === "worker_lost");
    assertMatch(lost.error.message, code > 0 ? /exited with code 7/ : /exited with code 1/);
    assertEquals([lost.queue, site.told("worker_lost").length], [use.queue, 1]);
  });
}

live("A server that stops serving waits for its workers, and ends their processes", run, async ({ url, queue }) => {
  await using site = await start(url, queue);
  const pid = await site.api.compute(0);
  const last = site.api.compute(500);
  await waitFor("it runs", () => site.server.pending === 1);
  await site.serving.stop();
  assertEquals(typeof await last, "number");
  // Signal 0 asks whether there is such a process.
  await assertRejects(async () => await Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
});

live("A server that closes ends a worker that does not", run, async ({ url, queue }) => {
  const site = await start(url, queue, { workers: 1 });
  const pid = await site.api.compute(0);
  const began = performance.now();
  const spinning = site.api.spin(1, { timeout: 3_000 }).catch((error: unknown) => error);
  await waitFor("it runs", () => site.server.pending === 1);
  await site.server.close();
  assertLess(performance.now() - began, 4_000);
  await assertRejects(async () => await Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
  await spinning;
  await site[Symbol.asyncDispose]();
});

live("RpcServer.serve() rejects a module that is none, or has other handlers", run, async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const missing = await assertRejects(
    () => server.serve(heavy(queue), import.meta.resolve("../support/missing.ts"), { workers: 1 }),
    RpcError,
  );
  assertEquals([missing.code, missing.outcome], ["failed_precondition", "not_executed"]);
  const twice = import.meta.resolve("../support/twice_heavy.ts");
  await assertRejects(() => server.serve(heavy(queue), twice, { workers: 1 }), RpcError, "exited with code 1");
  await assertRejects(() => server.serve(texts(queue), HEAVY, { workers: 1 }), TypeError, "one handler");
  await assertRejects(() => server.serve(heavy(queue), "./heavy.ts", { workers: 1 }), TypeError, "import.meta.resolve");
  await assertRejects(() => server.serve(texts(queue), (name) => name, { workers: 1 }), TypeError, "'workers'");
  await assertRejects(() => server.serve(heavy(queue), HEAVY, { workers: 0 }), RangeError, "'workers'");
  // None of them has left the queue taken.
  await server.serve(texts(queue), (name) => name);
});

live("A handler in the server may give some of its requests to workers", run, async ({ url, queue }) => {
  await using pool = await WorkerPool.start(HEAVY, { workers: 1 });
  await using server = await RpcServer.connect(url);
  const { compute } = heavy(queue).methods;
  void compute;
  await server.serve(heavy(queue), {
    compute: (ms, context) => ms < 100 ? Deno.pid : pool.run<number>(ms, context),
    spin: (n) => n,
    wait: (n) => n,
    die: (n) => n,
    describe: (name) => name,
    fail: (name) => name,
  });
  await using client = await RpcClient.connect(url);
  const api = client.of(heavy(queue));
  const [a, b, c] = await Promise.all([api.compute(200), api.compute(200), api.compute(1)]);
  assertEquals([a, c], [b, Deno.pid]);
  assertNotEquals(a, c);
});

/** A request for a pool that no server has. */
function requestOf(method: string): { readonly running: RunningRequest; readonly context: RequestContext } {
  const running = runningRequest(delivery({ properties: { replyTo: "replies" } }));
  running.method = method;
  return { running, context: new HandlerContext(running) as RequestContext };
}

live(
  "A worker that has died before its request is sent leaves it unknown whether it ran, and is replaced",
  run,
  async () => {
    const lost: Error[] = [];
    await using pool = await WorkerPool.start(HEAVY, { workers: 1, onLost: (reason) => lost.push(reason) });
    const pid = await pool.run<number>(1, requestOf("compute").context);
    Deno.kill(pid, "SIGKILL");
    // The loop is busy until the process is gone, so that its exit is not noticed before the request is sent.
    const end = performance.now() + 200;
    while (performance.now() < end);
    const error = await assertRejects(() => pool.run(1, requestOf("compute").context), Error);
    assertEquals([error.name, lost.length], ["WorkerEndedError", 1]);
    assertNotEquals(await pool.run<number>(1, requestOf("compute").context), pid);
  },
);

live("A worker that becomes free when a waiting request is aborted is not lost", run, async () => {
  await using pool = await WorkerPool.start(HEAVY, { workers: 1 });
  const first = requestOf("compute");
  const waiting = requestOf("compute");
  // Called when the first one ends: the abort comes in the microtask before the one in which the worker is free.
  first.context.signal.removeEventListener = () =>
    queueMicrotask(() => waiting.running.abort(new RpcError("canceled", "Not needed any more")));
  const running = pool.run<number>(50, first.context);
  await assertRejects(() => pool.run(1, waiting.context), RpcError, "Not needed");
  const pid = await running;
  const next = pool.run<number>(1, requestOf("compute").context);
  assert(await settlesWithin(next, 5_000), "no worker is free");
  assertEquals(await next, pid);
});

live("A worker whose request is delivered too often is stopped, and the request is answered", run, async (use) => {
  await using link = relay(portOf(use.url));
  await using site = await start(through(use.url, link.port), use.queue, { workers: 1 });
  await using client = await RpcClient.connect(use.url);
  const spinning = failure(client.of(heavy(use.queue)).spin(1));
  await waitFor("it runs", () => site.server.pending === 1);
  for (let loss = 1; loss <= 10; loss++) {
    link.cut();
    await waitFor("it is delivered again", () => site.told("redelivered_request").length === loss);
  }
  const error = await spinning;
  assertEquals([error.code, error.outcome], ["aborted", "unknown"]);
  // The only worker is free again.
  assertEquals(typeof await client.of(heavy(use.queue)).compute(1), "number");
  assertEquals(site.told("worker_lost"), []);
});

live("Workers that crash one after the other are replaced, at last after a while", run, async ({ url, queue }) => {
  await using site = await start(url, queue, { workers: 1 });
  for (let n = 0; n < 4; n++) assertEquals((await failure(site.api.die(7))).code, "internal");
  assertEquals(typeof await site.api.compute(1), "number");
  assertEquals(site.told("worker_lost").length, 4);
});
