import { assert, assertEquals, assertGreaterOrEqual, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import { fib, fibonacci } from "../../lib/tutorial/fib.ts";
import { procedure, RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { double } from "../support/lab_server.ts";
import { listen } from "../support/lab.ts";
import { live, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { denoArgs, type Script, start } from "../support/script.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { gated } from "../support/handlers.ts";

const AWAITING = " [x] Awaiting RPC requests\n";

/** Keeps `width` calls in progress until `stop()`, which gives how many ended well; any error ends it. */
function load(
  width: number,
  call: (n: number) => Promise<unknown>,
): { stop(): Promise<number>; readonly done: number } {
  let stopped = false;
  let done = 0;
  let next = 0;
  async function lane(): Promise<void> {
    while (!stopped) {
      await call(next++ % 80);
      done++;
    }
  }
  const lanes = Promise.all(Array.from({ length: width }, lane));
  lanes.catch(() => stopped = true);
  return {
    get done() {
      return done;
    },
    async stop() {
      stopped = true;
      await lanes;
      return done;
    },
  };
}

/** A client that calls `double` and insists on the right result. */
function caller(client: RpcClient, called: ReturnType<typeof double>): (n: number) => Promise<void> {
  return async (n) => assertEquals(await client.call(called, n), 2 * n);
}

for (const idempotent of [true, undefined, false]) {
  live(
    `A server that closes under load fails no call and runs none twice (idempotent: ${idempotent ?? "absent"})`,
    async ({ url, queue }) => {
      const called = double(queue, { idempotent });
      const starts = new Map<string, number>();
      const served = [0, 0, 0];
      async function serve(index: number): Promise<RpcServer> {
        const server = await RpcServer.connect(url);
        await server.serve(called, async (n, { messageId = "" }) => {
          starts.set(messageId, (starts.get(messageId) ?? 0) + 1);
          served[index] = (served[index] ?? 0) + 1;
          await new Promise((resolve) => setTimeout(resolve, 2));
          return 2 * n;
        }, { prefetch: 20 });
        return server;
      }
      await using client = await RpcClient.connect(url);
      const first = await serve(0);
      await using second = await serve(1);
      const calls = load(60, caller(client, called));
      await waitFor("calls are answered", () => calls.done > 200);
      await first.close();
      assertEquals(first.pending, 0);
      const ended = served[0];
      const { done } = calls;
      await waitFor("calls go on", () => calls.done > done + 200);
      await using third = await serve(2);
      await waitFor("the third one serves", () => (served[2] ?? 0) > 50);
      const total = await calls.stop();
      assertEquals(served[0], ended, "a closed server starts nothing");
      assertEquals([starts.size, Array.from(starts.values()).filter((count) => count > 1).length], [total, 0]);
      for (const server of [second, third]) await server.close();
      assertEquals((await queueInfo(url, queue))?.messages, 0);
    },
  );
}

live("A server answers with confirms and acks what it has taken before it goes", async ({ url, queue }) => {
  const server = await RpcServer.connect(url);
  const gate = gated();
  await server.serve(double(queue), gate.handler, { prefetch: 50 });
  await using client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 50 }, (_, n) => n);
  const calls = Promise.all(numbers.map((n) => client.call(double(queue), n)));
  await waitFor("all run", () => server.pending === 50);
  const closing = server.close();
  gate.release();
  await closing;
  assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
  assertEquals(await calls, numbers.map((n) => 2 * n));
});

for (const idempotent of [true, undefined, false]) {
  live(
    `After drainTimeout handlers are told to stop, and their requests go elsewhere (idempotent: ${
      idempotent ?? "absent"
    })`,
    async ({ url, queue }) => {
      const called = double(queue, { idempotent });
      const server = await RpcServer.connect(url, { drainTimeout: 200 });
      const reasons: unknown[] = [];
      await server.serve(called, async (_n, { signal }) => {
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        reasons.push(signal.reason);
        throw signal.reason;
      });
      await using client = await RpcClient.connect(url);
      const call = client.call(called, 21).catch((error: unknown) => error);
      await waitFor("it runs", () => server.pending === 1);
      const began = performance.now();
      await server.close();
      const took = performance.now() - began;
      assertGreaterOrEqual(took, 195);
      assertLess(took, 3_000);
      const [reason] = reasons;
      assertInstanceOf(reason, RpcError);
      assertEquals(reason.code, "unavailable");
      await using other = await RpcServer.connect(url);
      const redelivered: boolean[] = [];
      await other.serve(called, (n, context) => {
        redelivered.push(context.redelivered);
        return 2 * n;
      });
      const result = await call;
      if (idempotent === false) {
        assertInstanceOf(result, RpcError);
        assertEquals([result.code, result.outcome, redelivered.length], ["aborted", "unknown", 0]);
      } else {
        assertEquals([result, redelivered], [42, [true]]);
      }
    },
  );
}

live("A handler that does not listen to its signal cannot hang a close", async ({ url, queue }) => {
  const server = await RpcServer.connect(url, { drainTimeout: 50 });
  const release = Promise.withResolvers<number>();
  await server.serve(double(queue), () => release.promise);
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await waitFor("it runs", () => server.pending === 1);
  const began = performance.now();
  await server.close();
  assertLess(performance.now() - began, 3_000);
  await waitFor("the request is back", async () => (await queueInfo(url, queue))?.messages === 1);
  // Too late: its request is another server's now.
  release.resolve(0);
  await using other = await RpcServer.connect(url);
  await other.serve(double(queue), (n) => 2 * n);
  assertEquals(await call, 42);
  await other.close();
  assertEquals((await queueInfo(url, queue))?.messages, 0);
});

live("A handler that ends in time after all is answered, though another one is not", async ({ url, queue }) => {
  const server = await RpcServer.connect(url, { drainTimeout: 300 });
  const release = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n, { signal }) => {
    if (n > 0) await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    else await release.promise;
    return 2 * n;
  });
  await using client = await RpcClient.connect(url, { drainTimeout: 10 });
  const quick = client.call(double(queue), 0);
  const slow = assertRejects(() => client.call(double(queue), 1), RpcError);
  await waitFor("both run", () => server.pending === 2);
  const closing = server.close();
  release.resolve();
  assertEquals(await quick, 0);
  await closing;
  await waitFor("the slow one is back", async () => (await queueInfo(url, queue))?.messages === 1);
  await client.close();
  assertEquals((await slow).code, "canceled");
});

