import { assertStringIncludes } from "@std/assert";
import { integer, type Interceptor, json, method, RpcClient, RpcServer, service } from "../../lib/rpc.ts";
import { sleep } from "../support/handlers.ts";
import { live } from "../support/live.ts";
import { connectClient, failure } from "../support/pair.ts";

function numbers(queue: string) {
  const codecs = { request: integer({ max: 100 }), reply: integer() };
  return service({
    queue,
    queueType: "classic",
    methods: { half: method({ ...codecs, errors: { not_found: json() } }), slow: method(codecs) },
  });
}

/** The file and line from which it is called, as stacks show them. */
function here(): string {
  const [, , caller = ""] = new Error().stack?.split("\n") ?? [];
  return caller.match(/caller_stack_test\.ts:\d+/)?.[0] ?? "no line";
}

live("The stack of a rejected call shows who awaits it", async ({ url, queue }) => {
  const served = numbers(queue);
  const { half, slow } = served.methods;
  await using server = await RpcServer.connect(url, { onEvent: () => {} });
  await server.serve(served, {
    half: (n, context) => {
      if (n === 1) throw context.error("not_found", {});
      throw new Error("any");
    },
    slow: async (n, { signal }) => {
      await sleep(60_000, signal);
      return n;
    },
  });
  const sync: Interceptor = (next) => (call) => next(call);
  const async: Interceptor = (next) => async (call) => await next(call);
  await using plain = await connectClient(url);
  await using direct = await connectClient(url, { replies: "direct" });
  await using layered = await connectClient(url, { interceptors: [async, sync, async] });
  const closed = await RpcClient.connect(url);
  await closed.close();
  const missing = { ...half, queue: `${queue}.missing` };

  const cases: readonly (readonly [what: string, line: string, call: () => Promise<unknown>])[] = [
    ["a typed error", here(), async () => await plain.call(half, 1)],
    ["a method of client.of()", here(), async () => await plain.of(served).half(1)],
    ["an exception of the handler", here(), async () => await plain.call(half, 2)],
    ["a deadline", here(), async () => await plain.call(slow, 1, { timeout: 50 })],
    ["a signal", here(), async () => await plain.call(slow, 1, { signal: AbortSignal.timeout(20) })],
    ["no queue", here(), async () => await plain.call(missing, 1)],
    ["nobody serves", here(), async () => await plain.call(missing, 1, { failFast: true })],
    ["a request without encoding", here(), async () => await plain.call(half, 0.5)],
    ["a client that is closed", here(), async () => await closed.call(half, 1)],
    ["a direct reply", here(), async () => await direct.call(half, 1)],
    ["interceptors", here(), async () => await layered.call(half, 1)],
    ["interceptors and client.of()", here(), async () => await layered.of(served).half(1)],
    ["interceptors and a deadline", here(), async () => await layered.call(slow, 1, { timeout: 50 })],
    ["interceptors and no encoding", here(), async () => await layered.call(half, 0.5)],
    ["one of several calls", here(), async () => await Promise.all([plain.call(half, 1)])],
    ["a promise made of the call's", here(), async () => await plain.call(half, 1).finally(() => {})],
  ];
  for (const [what, line, call] of cases) {
    const { stack = "", message } = await failure(call());
    assertStringIncludes(stack, line, what);
    assertStringIncludes(stack, `RpcError: ${message}`, what);
  }
});

live("The stack of a call that its client has given up shows who awaits it", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const reached = Promise.withResolvers<void>();
  await server.serve(numbers(queue), {
    half: (n) => n,
    slow: async (n, { signal }) => {
      reached.resolve();
      await sleep(60_000, signal);
      return n;
    },
  });
  const client = await connectClient(url, { drainTimeout: 10 });
  const [line, call] = [here(), async () => await client.of(numbers(queue)).slow(1, { timeout: 5_000 })];
  const calling = failure(call());
  await reached.promise;
  await client.close();
  assertStringIncludes((await calling).stack ?? "", line);
});
