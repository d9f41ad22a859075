/**
 * What must not compile, and what must compile without annotations. After each `@ts-expect-error` stands what is wrong,
 * and in quotes a part of the compiler's message, which `tests/live/type_messages_test.ts` checks.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { z } from "zod";
import {
  bytes,
  empty,
  type Handler,
  type Headers,
  integer,
  isRpcError,
  json,
  method,
  type Procedure,
  procedure,
  provide,
  type RpcClient,
  RpcServer,
  service,
  type Serving,
  text,
} from "../../lib/rpc.ts";

const User = z.object({ id: z.number(), name: z.string() });
const Missing = z.object({ id: z.number() });

const users = service({
  queue: "users",
  methods: {
    find: method({
      request: json(z.object({ id: z.number() })),
      reply: json(User),
      idempotent: true,
      errors: { not_found: json(Missing) },
    }),
    count: method({ request: text(), reply: integer() }),
    // A schema may transform: the caller passes a text, the handler gets a number.
    parse: method({ request: json(z.string().transform(Number)), reply: bytes() }),
    reset: method({ request: empty(), reply: empty() }),
  },
});

const half = procedure({
  queue: "half",
  request: integer(),
  reply: integer(),
  errors: { out_of_range: json(Missing) },
});

const auth = provide(({ headers }) => ({ user: headers["user"] ?? "" }));
const tenant = provide(({ headers }) => Promise.resolve({ tenant: Number(headers["tenant"]) }));

const HANDLERS = {
  find: ({ id }: { id: number }) => ({ id, name: "Ada" }),
  count: () => 1,
  parse: () => new Uint8Array(),
  reset: () => {},
};

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

/** Compiles if the value has exactly the type `Expected`. */
function exactly<Expected>(): <Actual>(value: Actual, same: Same<Actual, Expected>) => void {
  return () => {};
}