live("drainTimeout: 0 gives the requests back at once", async ({ url, queue }) => {
  const server = await RpcServer.connect(url, { drainTimeout: 0 });
  await server.serve(double(queue), () => new Promise<number>(() => {}));
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await waitFor("it runs", () => server.pending === 1);
  await server.close();
  await using other = await RpcServer.connect(url);
  await other.serve(double(queue), (n) => 2 * n);
  assertEquals(await call, 42);
});

for (const what of ["Serving.stop()", "RpcServer.close()"] as const) {
  live(`${what} with a short drainTimeout acknowledges an at-most-once request that is answered`, async (use) => {
    const { url, queue } = use;
    const called = double(queue, { idempotent: false });
    const gate = gated();
    await using server = await RpcServer.connect(url, { drainTimeout: 150, onEvent: () => {} });
    // With room for more, so that it waits for what may be in transit.
    const serving = await server.serve(called, gate.handler, { prefetch: 2 });
    await using client = await RpcClient.connect(url);
    const call = client.call(called, 4);
    await gate.started;
    const stopped = what === "Serving.stop()" ? serving.stop() : server.close();
    gate.release();
    assertEquals(await call, 8);
    await stopped;
    assertEquals((await queueInfo(url, queue))?.messages, 0);
  });
}

live("A server that loses its link while it drains takes no more requests", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const events = listen<ServerEvent>();
  const server = await RpcServer.connect(through(url, link.port), {
    backoff: { min: 1, max: 10 },
    onEvent: events.onEvent,
  });
  const started = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let runs = 0;
  await server.serve(double(queue), async (n) => {
    runs++;
    started.resolve();
    await release.promise;
    return 2 * n;
  });
  await using client = await RpcClient.connect(url, { drainTimeout: 10 });
  const call = client.call(double(queue), 21);
  await started.promise;
  const closing = server.close();
  await waitFor("it consumes no more", async () => (await queueInfo(url, queue))?.consumers === 0);
  link.cut();
  await waitFor("the server is back", () => events.of("connected").length === 2);
  release.resolve();
  // The reply still goes out, over the new link.
  assertEquals(await call, 42);
  await closing;
  assertEquals(runs, 1);
  assertEquals(await queueInfo(url, queue), { messages: 1, consumers: 0 });
});

live("A queue that is deleted while its server drains is not declared again", async ({ url, queue }) => {
  const server = await RpcServer.connect(url, { onEvent: () => {} });
  const gate = gated();
  await server.serve(double(queue), gate.handler);
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await gate.started;
  const closing = server.close();
  await waitFor("it consumes no more", async () => (await queueInfo(url, queue))?.consumers === 0);
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  gate.release();
  assertEquals(await call, 42);
  await closing;
  assertEquals(await queueInfo(url, queue), undefined);
});

