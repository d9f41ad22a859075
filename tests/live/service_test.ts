import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { z } from "zod";
import {
  empty,
  type Headers,
  integer,
  type Interceptor,
  isRpcError,
  json,
  method,
  provide,
  RpcClient,
  RpcError,
  RpcServer,
  type ServerEvent,
  service,
} from "../../lib/rpc.ts";
import { deleteQueue, live, plainCall, queueInfo, waitFor } from "../support/live.ts";
import { connectClient, failure } from "../support/pair.ts";
import { aborted, sleep } from "../support/handlers.ts";

const Missing = z.object({ id: z.number() });

function maths(queue: string) {
  return service({
    queue,
    queueType: "classic",
    methods: {
      double: method({ request: integer(), reply: integer(), idempotent: true }),
      half: method({ request: integer(), reply: integer(), errors: { failed_precondition: json(Missing) } }),
      reset: method({ request: empty(), reply: empty() }),
    },
    default: "double",
  });
}

const HANDLERS = {
  double: (n: number) => 2 * n,
  half: (n: number) => n / 2,
  reset: () => {},
};

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

const auth = provide(({ headers }) => {
  const user = headers["user"];
  if (user === undefined) throw new RpcError("unauthenticated", "Cannot tell who calls");
  return { user };
});

live("An interceptor of a server adds to the context, or refuses before the handler", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { interceptors: [auth] });
  const users: string[] = [];
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: (n, { user }) => {
      users.push(user);
      return 2 * n;
    },
  });
  await using client = await connectClient(url);
  const api = client.of(maths(queue));
  assertEquals(await api.double(1, { headers: { user: "alice" } }), 2);
  const error = await failure(api.double(1));
  assertEquals([error.code, error.outcome, users], ["unauthenticated", "not_executed", ["alice"]]);
});

live("Interceptors of both sides run in layers, the first outermost", async ({ url, queue }) => {
  const order: string[] = [];
  function layer(name: string): Interceptor {
    return (next) => async (call) => {
      order.push(`${name} before`);
      const reply = await next(call);
      order.push(`${name} after`);
      return reply;
    };
  }
  await using server = await RpcServer.connect(url, { interceptors: [layer("s1"), layer("s2")] });
  await server.serve(maths(queue), HANDLERS);
  await using client = await RpcClient.connect(url, { interceptors: [layer("c1"), layer("c2")] });
  assertEquals(await client.of(maths(queue)).double(1), 2);
  const names = ["c1", "c2", "s1", "s2"];
  assertEquals(order, [...names.map((name) => `${name} before`), ...names.reverse().map((name) => `${name} after`)]);
});

live("A client's interceptor may call again where that cannot do the work twice", async ({ url, queue }) => {
  let runs = 0;
  await using server = await RpcServer.connect(url);
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: () => {
      if (++runs === 1) throw new RpcError("aborted", "again");
      return runs;
    },
    half: () => {
      runs++;
      throw new RpcError("aborted", "again");
    },
  });
  await using client = await connectClientWithRetry(url);
  assertEquals(await client.of(maths(queue)).double(1), 2);
  assertEquals((await failure(client.of(maths(queue)).half(1))).code, "failed_precondition");
  assertEquals(runs, 3);
});

function connectClientWithRetry(url: string): Promise<RpcClient> {
  return RpcClient.connect(url, {
    interceptors: [(next) => async (call) => {
      try {
        return await next(call);
      } catch {
        return await next(call);
      }
    }],
  });
}

live("An interceptor of a server may answer in place of the handler", async ({ url, queue }) => {
  const cache: Interceptor = (next) => async (call) => {
    if (call.request === 1) return 11;
    if (call.request === 2) return "no number";
    if (call.request === 3) throw new TypeError("secret");
    return await next({ ...call, request: 100 });
  };
  await using server = await RpcServer.connect(url, { interceptors: [cache], onEvent: () => {} });
  const ran: number[] = [];
  await server.serve(maths(queue), {
    ...HANDLERS,
    half: (n) => {
      ran.push(n);
      return n / 2;
    },
  });
  await using client = await connectClient(url);
  const api = client.of(maths(queue));
  assertEquals(await api.half(1), 11);
  for (const request of [2, 3]) {
    const { code, outcome, message } = await failure(api.half(request));
    assertEquals([code, outcome, message.includes("secret")], ["internal", "not_executed", false]);
  }
  assertEquals(ran, []);
  assertEquals([await api.half(4), ran], [50, [100]]);
});

