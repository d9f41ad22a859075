import { AsyncLocalStorage } from "node:async_hooks";
import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { empty, integer, procedure, provide, type RpcClientOptions, text } from "../../../lib/rpc.ts";
import { memory } from "../../../lib/testing.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { aborted, gated } from "../../support/handlers.ts";
import { SCENARIOS } from "../../support/scenarios/all.ts";
import { tellInMemory } from "../../support/scenarios/in_memory.ts";

const double = procedure({ queue: "double", request: integer(), reply: integer(), idempotent: true });

for (const scenario of SCENARIOS) {
  Deno.test(`in memory: ${scenario.name}`, async () => {
    const { result } = await tellInMemory(scenario);
    assertEquals(result, scenario.expected);
  });
}

Deno.test("memory() gives each test a broker of its own", async () => {
  await using one = await memory();
  await using other = await memory();
  await one.server.serve(double, (n) => 2 * n);
  assertEquals(await one.client.call(double, 1), 2);
  assertEquals((await assertRejects(() => other.client.call(double, 1)) as { code?: string }).code, "unavailable");
});

Deno.test("memory() passes the types that interceptors add on to handlers", async () => {
  const auth = provide(() => ({ user: "alice" }));
  await using rpc = await memory({ server: { interceptors: [auth] } });
  const whoami = procedure({ queue: "whoami", request: empty(), reply: text() });
  await rpc.server.serve(whoami, (_, { user }) => user);
  assertEquals(await rpc.client.call(whoami, undefined), "alice");
});

Deno.test("memory() says at the deadline of a call what it waited for", async () => {
  await using rpc = await memory();
  await (await rpc.server.serve(double, (n) => 2 * n)).stop();
  const { message } = await assertRejects(() => rpc.client.call(double, 1, { timeout: 10 }), Error);
  const text = message.replace(/[0-9a-f-]{36}/, "ID").replace(/ \d+ requests?/, " N requests");
  assertEquals(
    text,
    'Call ID to "double" did not end within 10 ms: the queue has 0 consumers and N requests waiting, so start a server for it',
  );
});

Deno.test("memory() takes a fake clock that replaces performance.now() and the timers", async () => {
  using clock = new FakeClock();
  await using rpc = await memory();
  const started = Promise.withResolvers<AbortSignal>();
  await rpc.server.serve(double, async (_, { signal }) => {
    started.resolve(signal);
    throw await aborted(signal);
  });
  const call = rpc.client.call(double, 1, { timeout: 60_000 }).catch((error) => error.code);
  const signal = await started.promise;
  clock.advance(60_000);
  assertEquals(await call, "deadline_exceeded");
  assertEquals(signal.aborted, true);
});

Deno.test("memory() runs handlers outside of the asynchronous context of their caller", async () => {
  const storage = new AsyncLocalStorage<string>();
  await using rpc = await memory();
  const seen: unknown[] = [];
  await storage.run("server", () =>
    rpc.server.serve(double, (n) => {
      seen.push(storage.getStore());
      return 2 * n;
    }));
  assertEquals(await storage.run("caller", () => rpc.client.call(double, 1)), 2);
  assertEquals(seen, [undefined]);
});

Deno.test("memory() leaves time for timers between calls", async () => {
  await using rpc = await memory();
  await rpc.server.serve(double, (n) => 2 * n);
  let fired = false;
  setTimeout(() => fired = true, 5);
  // With microtasks alone, this would never end.
  while (!fired) await rpc.client.call(double, 1);
});

Deno.test("memory() connects both sides again after disconnect(), also when it is called often", async () => {
  const losses = { client: 0, server: 0 };
  await using rpc = await memory({
    client: { onEvent: ({ type }) => void (type === "disconnected" && losses.client++) },
    server: { onEvent: ({ type }) => void (type === "disconnected" && losses.server++) },
  });
  await rpc.server.serve(double, (n) => 2 * n);
  for (let n = 0; n < 5; n++) {
    rpc.disconnect();
    rpc.disconnect();
    assertEquals(await rpc.client.call(double, n), 2 * n);
  }
  assertEquals(losses, { client: 5, server: 5 });
});

Deno.test("memory() closes once, and then refuses calls", async () => {
  const rpc = await memory();
  await rpc.server.serve(double, (n) => 2 * n);
  const closing = rpc.close();
  assertStrictEquals(rpc.close(), closing);
  await closing;
  assertStrictEquals(rpc[Symbol.asyncDispose](), closing);
  await assertRejects(() => rpc.client.call(double, 1), Error, "the client is closed");
  await assertRejects(() => rpc.server.serve(double, (n) => n), Error, "the server is closed");
  rpc.disconnect();
});

Deno.test("memory() that is closed with a handler that never ends waits for the drain timeout only", async () => {
  const rpc = await memory({ client: { drainTimeout: 5 }, server: { drainTimeout: 5 } });
  const gate = gated();
  await rpc.server.serve(double, gate.handler);
  const call = rpc.client.call(double, 1).catch((error) => error.code);
  await gate.started;
  await rpc.close();
  assertEquals(await call, "canceled");
});

Deno.test("memory() refuses options that the client or the server refuses", async () => {
  await assertRejects(() => memory({ client: { timeout: 0 } }), RangeError, "'timeout'");
  await assertRejects(() => memory({ server: { propagate: ["X"] } }), TypeError, "'propagate'");
});

Deno.test("memory() has no direct reply-to, and says so", async () => {
  const client = { replies: "direct" } as RpcClientOptions;
  const error = await assertRejects(() => memory({ client }));
  assertInstanceOf(error, Error);
  assertEquals(
    error.message,
    "Cannot open a channel for requests: NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'",
  );
});
