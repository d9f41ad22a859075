import { assert, assertEquals, assertMatch } from "@std/assert";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { type Codec, json, procedure, type RpcError, type Schema, text } from "../../lib/rpc.ts";
import { deleteQueue, live, publishRaw, queueInfo, waitFor } from "../support/live.ts";
import { connectClient, failure, heard, pair, startServer, texts, told } from "../support/pair.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { aborted, sleep } from "../support/handlers.ts";
import { plainServer } from "../support/plain_server.ts";

/** What three libraries can say about the same value. */
interface Order {
  readonly customer: { readonly name: string };
  readonly items: { readonly count: number }[];
}

const LIBRARIES: readonly (readonly [string, Schema<Order>])[] = [
  ["Zod", z.object({ customer: z.object({ name: z.string() }), items: z.array(z.object({ count: z.int().min(1) })) })],
  [
    "Valibot",
    v.object({
      customer: v.object({ name: v.string() }),
      items: v.array(v.object({ count: v.pipe(v.number(), v.integer(), v.minValue(1)) })),
    }),
  ],
  ["ArkType", type({ customer: { name: "string" }, items: type({ count: "number.integer >= 1" }).array() })],
];

const ORDER: Order = { customer: { name: "Ada" }, items: [{ count: 1 }, { count: 2 }] };
/** Wrong in two places. */
const WRONG = { customer: { name: 7 }, items: [{ count: 1 }, { count: 0 }] };

function issuesOf(error: RpcError): { path: string; message: string }[] {
  const { issues } = (error.details ?? {}) as { issues?: { path: string; message: string }[] };
  assert(issues !== undefined, Deno.inspect(error));
  return issues;
}

for (const [library, schema] of LIBRARIES) {
  live(`RpcClient.call() gives the result when ${library} takes request and reply`, async ({ url, queue }) => {
    const called = procedure({ queue, queueType: "classic", request: json(schema), reply: json(schema) });
    await using p = await pair(url, called, (order) => order);
    assertEquals(await p.client.call(called, ORDER), ORDER);
  });

  live(`RpcClient.call() rejects with every path that ${library} finds in its request`, async ({ url, queue }) => {
    const called = procedure({ queue, queueType: "classic", request: json(schema), reply: json() });
    let runs = 0;
    await using p = await pair(url, called, () => ++runs);
    const error = await failure(p.client.call(called, WRONG as unknown as Order));
    assertEquals([error.code, error.outcome, runs], ["invalid_argument", "not_executed", 0]);
    assertEquals(issuesOf(error).map(({ path }) => path), ["customer.name", "items[1].count"]);
    for (const { path, message } of issuesOf(error)) {
      assert(message.length > 0);
      assert(error.message.includes(`${path}: ${message}`), error.message);
    }
  });

  live(`RpcClient.call() rejects with every path that ${library} finds in its reply`, async ({ url, queue }) => {
    const called = procedure({ queue, queueType: "classic", request: text(), reply: json(schema) });
    await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
      ack();
      reply(message.content.toString());
    });
    await using client = await connectClient(url);
    const error = await failure(client.call(called, JSON.stringify(WRONG)));
    assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
    assertEquals(issuesOf(error).map(({ path }) => path), ["customer.name", "items[1].count"]);
    assertMatch(error.message, /customer\.name: .*items\[1\]\.count: /);
    assertEquals(await client.call(called, JSON.stringify(ORDER)), ORDER);
  });

  live(`RpcClient.call() says what ${library} finds in a request without any shape`, async ({ url, queue }) => {
    const called = procedure({ queue, queueType: "classic", request: json(schema), reply: json() });
    await using p = await pair(url, called, () => "");
    const error = await failure(p.client.call(called, null as unknown as Order));
    assertEquals([error.code, error.outcome], ["invalid_argument", "not_executed"]);
    assertEquals(issuesOf(error).map(({ path }) => path), [""]);
    assertMatch(error.message, /value: /);
  });
}

/** A day goes over the wire as text, and is a Date to whoever reads it. */
const DAYS: readonly (readonly [string, Schema<string, Date>])[] = [
  ["Zod", z.string().transform((day) => new Date(day))],
  ["Valibot", v.pipe(v.string(), v.transform((day) => new Date(day)))],
  ["ArkType", type("string").pipe((day) => new Date(day))],
];

for (const [library, day] of DAYS) {
  live(`A transform of ${library} runs on the side that reads`, async ({ url, queue }) => {
    const next = procedure({ queue, queueType: "classic", request: json(day), reply: json(day) });
    const seen: unknown[] = [];
    await using p = await pair(url, next, (date) => {
      seen.push(date);
      return new Date(date.getTime() + 86_400_000).toISOString();
    });
    assertEquals(await p.client.call(next, "2024-02-28T00:00:00.000Z"), new Date("2024-02-29T00:00:00.000Z"));
    assertEquals(seen, [new Date("2024-02-28T00:00:00.000Z")]);
  });
}

/** Whether somebody is known is something that only a look into a database can tell. */
async function known(name: string): Promise<boolean> {
  await Promise.resolve();
  return name !== "nobody";
}

/** ArkType has no asynchronous validators. */
const ASYNC: readonly (readonly [string, Schema<string>])[] = [
  ["Zod", z.string().refine(known, "must be known")],
  ["Valibot", v.pipeAsync(v.string(), v.checkAsync(known, "must be known"))],
];