live("An interceptor of a client may answer, refuse, and change the headers", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const seen: unknown[] = [];
  await server.serve(maths(queue), {
    ...HANDLERS,
    half: (n, { headers }) => {
      seen.push({ ...headers });
      return n / 2;
    },
  });
  const refusal = new RpcError("failed_precondition", "not now", { outcome: "not_executed" });
  await using client = await connectClient(url, {
    interceptors: [(next) => (call) => {
      if (call.request === 1) return Promise.resolve(11);
      if (call.request === 2) throw refusal;
      assert(call.deadline !== undefined && call.signal === signal && Object.isFrozen(call.headers));
      return next({ ...call, headers: { ...call.headers, tenant: "other" } });
    }],
  });
  const { signal } = new AbortController();
  const api = client.of(maths(queue));
  assertEquals([await api.half(1), await failure(api.half(2)), seen], [11, refusal, []]);
  assertEquals(await api.half(4, { signal, headers: { tenant: "acme", page: "1" } }), 2);
  assertEquals(seen, [{ tenant: "other", page: "1" }]);
});

live("A call that an interceptor answers, refuses or keeps ends in time, and is an event", async ({ url, queue }) => {
  const refusal = new RpcError("unauthenticated", "no token", { outcome: "not_executed" });
  const called: unknown[] = [];
  await using client = await RpcClient.connect(url, {
    onEvent: (event) =>
      event.type === "called" && called.push([event.method, event.code, event.outcome, event.attempts]),
    interceptors: [() => ({ request }) => {
      if (request === 1) return Promise.resolve(11);
      if (request === 2) return Promise.reject(refusal);
      if (request === 3) throw new TypeError("a defect");
      return new Promise(() => {});
    }],
  });
  const api = client.of(maths(queue));
  assertEquals([await api.half(1), await failure(api.half(2))], [11, refusal]);
  await failure(api.half(3));
  await failure(api.half(4, { timeout: 50 }));
  await failure(api.half(5, { signal: AbortSignal.timeout(50) }));
  assertEquals(called, [
    ["half", "ok", undefined, 0],
    ["half", "unauthenticated", "not_executed", 0],
    ["half", "internal", "not_executed", 0],
    ["half", "deadline_exceeded", "not_executed", 0],
    ["half", "canceled", "not_executed", 0],
  ]);
});

live("A nested call inherits deadline, signal and the headers that are propagated", async ({ url, queue }) => {
  const inner = `${queue}.inner`;
  await using _inner = { [Symbol.asyncDispose]: () => deleteQueue(url, inner) };
  await using client = await connectClient(url);
  const events: string[] = [];
  await using server = await RpcServer.connect(url, {
    propagate: ["tenant"],
    onEvent: ({ type }) => events.push(type),
  });
  const abortedBy: unknown[] = [];
  const deadlines: { outer?: number; inner?: number }[] = [];
  await server.serve(maths(inner), {
    ...HANDLERS,
    double: (n, { deadline, headers }) => {
      Object.assign(deadlines.at(-1) ?? {}, { inner: deadline?.getTime() });
      assertEquals({ ...headers }, { tenant: "acme" });
      return 2 * n;
    },
    half: async (_, { signal }) => {
      abort.abort();
      abortedBy.push(await aborted(signal));
      return 0;
    },
  });
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: async (n, context) => {
      deadlines.push({ outer: context.deadline?.getTime() ?? NaN });
      return await client.of(maths(inner)).double(n, { parent: context, timeout: 60_000 });
    },
    half: (n, context) => client.of(maths(inner)).half(n, { parent: context }),
  });
  const api = client.of(maths(queue));
  const headers = { tenant: "acme", secret: "no" };
  for (let call = 0; call < 10; call++) assertEquals(await api.double(4, { timeout: 5_000, headers }), 8);
  // The requests' way to the inner server is part of it, which takes long now and then on a loaded machine.
  const apart = deadlines.map(({ outer = NaN, inner = NaN }) => Math.abs(inner - outer));
  assert(Math.min(...apart) <= 5, apart.join(", "));

  const abort = new AbortController();
  assertEquals((await failure(api.half(4, { signal: abort.signal }))).code, "canceled");
  const [reason] = await waitFor("the inner handler's signal is aborted", () => abortedBy.length > 0 && abortedBy);
  assert(reason instanceof RpcError && reason.code === "canceled");
  await waitFor("the outer handler has ended", () => server.pending === 0);
  assertEquals(events.filter((type) => type === "handler_error"), []);
});