live("A server whose caller has left while it drains ends all the same", async ({ url, queue }) => {
  const events = listen<ServerEvent>();
  const server = await RpcServer.connect(url, { onEvent: events.onEvent });
  const gate = gated();
  await server.serve(double(queue), gate.handler);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    await publishRaw(url, queue, "21", { replyTo, correlationId: "c" });
    await gate.started;
  });
  const closing = server.close();
  gate.release();
  await closing;
  assertEquals(events.of("caller_left").length, 1);
  assertEquals((await queueInfo(url, queue))?.messages, 0);
});

live("close() joins a close under way, before, during and after", async ({ url, queue }) => {
  const server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  const client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 1), 2);
  for (const side of [client, server]) {
    const closing = side.close();
    assertEquals(side.close(), closing);
    await side[Symbol.asyncDispose]();
    await closing;
    await side.close();
  }
  const calling = await assertRejects(() => client.call(double(queue), 1), RpcError);
  const serving = await assertRejects(() => server.serve(double(queue), (n) => n), RpcError);
  assertEquals([calling.code, calling.outcome, serving.code], ["unavailable", "not_executed", "unavailable"]);
});

live("A client that closes under load ends every call, those in progress in their result", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), async (n) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return 2 * n;
  }, { prefetch: 50 });
  const client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 300 }, (_, n) => n);
  const calls = Promise.all(numbers.map((n) => client.call(double(queue), n)));
  await client.close();
  assertEquals(client.pending, 0);
  assertEquals(await calls, numbers.map((n) => 2 * n));
});

/** A server as a person starts it. */
async function serverScript(url: string, queue: string, delay: string, queueType = "classic"): Promise<Script> {
  const flags = ["--url", url, "--queue", queue, "--queue-type", queueType, "--prefetch", "10", "--delay", delay];
  const script = start(denoArgs("server.ts", ...flags));
  await script.printed(AWAITING);
  return script;
}

/** How often a server has begun to compute. */
function computed(script: Script): number {
  return script.stdout.split(" [.] fib(").length - 1;
}

live("SIGTERM of server.ts under load, and a rolling restart, fail no call", { run: true }, async ({ url, queue }) => {
  // At most once, and never sent again: whatever is dropped or given back shows.
  const called = procedure({ ...fibonacci, queue, idempotent: false });
  await using client = await RpcClient.connect(url);
  let scripts = await Promise.all([1, 2].map(() => serverScript(url, queue, "5ms", "quorum")));
  const calls = load(30, async (n) => assertEquals(await client.call(called, n), fib(n)));
  try {
    await waitFor("both compute", () => scripts.every((script) => computed(script) > 30), 10_000);
    const codes: number[] = [];
    for (const old of [...scripts]) {
      old.kill("SIGTERM");
      const [{ code, stderr }, fresh] = await Promise.all([old.ended(), serverScript(url, queue, "5ms", "quorum")]);
      codes.push(code);
      // Under load it says that it finishes what it has taken, and nothing else.
      assertEquals(
        stderr.replace(/^ \[x\] Finishing accepted requests \(\d+\); a second signal exits immediately\n$/, ""),
        "",
      );
      scripts = [...scripts.filter((script) => script !== old), fresh];
      await waitFor("the new one computes", () => computed(fresh) > 30, 10_000);
    }
    assertEquals(codes, [0, 0]);
    assert(await calls.stop() > 120);
  } finally {
    await Promise.all(scripts.map((script) => script[Symbol.asyncDispose]()));
  }
});

live(
  "A second signal under load ends server.ts at once, and what ran goes elsewhere",
  { run: true },
  async ({ url, queue }) => {
    const called = procedure({ ...fibonacci, queue, idempotent: true });
    await using client = await RpcClient.connect(url);
    await using slow = await serverScript(url, queue, "1m");
    const calls = Promise.all([1, 2, 3].map((n) => client.call(called, n)));
    await slow.printed(" [.] fib(3)");
    await using quick = await serverScript(url, queue, "1ms");
    slow.kill("SIGTERM");
    await waitFor("it consumes no more", async () => (await queueInfo(url, queue))?.consumers === 1);
    slow.kill("SIGINT");
    assertEquals((await slow.ended()).code, 130);
    assertEquals(await calls, [1n, 1n, 2n]);
    quick.kill("SIGTERM");
    assertEquals((await quick.ended()).code, 0);
  },
);

live("server.ts ends on a second signal though its link has stalled", { run: true }, async ({ url, queue }) => {
  await using link = relay(portOf(url));
  await using script = await serverScript(through(url, link.port), queue, "1ms");
  link.stall();
  script.kill("SIGTERM");
  script.kill("SIGINT");
  assertEquals((await script.ended()).code, 130);
});