/** Only compiled, never called. */
const compiled: Readonly<Record<string, (server: RpcServer, client: RpcClient) => unknown>> = {
  "the handlers of a service": (server) => [
    // @ts-expect-error a handler is missing: "Property 'reset' is missing in type"
    server.serve(users, { find: HANDLERS.find, count: HANDLERS.count, parse: HANDLERS.parse }),
    // @ts-expect-error no method has this name: "'remove' does not exist in type 'URL | Handlers<"
    server.serve(users, { ...HANDLERS, remove: () => 1 }),
    // @ts-expect-error the name is misspelled: "'coutn' does not exist in type 'URL | Handlers<"
    server.serve(users, { find: HANDLERS.find, parse: HANDLERS.parse, reset: HANDLERS.reset, coutn: () => 1 }),
    // @ts-expect-error a function in place of an object with one for each method: "to parameter of type 'string | URL | Handlers<"
    server.serve(users, HANDLERS.find),
    // @ts-expect-error the handler takes another request: "Type 'string' is not assignable to type 'number'"
    server.serve(users, { ...HANDLERS, count: (n: number) => n }),
    // @ts-expect-error the handler returns another reply: "Type 'string' is not assignable to type 'number | Promise<number>'"
    server.serve(users, { ...HANDLERS, count: () => "many" }),
    // @ts-expect-error the reply lacks a property: "Property 'name' is missing in type '{ id: number; }'"
    server.serve(users, { ...HANDLERS, find: ({ id }) => ({ id }) }),
  ],

  "the handler of a procedure": (server) => [
    // @ts-expect-error the handler returns another reply: "Type 'string' is not assignable to type 'number | Promise<number>'"
    server.serve(half, (n) => String(n)),
    // @ts-expect-error the handler takes another request: "Type 'number' is not assignable to type 'string'"
    server.serve(half, (name: string) => name.length),
    // @ts-expect-error this is no procedure: "to parameter of type 'AnyProcedure | Service<"
    server.serve({ queue: "half" }, () => 1),
  ],

  "the requests and replies of calls": async (_, client) => {
    const api = client.of(users);
    // @ts-expect-error another request: "Type 'string' is not assignable to type 'number'"
    await api.find({ id: "7" });
    // @ts-expect-error another request: "Type 'string' is not assignable to type 'number'"
    await client.call(users.methods.find, { id: "7" });
    // @ts-expect-error the caller passes what the schema takes, not what it makes of it: "Argument of type 'number' is not assignable to parameter of type 'string'"
    await api.parse(7);
    // @ts-expect-error the reply has another type: "Type 'number' is not assignable to type 'string'"
    const count: string = await api.count("all");
    // @ts-expect-error there is no such method: "Property 'remove' does not exist on type 'ClientOf<"
    await api.remove(1);
    // @ts-expect-error a service is not one of its methods: "is not assignable to parameter of type 'Procedure<"
    await client.call(users, { id: 7 });
    // @ts-expect-error a procedure has no methods: "is not assignable to parameter of type 'Service<"
    client.of(half);
    // @ts-expect-error a header is a text: "Type 'number' is not assignable to type 'string'"
    await api.count("all", { headers: { page: 1 } });
    return count;
  },

  "the errors that a handler throws": (server) =>
    server.serve(users, {
      ...HANDLERS,
      find: ({ id }, context) => {
        // @ts-expect-error this code is not declared: "Argument of type '"aborted"' is not assignable to parameter of type '"not_found"'"
        if (id === 1) throw context.error("aborted", { id });
        // @ts-expect-error the details are not as declared: "Type 'string' is not assignable to type 'number'"
        if (id === 2) throw context.error("not_found", { id: "2" });
        // @ts-expect-error the details are missing: "Expected 2-3 arguments, but got 1"
        if (id === 3) throw context.error("not_found");
        throw context.error("not_found", { id });
      },
      count: (_, context) => {
        // @ts-expect-error no errors are declared: "Argument of type '"aborted"' is not assignable to parameter of type 'NoErrorsDeclared'"
        throw context.error("aborted", {});
      },
    }),

  "the errors that a caller gets": (error: unknown) => {
    if (!isRpcError(error, users.methods.find)) return;
    // @ts-expect-error any code may have come: "'error.details' is of type 'unknown'"
    error.details.id;
    if (error.code !== "not_found") return;
    // @ts-expect-error the library itself may have refused with this code: "'error.details' is of type 'unknown'"
    error.details.id;
    if (error.outcome !== "executed") return;
    exactly<{ id: number }>()(error.details, true);
    // @ts-expect-error the details have another type: "Type 'number' is not assignable to type 'string'"
    const id: string = error.details.id;
    return id;
  },

  "the context that interceptors add to": async (server) => {
    // @ts-expect-error this server has no interceptor: "Property 'user' does not exist on type 'RequestContext<NoErrors>'"
    await server.serve(users, { ...HANDLERS, count: (_, { user }) => user.length });
    const authenticating = await RpcServer.connect(undefined, { interceptors: [auth] });
    // @ts-expect-error its interceptor adds something else: "Property 'tenant' does not exist on type 'RequestContext<NoErrors> & { user: string; }'"
    await authenticating.serve(users, { ...HANDLERS, count: (_, { tenant }) => tenant });
    const both = await RpcServer.connect(undefined, { interceptors: [auth, tenant] });
    await both.serve(users, {
      ...HANDLERS,
      find: ({ id }, context) => {
        exactly<string>()(context.user, true);
        exactly<number>()(context.tenant, true);
        exactly<Headers>()(context.headers, true);
        // @ts-expect-error the headers of a request are frozen: "only permits reading"
        context.headers["user"] = "eve";
        return { id, name: context.user };
      },
    });
    await both.serve(half, (n, { user, tenant }) => n + user.length + tenant);
  },

  "the definition of a service": () => [
    // @ts-expect-error this is no code: "'lost' does not exist in type"
    method({ request: text(), reply: text(), errors: { lost: json() } }),
    // @ts-expect-error there is no such method: "Type '"other"' is not assignable to type '"only"'"
    service({ queue: "q", methods: { only: method({ request: text(), reply: text() }) }, default: "other" }),
    // @ts-expect-error a codec is missing: "Property 'reply' is missing in type"
    method({ request: text() }),
  ],

  "what compiles without annotations": async (server, client) => {
    const serving = await server.serve(users, {
      find: ({ id }, context) => {
        exactly<number>()(id, true);
        exactly<AbortSignal>()(context.signal, true);
        return { id, name: "Ada" };
      },
      count: async (name) => await Promise.resolve(name.length),
      parse: (n) => new Uint8Array(n),
      reset: () => {},
    }, { prefetch: 20 });
    exactly<Serving>()(serving, true);
    await server.serve(half, (n) => n / 2);
    await server.serve(users.methods.count, (name) => name.length);
    // A copy of a procedure, for another queue.
    await server.serve({ ...half, queue: "other" }, (n) => n / 2);
    const api = client.of(users);
    exactly<{ id: number; name: string }>()(await api.find({ id: 7 }), true);
    exactly<number>()(await api.count("all", { timeout: 500, headers: { tenant: "acme" } }), true);
    exactly<Uint8Array>()(await api.parse("7"), true);
    exactly<void>()(await api.reset(), true);
    exactly<number>()(await client.call(users.methods.count, "all"), true);
    const { find } = users.methods;
    exactly<number>()((await client.call(find, { id: 7 })).id, true);
  },

  "a function that serves any procedure": (server) => {
    function serveAgain<RequestIn, RequestOut, ReplyIn, ReplyOut>(
      served: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
      handler: Handler<RequestOut, ReplyIn>,
    ): Promise<Serving> {
      return server.serve(served, handler);
    }
    return serveAgain(procedure({ queue: "q", request: text(), reply: integer() }), (name) => name.length);
  },
};

Deno.test("What must compile does, and what must not does not", () => {
  // The compiler has checked it.
  assertEquals(Object.keys(compiled).length, 9);
});
