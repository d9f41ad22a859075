import { assert, assertEquals } from "@std/assert";
import { type Interceptor, provide, RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { live, waitFor } from "../support/live.ts";
import { connectClient, failure } from "../support/pair.ts";
import { sleep } from "../support/handlers.ts";
import { HANDLERS, maths } from "../support/maths.ts";

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
