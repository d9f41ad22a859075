import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { type ClientEvent, RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import type { Broker } from "../support/broker.ts";
import { clearAlarm, closeConnections, type Heard, held, type Lab, lab, listen, raiseAlarm } from "../support/lab.ts";
import { double, type DoubleOptions } from "../support/lab_server.ts";
import { queueInfo, waitFor, withChannel } from "../support/live.ts";
import { at, relay } from "../support/relay.ts";
import { gated } from "../support/handlers.ts";

const test = lab();

/** Raises the alarm until it is disposed of. */
async function alarm(broker: Broker): Promise<AsyncDisposable & { clear(): Promise<void> }> {
  await raiseAlarm(broker);
  return { clear: () => clearAlarm(broker), [Symbol.asyncDispose]: () => clearAlarm(broker) };
}

/** A client that the broker has told that it is blocked; `first` is the call that it was told for. */
async function blockedClient(
  url: string,
  called: ReturnType<typeof double>,
  events: Heard<ClientEvent>,
): Promise<{ client: RpcClient; first: Promise<unknown> }> {
  const client = await RpcClient.connect(url, { drainTimeout: 100, onEvent: events.onEvent });
  // A connection learns of the alarm by what it publishes next.
  const first = client.call(called, 1_000).catch((error: unknown) => error);
  await waitFor("the client is told", () => events.of("blocked").length === 1);
  return { client, first };
}

/** A client that knows that it is blocked, and a server that notes what it runs. */
interface Blocked extends AsyncDisposable {
  readonly called: ReturnType<typeof double>;
  /** What the server has run. */
  readonly log: readonly number[];
  readonly events: Heard<ClientEvent>;
  readonly client: RpcClient;
  /** The call for which the client was told; it gives 2,000 once the alarm has ended. */
  readonly first: Promise<unknown>;
  /** Ends the alarm. */
  clear(): Promise<void>;
}

async function block({ broker, url, queue }: Lab, options: DoubleOptions = {}): Promise<Blocked> {
  await using opened = new AsyncDisposableStack();
  const called = double(queue, options);
  const server = opened.use(await RpcServer.connect(url, { onEvent: () => {} }));
  const log: number[] = [];
  await server.serve(called, (n) => {
    log.push(n);
    return 2 * n;
  });
  const { clear } = opened.use(await alarm(broker));
  const events = listen<ClientEvent>();
  const { client, first } = await blockedClient(url, called, events);
  opened.use(client);
  const all = opened.move();
  return { called, log, events, client, first, clear, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

test("While the broker is blocked nothing is written, and calls end as resource_exhausted", async (use) => {
  await using blocked = await block(use, { idempotent: true });
  const { called, log, events, client, first } = blocked;
  assertStringIncludes(String(events.of("blocked")[0]?.reason), "memory");
  const began = performance.now();
  const errors = await Promise.all([1, 2, 3].map(async (n) => {
    const error = await assertRejects(() => client.call(called, n, { timeout: 200 }), RpcError);
    return { code: error.code, outcome: error.outcome, names: error.message.includes(use.queue) };
  }));
  assertEquals(errors, Array(3).fill({ code: "resource_exhausted", outcome: "not_executed", names: true }));
  assertLess(performance.now() - began, 2_000);
  await blocked.clear();
  await waitFor("the client is told", () => events.of("unblocked").length === 1);
  assertEquals(await first, 2_000);
  assertEquals(await client.call(called, 4), 8);
  assertEquals(log, [1_000, 4]);
  assertEquals(client.pending, 0);
});

test("A call that was written before the alarm was known ends as resource_exhausted, unknown", async (use) => {
  const { broker, url, queue } = use;
  await withChannel(url, (channel) => channel.assertQueue(queue));
  await using _raised = await alarm(broker);
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(url, { drainTimeout: 100, onEvent: events.onEvent });
  const error = await assertRejects(() => client.call(double(queue), 1, { timeout: 300 }), RpcError);
  assertEquals([error.code, error.outcome], ["resource_exhausted", "unknown"]);
  assertStringIncludes(error.message, "memory");
  assertEquals(events.of("blocked").length, 1);
});

test("Calls that wait for the end of an alarm go out in order when it ends", async (use) => {
  await using blocked = await block(use, { idempotent: false });
  const { called, log, client, first } = blocked;
  const numbers = Array.from({ length: 50 }, (_, n) => n);
  const calls = Promise.all(numbers.map((n) => client.call(called, n)));
  assertEquals(client.pending, 51);
  await blocked.clear();
  assertEquals(await calls, numbers.map((n) => 2 * n));
  assertEquals(await first, 2_000);
  assertEquals(log, [1_000, ...numbers]);
});

test("A call that is aborted while the broker is blocked was not executed", async (use) => {
  await using blocked = await block(use);
  const { called, log, client, first } = blocked;
  const canceler = new AbortController();
  const call = assertRejects(() => client.call(called, 1, { signal: canceler.signal }), RpcError);
  canceler.abort();
  const error = await call;
  assertEquals([error.code, error.outcome], ["canceled", "not_executed"]);
  await blocked.clear();
  assertEquals([await first, await client.call(called, 2)], [2_000, 4]);
  assertEquals(log, [1_000, 2]);
});

test("A cancel waits for the end of the alarm, and then stops the handler", async ({ broker, url, queue }) => {
  const called = double(queue);
  await using server = await RpcServer.connect(url, { onEvent: () => {} });
  const aborted = Promise.withResolvers<void>();
  await server.serve(called, async (n, { signal }) => {
    if (n > 0) return 2 * n;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    aborted.resolve();
    return 0;
  });
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(url, { onEvent: events.onEvent });
  const canceler = new AbortController();
  const call = assertRejects(() => client.call(called, 0, { signal: canceler.signal }), RpcError);
  await waitFor("it runs", () => server.pending === 1);
  await using raised = await alarm(broker);
  const first = client.call(called, 5);
  await waitFor("the client is told", () => events.of("blocked").length === 1);
  canceler.abort();
  const error = await call;
  assertEquals([error.code, error.outcome], ["canceled", "unknown"]);
  await raised.clear();
  await aborted.promise;
  assertEquals(await first, 10);
});

test("Replies wait for the end of the alarm; a call gets its own then", async ({ broker, url, queue }) => {
  const called = double(queue);
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { onEvent: events.onEvent });
  const gate = gated();
  await server.serve(called, gate.handler, { prefetch: 50 });
  await using client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 30 }, (_, n) => n);
  let answered = 0;
  const calls = Promise.all(numbers.map((n) => client.call(called, n).finally(() => answered++)));
  await waitFor("all run", () => server.pending === 30);
  await using raised = await alarm(broker);
  gate.release();
  await waitFor("the server is told", () => events.of("blocked").length === 1);
  assertEquals([answered, server.pending], [0, 30]);
  await raised.clear();
  assertEquals(await calls, numbers.map((n) => 2 * n));
  await waitFor("every request is acknowledged", async () => await held(broker, queue) === 0);
  assertEquals(events.of("unblocked").length, 1);
});

