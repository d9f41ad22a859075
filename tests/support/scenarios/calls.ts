/** Calls that have a result. */

import { z } from "zod";
import {
  bigint,
  bytes,
  empty,
  integer,
  type Interceptor,
  json,
  method,
  procedure,
  provide,
  RpcError,
  service,
  text,
} from "../../../lib/rpc.ts";
import { counted } from "../handlers.ts";
import { end, type Scenario } from "./scenario.ts";

const User = z.object({ name: z.string(), tags: z.array(z.string()).default([]) });

/** Adds a header to every call. */
const signed: Interceptor = (next) => (call) => next({ ...call, headers: { ...call.headers, token: "secret" } });

/** Adds what it sees of a call to its request or reply, which are texts. */
function noting(name: string): Interceptor {
  return (next) => async (call) => `${await next({ ...call, request: `${call.request}>${name}` })}<${name}`;
}

const auth = provide(({ headers }) => {
  if (headers["token"] !== "secret") throw new RpcError("unauthenticated", "The token is wrong");
  return { user: "alice" };
});

/** Calls that have a result. */
export const CALLS: readonly Scenario[] = [
  {
    name: "Values of every codec arrive as they were sent",
    run: async ({ client, server, queue }) => {
      const everything = service({
        queue,
        methods: {
          integer: method({ request: integer(), reply: integer() }),
          bigint: method({ request: bigint(), reply: bigint() }),
          text: method({ request: text(), reply: text() }),
          bytes: method({ request: bytes(), reply: bytes() }),
          empty: method({ request: empty(), reply: empty() }),
          json: method({ request: json(User), reply: json(User) }),
        },
      });
      await server.serve(everything, {
        integer: (value) => value,
        bigint: (value) => value,
        text: (value) => value,
        bytes: (value) => value,
        empty: () => {},
        json: (value) => value,
      });
      const api = client.of(everything);
      return [
        await api.integer(-7),
        String(await api.bigint(2n ** 80n)),
        await api.text("größe \u{1f407}"),
        await api.text(""),
        Array.from(await api.bytes(new Uint8Array([0, 206, 255]))),
        await api.empty(),
        await api.json({ name: "Ada" }),
      ];
    },
    expected: [-7, "1208925819614629174706176", "größe \u{1f407}", "", [0, 206, 255], undefined, {
      name: "Ada",
      tags: [],
    }],
  },
  {
    name: "A procedure with a queue of its own answers many calls at once",
    run: async ({ client, server, queue }) => {
      const double = procedure({ queue, request: integer(), reply: integer() });
      await server.serve(double, (n) => 2 * n, { prefetch: 50 });
      return await Promise.all(Array.from({ length: 100 }, (_, n) => client.call(double, n)));
    },
    expected: Array.from({ length: 100 }, (_, n) => 2 * n),
  },
  {
    name: "A call that names no method goes to the default one",
    run: async ({ client, server, queue }) => {
      const maths = service({
        queue,
        methods: { half: method({ request: integer(), reply: integer() }) },
        default: "half",
      });
      await server.serve(maths, { half: (n, { method }) => method === "half" ? n / 2 : NaN });
      return await client.call(procedure({ queue, request: text(), reply: text() }), "42");
    },
    expected: "21",
  },
  {
    name: "A server has as many requests at once as its prefetch says",
    run: async ({ client, server, queue }) => {
      const count = procedure({ queue, request: integer(), reply: integer() });
      const handlers = counted();
      const three = Promise.withResolvers<void>();
      await server.serve(count, (n) => {
        const reply = handlers.handler(n);
        if (handlers.running === 3) three.resolve();
        return reply;
      }, { prefetch: 3 });
      const calls = Array.from({ length: 8 }, (_, n) => client.call(count, n));
      await three.promise;
      const running = server.pending;
      handlers.release();
      return [running, await Promise.all(calls), handlers.most, client.pending];
    },
    expected: [3, [0, 2, 4, 6, 8, 10, 12, 14], 3, 0],
  },
  {
    name: "A large body arrives whole",
    run: async ({ client, server, queue }) => {
      const echo = procedure({ queue, request: bytes(), reply: bytes() });
      await server.serve(echo, (body) => body);
      const reply = await client.call(echo, new Uint8Array(1_000_000).fill(206));
      return [reply.length, reply.every((byte) => byte === 206)];
    },
    expected: [1_000_000, true],
  },
  {
    name: "What is done to bytes after they are sent changes nothing",
    run: async ({ client, server, queue }) => {
      const echo = procedure({ queue, request: bytes(), reply: bytes() });
      const kept = new Uint8Array([1, 2, 3]);
      await server.serve(echo, (body) => {
        if (body.length === 0) return kept;
        const first = body[0] ?? 0;
        body.fill(9);
        return new Uint8Array([first]);
      });
      const sent = new Uint8Array([5, 6]);
      const call = client.call(echo, sent);
      sent.fill(7);
      const first = Array.from(await call);
      const reply = await client.call(echo, new Uint8Array());
      reply.fill(8);
      return [first, Array.from(sent), Array.from(kept), Array.from(await client.call(echo, new Uint8Array()))];
    },
    expected: [[5], [7, 7], [1, 2, 3], [1, 2, 3]],
  },
  {
    name: "Headers go both ways",
    run: async ({ client, server, queue }) => {
      const tenant = procedure({ queue, request: empty(), reply: json() });
      await server.serve(tenant, (_, { headers, replyHeaders, messageId, redelivered, deliveryCount, method }) => {
        replyHeaders["served-by"] = "a";
        return {
          headers: { ...headers },
          id: messageId !== undefined,
          redelivered,
          count: deliveryCount ?? null,
          method,
        };
      });
      const received: unknown[] = [];
      const reply = await client.call(tenant, undefined, {
        headers: { tenant: "acme", "request-id": "" },
        onReplyHeaders: (headers) => received.push({ ...headers }),
      });
      return [reply, received, await end(client.call(tenant, undefined, { headers: { "x-tenant": "acme" } }))];
    },
    expected: [
      { headers: { tenant: "acme", "request-id": "" }, id: true, redelivered: false, count: null },
      [{ "served-by": "a" }],
      'TypeError: Cannot call: in \'headers\', the name "x-tenant" must not start with "x-" or "rpc-", which are reserved',
    ],
  },
  {
    name: "Interceptors of both sides run in layers, the first one outermost",
    client: { interceptors: [noting("c1"), noting("c2")] },
    server: { interceptors: [noting("s1"), noting("s2")] },
    run: async ({ client, server, queue }) => {
      const echo = procedure({ queue, request: text(), reply: text() });
      await server.serve(echo, (request) => `${request}|`);
      return await client.call(echo, "");
    },
    expected: ">c1>c2>s1>s2|<s2<s1<c2<c1",
  },
  {
    name: "An interceptor adds to the context of the handler, from a header that another one has set",
    client: { interceptors: [signed] },
    server: { interceptors: [auth] },
    run: async ({ client, server, queue }) => {
      const whoami = procedure({ queue, request: empty(), reply: text() });
      await server.serve(whoami, (_, context) => (context as unknown as { user: string }).user);
      return await client.call(whoami, undefined);
    },
    expected: "alice",
  },
  {
    name: "A nested call has the headers that are propagated, and not more time than its parent",
    server: { propagate: ["tenant"] },
    run: async ({ client, server, queue, otherQueue }) => {
      const inner = procedure({ queue: otherQueue, request: empty(), reply: json() });
      const outer = procedure({ queue, request: empty(), reply: json() });
      let limit = 0;
      await server.serve(inner, (_, { headers, deadline }) => {
        return { headers: { ...headers }, inTime: (deadline?.getTime() ?? Infinity) <= limit + 2_000 };
      });
      await server.serve(outer, async (_, context) => {
        limit = context.deadline?.getTime() ?? 0;
        return await client.call(inner, undefined, { parent: context, timeout: 60_000 });
      });
      return await client.call(outer, undefined, { timeout: 3_000, headers: { tenant: "acme", other: "b" } });
    },
    expected: { headers: { tenant: "acme" }, inTime: true },
  },
];