for (const [library, name] of ASYNC) {
  live(
    `An asynchronous validator of ${library} runs before the handler and after the reply`,
    async ({ url, queue }) => {
      const strict = procedure({ queue, queueType: "classic", request: json(name), reply: json() });
      const trusting = procedure({ queue, request: json(), reply: json(name) });
      let runs = 0;
      await using p = await pair(url, strict, (request) => {
        runs++;
        return request === "Ada" ? "nobody" : request;
      });
      assertEquals(await p.client.call(strict, "Bob"), "Bob");
      const refused = await failure(p.client.call(strict, "nobody"));
      assertEquals([refused.code, refused.outcome, runs], ["invalid_argument", "not_executed", 1]);
      assertMatch(refused.message, /must be known/);
      assertEquals(await p.client.call(trusting, "Bob"), "Bob");
      const unread = await failure(p.client.call(trusting, "Ada"));
      assertEquals([unread.code, unread.outcome, runs], ["data_loss", "executed", 3]);
      assertMatch(unread.message, /must be known/);
      assertEquals(p.client.pending, 0);
    },
  );
}

/** A validator that takes its time. */
function gated(): { readonly schema: Schema; readonly began: Promise<void>; readonly open: () => void } {
  const began = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const schema: Schema = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => {
        began.resolve();
        await gate.promise;
        return { value };
      },
    },
  };
  return { schema, began: began.promise, open: gate.resolve };
}

live("A request that is canceled while it is validated is not started", async ({ url, queue }) => {
  const { schema, began, open } = gated();
  const called = procedure({ queue, queueType: "classic", request: json(schema), reply: json() });
  const marker = texts(`${queue}.marker`);
  const seen: unknown[] = [];
  await using p = await pair(url, called, (request) => {
    seen.push(request);
    return request;
  });
  const stopped = Promise.withResolvers<void>();
  await p.server.serve(marker, async (request, { signal }) => {
    await aborted(signal);
    stopped.resolve();
    return request;
  });
  const first = new AbortController();
  const second = new AbortController();
  const canceled = failure(p.client.call(called, "canceled", { signal: first.signal }));
  const marked = failure(p.client.call(marker, "", { signal: second.signal }));
  await began;
  first.abort();
  // Cancels arrive in the order in which they are sent.
  second.abort();
  await stopped.promise;
  open();
  await Promise.all([canceled, marked]);
  await waitFor("both are dropped", () => told(p.server, "canceled_request").length === 2);
  assertEquals([seen, p.server.pending], [[], 0]);
  await deleteQueue(url, marker.queue);
});

live("A request whose deadline passes while it is validated is not started", async ({ url, queue }) => {
  const { schema, began, open } = gated();
  const called = procedure({ queue, queueType: "classic", request: json(schema), reply: json() });
  let runs = 0;
  await using server = await startServer(url, called, () => ++runs);
  // Nobody sends a cancel for this one: the server has to see for itself.
  await publishRaw(url, queue, "1", { replyTo: "amq.gen-nobody", expiration: "200" });
  await began;
  await sleep(250);
  open();
  await waitFor("it is dropped", () => told(server, "expired_request").length === 1);
  assertEquals([runs, server.pending, (await queueInfo(url, queue))?.messages], [0, 0, 0]);
});

live("A reply that has come outlives the connection while it is validated", async ({ url, queue }) => {
  const { schema, began, open } = gated();
  const called = procedure({ queue, queueType: "classic", request: json(), reply: json(schema) });
  let runs = 0;
  await using _server = await startServer(url, called, () => ++runs);
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  const result = client.call(called, "");
  await began;
  link.cut();
  await waitFor("the connection is back", () => heard(client, "connected").length === 2);
  open();
  assertEquals([await result, runs], [1, 1]);
});

live("A call that ends while its reply is validated ends once", async ({ url, queue }) => {
  const { schema, began, open } = gated();
  const called = procedure({ queue, queueType: "classic", request: json(), reply: json(schema) });
  await using p = await pair(url, called, (request) => request);
  const controller = new AbortController();
  const ended = failure(p.client.call(called, "", { signal: controller.signal }));
  await began;
  controller.abort();
  open();
  assertEquals((await ended).code, "canceled");
  assertEquals(p.client.pending, 0);
  assertEquals(await p.client.call(called, "next"), "next");
});

live("What a validator throws stays on the server", async ({ url, queue }) => {
  const broken = z.string().transform((): string => {
    throw new Error("secret");
  });
  const called = procedure({ queue, queueType: "classic", request: json(broken), reply: json() });
  let runs = 0;
  await using p = await pair(url, called, () => ++runs);
  const error = await failure(p.client.call(called, ""));
  assertEquals([error.code, error.outcome, runs], ["internal", "not_executed", 0]);
  const [event] = told(p.server, "handler_error");
  assert(event !== undefined && event.error instanceof Error);
  assertEquals([event.id, event.error.message], [error.id, "secret"]);
  assert(!Deno.inspect(error).includes("secret"), Deno.inspect(error));
});

/** Compiles only if every Standard Schema is a `Schema`. */
function toSchema<In, Out>(schema: StandardSchemaV1<In, Out>): Schema<In, Out> {
  return schema;
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

Deno.test("json(schema) has the types of its schema, in and out", () => {
  const zod = json(z.string().transform((day) => new Date(day)));
  const valibot = json(v.pipe(v.string(), v.transform((day) => new Date(day))));
  const arktype = json(type("string").pipe((day) => new Date(day)));
  const standard = json(toSchema(z.string().transform(Number)));
  // Each of these compiles only if it is true.
  const checks: readonly true[] = [
    true satisfies Same<typeof zod, Codec<string, Date>>,
    true satisfies Same<typeof valibot, Codec<string, Date>>,
    true satisfies Same<typeof arktype, Codec<string, Date>>,
    true satisfies Same<typeof standard, Codec<string, number>>,
  ];
  assertEquals(checks.length, 4);
  for (const codec of [zod, valibot, arktype]) {
    assertEquals(codec.decode(codec.encode("2024-02-29")), new Date("2024-02-29"));
  }
});
