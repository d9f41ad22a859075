import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type Headers,
  integer,
  isRpcError,
  json,
  method,
  RpcClient,
  RpcError,
  RpcServer,
  type ServerEvent,
  service,
} from "../../lib/rpc.ts";
import { live, plainCall, queueInfo, waitFor } from "../support/live.ts";
import { connectClient, failure } from "../support/pair.ts";
import { sleep } from "../support/handlers.ts";
import { HANDLERS, maths, Missing } from "../support/maths.ts";

live("A service answers each of its methods over one queue and one consumer", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(maths(queue), HANDLERS);
  await using client = await RpcClient.connect(url);
  const api = client.of(maths(queue));
  assertEquals(await Promise.all([api.double(21), api.half(42), api.reset()]), [42, 21, undefined]);
  assertEquals(await client.call(maths(queue).methods.half, 8), 4);
  assertEquals((await queueInfo(url, queue))?.consumers, 1);
});

live("A request that names no method goes to the default one", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(maths(queue), HANDLERS);
  assertEquals((await plainCall(url, queue, "21")).content.toString(), "42");
  assertEquals((await plainCall(url, queue, "22", { type: "half" })).content.toString(), "11");
});

live("A method that is not there is unimplemented, and the error names those that are", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(maths(queue), HANDLERS);
  await using client = await connectClient(url);
  const wider = service({ queue, methods: { triple: method({ request: integer(), reply: integer() }) } });
  const error = await failure(client.of(wider).triple(1));
  assertEquals([error.code, error.outcome], ["unimplemented", "not_executed"]);
  assertStringIncludes(error.message, "double, half, reset");
  assertStringIncludes(error.message, "triple");
});

live("A service without a default refuses a request that names no method", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const methods = { double: method({ request: integer(), reply: integer() }) };
  await server.serve(service({ queue, queueType: "classic", methods }), { double: HANDLERS.double });
  const reply = await plainCall(url, queue, "21");
  assertEquals([reply.properties.type, JSON.parse(reply.content.toString()).code], ["rpc.error", "unimplemented"]);
});

live("serve() refuses handlers that are missing, and such that no method has", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const { half, double } = HANDLERS;
  // @ts-expect-error: the method "reset" has no handler
  await assertRejects(() => server.serve(maths(queue), { half, double }), TypeError, '"reset"');
  // @ts-expect-error: there is no method "more"
  await assertRejects(() => server.serve(maths(queue), { ...HANDLERS, more: () => 1 }), TypeError, '"more"');
});

live("A queue that is being served is not served twice, and again once that was stopped", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const serving = await server.serve(maths(queue), HANDLERS);
  const error = await failure(server.serve(maths(queue), HANDLERS));
  assertEquals(error.code, "already_exists");
  await serving.stop();
  await waitFor("nobody consumes", async () => (await queueInfo(url, queue))?.consumers === 0);
  await server.serve(maths(queue), HANDLERS);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.of(maths(queue)).double(2), 4);
});

live("stop() answers what is in progress, and leaves other queues alone", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const started = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const serving = await server.serve(maths(queue), {
    ...HANDLERS,
    half: async (n) => {
      started.resolve();
      await release.promise;
      return n / 2;
    },
  });
  await using client = await RpcClient.connect(url);
  const calling = client.of(maths(queue)).half(4);
  await started.promise;
  const stopped = serving.stop();
  release.resolve();
  assertEquals(await calling, 2);
  await stopped;
  assertEquals(server.pending, 0);
});

live("A declared error reaches the caller with its details, which have their type", async ({ url, queue }) => {
  const { methods } = maths(queue);
  await using server = await RpcServer.connect(url);
  await server.serve(maths(queue), {
    ...HANDLERS,
    half: (n, context) => {
      if (n % 2 === 0) return n / 2;
      throw context.error("failed_precondition", { id: n }, "Cannot halve an odd number");
    },
  });
  await using client = await connectClient(url);
  const error: unknown = await failure(client.of(maths(queue)).half(7));
  assert(isRpcError(error, methods.half) && error.code === "failed_precondition" && error.outcome === "executed");
  const id: number = error.details.id;
  assertEquals([id, error.outcome, error.message], [7, "executed", "Cannot halve an odd number"]);
});

live("Details that are not as declared are an internal error of the server", async ({ url, queue }) => {
  const events: ServerEvent[] = [];
  await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event) });
  await server.serve(maths(queue), {
    ...HANDLERS,
    half: () => {
      throw new RpcError("failed_precondition", "odd", { details: { id: "seven" } });
    },
  });
  await using client = await connectClient(url);
  const error = await failure(client.of(maths(queue)).half(7));
  assertEquals([error.code, error.outcome], ["internal", "executed"]);
  assertEquals(events.filter(({ type }) => type === "handler_error").length, 1);
});

