import { assertEquals, assertFalse, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { z } from "zod";
import {
  type HandlersOf,
  integer,
  isRpcError,
  json,
  method,
  procedure,
  RpcError,
  service,
  text,
} from "../../../lib/rpc.ts";
import { memory, requestContext } from "../../../lib/testing.ts";

const users = service({
  queue: "users",
  methods: {
    find: method({ request: integer(), reply: text(), errors: { not_found: json(z.object({ id: z.number() })) } }),
  },
});
const { find } = users.methods;

const handlers: HandlersOf<typeof users, { readonly user: string }> = {
  find: (id, { error, headers, method, replyHeaders, user }) => {
    replyHeaders["served-by"] = user;
    if (id !== 7) throw error("not_found", { id });
    return `${method} ${id} for ${headers["tenant"] ?? "nobody"}`;
  },
};

Deno.test("requestContext() is that of a first delivery by default", async () => {
  const context = requestContext(procedure({ queue: "double", request: integer(), reply: integer() }));
  const { signal, messageId, headers, propagated, error: _, callerAlive, ...rest } = context;
  assertFalse(signal.aborted);
  assertEquals(await callerAlive(), true);
  assertEquals(messageId?.length, 36);
  assertEquals([{ ...headers }, { ...propagated }], [{}, {}]);
  assertEquals(rest, {
    deadline: undefined,
    redelivered: false,
    deliveryCount: undefined,
    method: undefined,
    replyHeaders: {},
  });
});

Deno.test("requestContext() lets a handler run alone, with what interceptors add", async () => {
  const context = { ...requestContext(find, { headers: { tenant: "acme" } }), user: "alice" };
  assertEquals(await handlers.find(7, context), "find 7 for acme");
  assertEquals(context.replyHeaders, { "served-by": "alice" });
});

Deno.test("requestContext() creates the same errors as a server's context", async () => {
  const alone = assertThrows(() => handlers.find(8, { ...requestContext(find), user: "alice" }), RpcError);
  await using rpc = await memory();
  await rpc.server.serve(find, (_, { error }) => {
    throw error("not_found", { id: 8 });
  });
  const called = await rpc.client.call(find, 8).catch((error) => error);
  assertEquals([alone.code, alone.message, alone.details], [called.code, called.message, called.details]);
  assertEquals(isRpcError(called, find) && called.code, "not_found");
  assertEquals(requestContext(find).error("not_found", { id: 1 }, "No user 1").message, "No user 1");
});

Deno.test("requestContext() shows the handler what the options say", async () => {
  const { signal } = new AbortController();
  const deadline = new Date(0);
  const context = requestContext(find, {
    signal,
    deadline,
    redelivered: true,
    deliveryCount: 2,
    messageId: undefined,
    method: "other",
    headers: { a: "1", b: "2" },
    propagated: { a: "1" },
    callerAlive: () => Promise.resolve(false),
  });
  assertStrictEquals(context.signal, signal);
  assertStrictEquals(context.deadline, deadline);
  assertEquals([context.redelivered, context.deliveryCount, context.messageId, context.method], [
    true,
    2,
    undefined,
    "other",
  ]);
  assertEquals([{ ...context.headers }, { ...context.propagated }], [{ a: "1", b: "2" }, { a: "1" }]);
  assertFalse(await context.callerAlive());
});

Deno.test("requestContext() has the headers that a server reads: frozen, without a prototype", () => {
  const given = { a: "1" };
  const { headers } = requestContext(find, { headers: given });
  given.a = "2";
  assertEquals(headers["a"], "1");
  assertEquals(headers["constructor"], undefined);
  assertThrows(() => (headers as Record<string, string>)["a"] = "3", TypeError);
});

Deno.test("requestContext() refuses headers that no client can send", () => {
  const error = assertThrows(() => requestContext(find, { headers: { Tenant: "acme" } }));
  assertInstanceOf(error, TypeError);
  assertEquals(
    error.message,
    "Cannot create a context: in 'headers', the name \"Tenant\" must be lower-case letters, digits and !#$%&'*+.^_`|~-",
  );
});

Deno.test("requestContext() may be the parent of a call", async () => {
  const double = procedure({ queue: "double", request: integer(), reply: text() });
  await using rpc = await memory();
  await rpc.server.serve(double, (_, { headers }) => headers["tenant"] ?? "nobody");
  const parent = requestContext(find, { headers: { tenant: "acme" }, propagated: { tenant: "acme" } });
  assertEquals(await rpc.client.call(double, 1, { parent }), "acme");
});