live("An error of a nested call reaches the outer caller as internal", async ({ url, queue }) => {
  const inner = `${queue}.inner`;
  await using _inner = { [Symbol.asyncDispose]: () => deleteQueue(url, inner) };
  const events: ServerEvent[] = [];
  await using client = await connectClient(url);
  await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event) });
  await server.serve(maths(inner), {
    ...HANDLERS,
    double: () => {
      throw new RpcError("permission_denied", "secret");
    },
  });
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: (n, context) => client.of(maths(inner)).double(n, { parent: context }),
  });
  const error = await failure(client.of(maths(queue)).double(4));
  assertEquals([error.code, error.outcome], ["internal", "executed"]);
  const told = events.find((event) => event.type === "handler_error");
  assert(told?.type === "handler_error" && told.error instanceof RpcError);
  assertEquals([told.error.code, told.messageId === undefined], ["permission_denied", false]);
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

live("What an interceptor adds cannot replace what the server needs", async ({ url, queue }) => {
  const careless = provide(() => ({ meta: 1, delivery: 2, acks: 3, executed: 4, running: 5 }));
  await using server = await RpcServer.connect(url, { interceptors: [careless] });
  await server.serve(maths(queue), { ...HANDLERS, double: (n, { meta, acks }) => n + meta + acks });
  await using client = await RpcClient.connect(url);
  assertEquals(await client.of(maths(queue)).double(1), 5);
});

live(
  "A handler that ran is not called not_executed, whatever context an interceptor passes on",
  async ({ url, queue }) => {
    const replacing: Interceptor = (next) => (call) => next({ ...call, context: undefined });
    await using server = await RpcServer.connect(url, { interceptors: [replacing] });
    await server.serve(maths(queue), {
      ...HANDLERS,
      double: (_, context) => {
        throw new RpcError("aborted", String(context.method));
      },
    });
    await using client = await connectClient(url);
    const error = await failure(client.of(maths(queue)).double(1));
    assertEquals([error.code, error.outcome, error.message], ["aborted", "executed", "double"]);
  },
);

live("An interceptor that takes longer than the caller waits starts no handler", async ({ url, queue }) => {
  const slow: Interceptor = (next) => async (call) => {
    await sleep(300);
    return await next(call);
  };
  const events: string[] = [];
  await using server = await RpcServer.connect(url, { interceptors: [slow], onEvent: ({ type }) => events.push(type) });
  let runs = 0;
  await server.serve(maths(queue), { ...HANDLERS, half: () => ++runs });
  await using client = await connectClient(url);
  assertEquals((await failure(client.of(maths(queue)).half(1, { timeout: 100 }))).code, "deadline_exceeded");
  await waitFor("the request has ended", () => events.includes("handled"));
  assertEquals(runs, 0);
});

live("The outcome is that of all attempts of an interceptor", async ({ url, queue }) => {
  const server = await RpcServer.connect(url);
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: () => {
      throw new RpcError("unavailable", "later");
    },
  });
  await using client = await RpcClient.connect(url, {
    interceptors: [(next) => async (call) => {
      try {
        return await next(call);
      } catch {
        await server.close();
        return await next(call);
      }
    }],
  });
  const error = await failure(client.of(maths(queue)).double(1, { failFast: true }));
  assertEquals([error.code, error.outcome], ["unavailable", "unknown"]);
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

live("A header that cannot be sent on is not propagated", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { propagate: ["tenant", "other"] });
  const propagated: unknown[] = [];
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: (n, context) => {
      propagated.push(context.propagated);
      return n;
    },
  });
  await plainCall(url, queue, "1", { headers: { tenant: "Zürich", other: "Bern" } });
  assertEquals(propagated, [{ other: "Bern" }]);
  await assertRejects(() => RpcServer.connect(url, { propagate: ["X-Id"] }), TypeError, "lower-case");
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