live("Details that another version of the server sends are data_loss", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const old = service({
    queue,
    queueType: "classic",
    methods: { half: method({ request: integer(), reply: integer() }) },
  });
  await server.serve(old, {
    half: () => {
      throw new RpcError("failed_precondition", "odd", { details: { number: 7 } });
    },
  });
  await using client = await connectClient(url);
  const error = await failure(client.of(maths(queue)).half(7));
  assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
});

live("Headers go both ways, and are frozen", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const seen: unknown[] = [];
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: (n, context) => {
      seen.push({ ...context.headers }, Object.isFrozen(context.headers));
      context.replyHeaders["took"] = "1 ms";
      return 2 * n;
    },
    half: (n, { replyHeaders }) => n / 2 + Object.keys(replyHeaders).length,
  });
  await using client = await RpcClient.connect(url);
  const headers = { tenant: "acme", traceparent: "00-1-2-01", empty: "" };
  const got: unknown[] = [];
  const onReplyHeaders = (reply: Headers): void => void got.push({ ...reply });
  await client.of(maths(queue)).double(1, { headers, onReplyHeaders });
  assertEquals([seen, got], [[headers, true], [{ took: "1 ms" }]]);
  // Without headers it is not called, although the handler has looked at them.
  await client.of(maths(queue)).half(2, { onReplyHeaders });
  assertEquals(got.length, 1);
});

live("Headers that are not as they must be are refused before anything is written", async ({ url, queue }) => {
  await using client = await RpcClient.connect(url);
  const api = client.of(maths(queue));
  for (
    const [headers, text] of [
      [{ Tenant: "x" }, "lower-case"],
      [{ "x-death": "x" }, "reserved"],
      [{ "rpc-a": "x" }, "reserved"],
      [{ a: "é" }, "printable ASCII"],
      [{ a: "a\nb" }, "printable ASCII"],
      [Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`h${n}`, ""])), "64"],
      [{ a: "x".repeat(8_192) }, "8192"],
    ] as const
  ) {
    await assertRejects(() => api.double(1, { headers: { ...headers } }), Error, text);
  }
  assertEquals(await queueInfo(url, queue), undefined);
});

live("Every call and every request is an event when it ends", async ({ url, queue }) => {
  const handled: unknown[] = [];
  const called: unknown[] = [];
  await using server = await RpcServer.connect(url, {
    onEvent: (event) => event.type === "handled" && handled.push([event.method, event.code, event.duration >= 0]),
  });
  await server.serve(maths(queue), {
    ...HANDLERS,
    half: () => {
      throw new RpcError("not_found", "no");
    },
  });
  await using client = await RpcClient.connect(url, {
    onEvent: (event) =>
      event.type === "called" && called.push([event.method, event.code, event.outcome, event.attempts]),
  });
  const api = client.of(maths(queue));
  await api.double(1);
  await failure(api.half(1));
  await failure(api.double(0.5));
  await waitFor("both are told", () => handled.length === 2);
  assertEquals(handled, [["double", "ok", true], ["half", "not_found", true]]);
  assertEquals(called, [
    ["double", "ok", undefined, 1],
    ["half", "not_found", "executed", 1],
    ["double", "invalid_argument", "not_executed", 0],
  ]);
});

live("What a handler sets in its asynchronous context reaches no other request", async ({ url, queue }) => {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<number>();
  const before: unknown[] = [];
  await using server = await RpcServer.connect(url);
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: async (n) => {
      before.push(storage.getStore());
      storage.enterWith(n);
      await sleep(1);
      return storage.getStore() ?? -1;
    },
  }, { prefetch: 50 });
  await using client = await RpcClient.connect(url);
  const api = client.of(maths(queue));
  const numbers = Array.from({ length: 50 }, (_, n) => n);
  assertEquals(await Promise.all(numbers.map((n) => api.double(n))), numbers);
  assertEquals(before, numbers.map(() => undefined));
});

live("The library's own refusals do not pass for declared errors", async ({ url, queue }) => {
  const bounded = service({
    queue,
    queueType: "classic",
    methods: {
      small: method({
        request: integer(),
        reply: integer(),
        errors: { out_of_range: json(Missing) },
      }),
    },
  });
  const narrow = service({
    queue,
    queueType: "classic",
    methods: { small: method({ request: integer({ max: 10 }), reply: integer() }) },
  });
  await using server = await RpcServer.connect(url);
  await server.serve(narrow, { small: (n) => n });
  await using client = await connectClient(url);
  const error = await failure(client.of(bounded).small(11));
  assertEquals([error.code, error.outcome], ["out_of_range", "not_executed"]);
});

live("stop() ends although a handler does not", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { drainTimeout: 100 });
  const started = Promise.withResolvers<void>();
  const serving = await server.serve(maths(queue), {
    ...HANDLERS,
    double: (_, { signal }) => {
      started.resolve();
      return new Promise<number>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  await using client = await connectClient(url);
  const calling = failure(client.of(maths(queue)).double(1, { timeout: 2_000 }));
  await started.promise;
  await serving.stop();
  await waitFor("the request is back", async () => (await queueInfo(url, queue))?.messages === 1);
  await calling;
});