test("A loss during an alarm is got over, by both sides", async ({ broker, url, queue }) => {
  const called = double(queue, { idempotent: true });
  const backoff = { min: 1, max: 20 };
  const server = await RpcServer.connect(url, { backoff, onEvent: () => {} });
  await using _server = server;
  await server.serve(called, (n) => 2 * n);
  await using raised = await alarm(broker);
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(url, { backoff, onEvent: events.onEvent });
  const first = client.call(called, 1);
  await waitFor("the client is told", () => events.of("blocked").length === 1);
  await closeConnections(broker);
  await waitFor("the client is back", () => events.of("connected").length === 2);
  const second = client.call(called, 2);
  await raised.clear();
  assertEquals([await first, await second], [2, 4]);
});

test("A client that is blocked closes in time, and its calls end", async ({ broker, url, queue }) => {
  const called = double(queue);
  await withChannel(url, (channel) => channel.assertQueue(queue));
  await using _raised = await alarm(broker);
  const events = listen<ClientEvent>();
  const { client, first } = await blockedClient(url, called, events);
  const waiting = assertRejects(() => client.call(called, 1), RpcError);
  const began = performance.now();
  await client.close();
  assertLess(performance.now() - began, 3_000);
  const written = await first;
  assertInstanceOf(written, RpcError);
  assertEquals([written.code, written.outcome], ["canceled", "unknown"]);
  const { code, outcome } = await waiting;
  assertEquals([code, outcome, client.pending], ["canceled", "not_executed", 0]);
});

test("A server that is blocked closes in time", async ({ broker, url, queue }) => {
  const called = double(queue);
  const events = listen<ServerEvent>();
  const server = await RpcServer.connect(url, { drainTimeout: 100, onEvent: events.onEvent });
  const gate = gated();
  await server.serve(called, gate.handler);
  await using client = await RpcClient.connect(url);
  const call = client.call(called, 21);
  await waitFor("it runs", () => server.pending === 1);
  await using raised = await alarm(broker);
  gate.release();
  await waitFor("the server is told", () => events.of("blocked").length === 1);
  const began = performance.now();
  await server.close();
  assertLess(performance.now() - began, 3_000);
  await raised.clear();
  // Either its reply was in the socket, or its request goes to another server.
  await using other = await RpcServer.connect(url, { onEvent: () => {} });
  await other.serve(called, (n) => 2 * n);
  assertEquals(await call, 42);
});

test("A blocked server that may drain for longer goes on when the alarm ends", async ({ broker, url, queue }) => {
  const called = double(queue);
  const events = listen<ServerEvent>();
  const server = await RpcServer.connect(url, { onEvent: events.onEvent });
  const gate = gated();
  await server.serve(called, gate.handler);
  await using client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 10 }, (_, n) => n);
  const calls = Promise.all(numbers.map((n) => client.call(called, n)));
  await waitFor("all run", () => server.pending === 10);
  await using raised = await alarm(broker);
  gate.release();
  await waitFor("the server is told", () => events.of("blocked").length === 1);
  let closed = false;
  const closing = server.close().then(() => closed = true);
  assertEquals(closed, false);
  await raised.clear();
  await closing;
  assertEquals(await calls, numbers.map((n) => 2 * n));
  assertEquals(await held(broker, queue), 0);
});

test("An alarm on a link that then stalls is no reason to hang", async ({ broker, queue }) => {
  await using link = relay(broker.port);
  const called = double(queue);
  await using _raised = await alarm(broker);
  const events = listen<ClientEvent>();
  const { client, first } = await blockedClient(at(link.port), called, events);
  link.stall();
  const began = performance.now();
  await client.close();
  assertLess(performance.now() - began, 4_000);
  assertInstanceOf(await first, RpcError);
});

test("A client that publishes nothing works during an alarm as before", async ({ broker, url, queue }) => {
  await using _raised = await alarm(broker);
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { onEvent: events.onEvent });
  await server.serve(double(queue), (n) => n);
  await waitFor("it consumes", async () => (await queueInfo(url, queue))?.consumers === 1);
  assertEquals(events.of("blocked").length, 0);
  assert(events.losses === 0);
});
