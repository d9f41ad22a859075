/**
 * What a client and a server say about themselves: whether they are connected and can work, since when, and to whom.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertLessOrEqual, assertNotMatch } from "@std/assert";
import {
  type ClientEvent,
  type ClientStatus,
  RpcClient,
  RpcServer,
  type ServerEvent,
  type ServerStatus,
} from "../../lib/rpc.ts";
import { VERSION } from "../../lib/contract/version.ts";
import { gated } from "../support/handlers.ts";
import {
  admit,
  clearAlarm,
  closeConnections,
  deleteByForce,
  double,
  lab,
  listen,
  raiseAlarm,
  refuse,
  SOON,
} from "../support/lab.ts";
import { waitFor } from "../support/live.ts";
import { failure } from "../support/pair.ts";
import { at, relay } from "../support/relay.ts";

const test = lab();

const QUIET = { backoff: SOON, onEvent: () => {} } as const;

/** Without what differs from run to run. */
function shape({ since, ...rest }: ClientStatus | ServerStatus): object {
  assert(since instanceof Date && Math.abs(Date.now() - since.getTime()) < 60_000);
  return rest;
}

async function state(of: { readonly status: { readonly state: string } }, wanted: string, ms?: number): Promise<void> {
  await waitFor(`the state is ${wanted}`, () => of.status.state === wanted, ms);
}

test("A client is connected, connecting after a loss, and connected again", async ({ broker, url }) => {
  const host = `127.0.0.1:${broker.port}`;
  await using client = await RpcClient.connect(url, QUIET);
  const first = client.status;
  assertEquals(shape(first), { state: "connected", host });
  assert(Object.isFrozen(first));
  assertNotMatch(JSON.stringify(first), /guest/);
  assertEquals(client.status.since, first.since);
  await refuse(broker);
  try {
    await closeConnections(broker);
    await state(client, "connecting");
    const lost = client.status;
    assert(lost.state === "connecting" && lost.reason.includes(host), JSON.stringify(lost));
    assert(lost.since > first.since);
    await waitFor("an attempt has failed", () => JSON.stringify(client.status).includes("no broker listens there"));
    assertEquals(client.status.since, lost.since);
  } finally {
    await admit(broker);
  }
  await state(client, "connected");
  assert(client.status.since > first.since);
});

test("A client is blocked during an alarm of the broker", async ({ broker, url, queue }) => {
  await using server = await RpcServer.connect(url, QUIET);
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url, { ...QUIET, drainTimeout: 500 });
  await raiseAlarm(broker);
  try {
    const call = failure(client.call(double(queue), 1, { timeout: 300 }));
    await state(client, "blocked");
    const { status } = client;
    assert(status.state === "blocked" && status.reason.includes("memory"), JSON.stringify(status));
    assertEquals(status.host, `127.0.0.1:${broker.port}`);
    await call;
  } finally {
    await clearAlarm(broker);
  }
  await state(client, "connected");
});

test("A client drains while calls are in progress, and is closed after that", async ({ url, queue }) => {
  const gate = gated();
  await using server = await RpcServer.connect(url, QUIET);
  await server.serve(double(queue), gate.handler);
  await using client = await RpcClient.connect(url, QUIET);
  const call = client.call(double(queue), 21);
  await gate.started;
  const closing = client.close();
  assertEquals(shape(client.status), { state: "draining", pending: 1 });
  const { since } = client.status;
  gate.release();
  assertEquals(await call, 42);
  await closing;
  assertEquals(shape(client.status), { state: "closed" });
  assert(client.status.since >= since);
});

test("A server is connected, serving, draining and closed, and says which queues it has", async (use) => {
  const { broker, url, queue } = use;
  const host = `127.0.0.1:${broker.port}`;
  const gate = gated();
  await using client = await RpcClient.connect(url, QUIET);
  await using server = await RpcServer.connect(url, QUIET);
  assertEquals(shape(server.status), { state: "connected", host, queues: [] });
  await server.serve(double(queue), gate.handler);
  const { status } = server;
  assertEquals(shape(status), { state: "serving", host, queues: [{ queue, consuming: true, pending: 0 }] });
  assert(Object.isFrozen(status) && Object.isFrozen(status.queues));
  const other = await server.serve(double(`${queue}.other`), (n) => n);
  assertEquals(server.status.since, status.since);
  await other.stop();
  assertEquals(shape(server.status), { state: "serving", host, queues: [{ queue, consuming: true, pending: 0 }] });
  const call = client.call(double(queue), 21);
  await gate.started;
  const closing = server.close();
  assertEquals(shape(server.status), { state: "draining", queues: [{ queue, consuming: false, pending: 1 }] });
  gate.release();
  assertEquals(await call, 42);
  await closing;
  assertEquals(server.status.state, "closed");
});

test("A server that stops one of its queues goes on serving", async ({ url, queue }) => {
  const gate = gated();
  await using client = await RpcClient.connect(url, QUIET);
  await using server = await RpcServer.connect(url, QUIET);
  await server.serve(double(queue), (n) => n);
  const other = await server.serve(double(`${queue}.other`), gate.handler);
  const call = client.call(double(`${queue}.other`), 21);
  await gate.started;
  const stopping = other.stop();
  const { state, queues } = server.status;
  assertEquals(state, "serving");
  assertEquals(queues[1], { queue: `${queue}.other`, consuming: false, pending: 1 });
  gate.release();
  assertEquals(await call, 42);
  await stopping;
});

test("A server that stops its only queue does not serve", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, QUIET);
  const serving = await server.serve(double(queue), (n) => n);
  await serving.stop();
  assertEquals(server.status.state, "connected");
});

test("A server whose queue was deleted does not serve until it is declared again", async ({ broker, url, queue }) => {
  const seen: ServerStatus[] = [];
  await using server = await RpcServer.connect(url, {
    ...QUIET,
    onEvent: (event: ServerEvent) => event.type === "consumer_canceled" && seen.push(server.status),
  });
  await server.serve(double(queue), (n) => n);
  const { since } = server.status;
  await deleteByForce(broker, queue);
  await waitFor("the server has noticed", () => seen.length > 0);
  assertEquals(seen[0]?.state, "connected");
  await state(server, "serving");
  assert(server.status.since > since);
  assertEquals(server.status.queues, [{ queue, consuming: true, pending: 0 }]);
});

test("A client says since when it is connected, though nobody asks in between", async ({ broker, url }) => {
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(url, { ...QUIET, onEvent: events.onEvent });
  const { since } = client.status;
  await closeConnections(broker);
  await waitFor("the client is back", () => events.of("connected").length === 2);
  const before = Date.now();
  await waitFor("some time has passed", () => Date.now() > before + 50);
  assert(client.status.since > since);
  assertLessOrEqual(client.status.since.getTime(), before);
});

test("A server says since when it serves, though nobody asks in between", async ({ broker, url, queue }) => {
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { ...QUIET, onEvent: events.onEvent });
  await server.serve(double(queue), (n) => n);
  const { since } = server.status;
  await closeConnections(broker);
  await waitFor("the server is back", () => events.of("connected").length === 2);
  await using client = await RpcClient.connect(url, QUIET);
  await client.call(double(queue), 1);
  const before = Date.now();
  // Read at a later time than it changed.
  await waitFor("some time has passed", () => Date.now() > before + 50);
  assert(server.status.since > since);
  assertLessOrEqual(server.status.since.getTime(), before);
});

for (const heartbeat of [1, 2]) {
  test(`A server does not serve ${2 * heartbeat} s after a broker with heartbeats of ${heartbeat} s fell silent`, async (use) => {
    const { broker, queue } = use;
    await using link = relay(broker.port);
    const options = { ...QUIET, heartbeat, drainTimeout: 0, connectTimeout: 500 };
    await using server = await RpcServer.connect(at(link.port), options);
    await server.serve(double(queue), (n) => n);
    await new Promise((resolve) => setTimeout(resolve, 2_000 * heartbeat));
    assertEquals(server.status.state, "serving", "Heartbeats are enough while there are no requests");
    link.stall();
    const stalled = performance.now();
    await waitFor("the server has noticed", () => server.status.state !== "serving", 10_000);
    // The timers of a busy machine are late.
    assertLess(performance.now() - stalled, 2_000 * heartbeat + 300);
    assertEquals(server.status.state, "connecting");
    link.resume();
    await state(server, "serving", 10_000);
  });
}

test("An event after a loss says how long the connection was gone, and one after an alarm how long that took", async (use) => {
  const { broker, url, queue } = use;
  const events = listen<ClientEvent>();
  await using server = await RpcServer.connect(url, QUIET);
  await server.serve(double(queue), (n) => n);
  await using client = await RpcClient.connect(url, { backoff: SOON, onEvent: events.onEvent });
  await closeConnections(broker);
  await waitFor("the client is back", () => events.of("connected").length === 2);
  const [first, second] = events.of("connected");
  assertEquals(first?.downtime, undefined);
  assert((second?.downtime ?? 0) > 0 && (second?.downtime ?? Infinity) < 5_000);
  await raiseAlarm(broker);
  try {
    const call = failure(client.call(double(queue), 1, { timeout: 200 }));
    await waitFor("the client is told", () => events.of("blocked").length === 1);
    await call;
  } finally {
    await clearAlarm(broker);
  }
  await waitFor("the client is told", () => events.of("unblocked").length === 1);
  assert((events.of("unblocked")[0]?.duration ?? 0) > 100);
});

test("RabbitMQ shows the name of every connection, and which version of what it is", async ({ broker, url }) => {
  await using _named = await RpcClient.connect(url, { ...QUIET, name: "billing" });
  await using _unnamed = await RpcServer.connect(url, QUIET);
  const text = await broker.ctl("list_connections", "client_properties", "--formatter", "json");
  const all: { client_properties: [string, string, string][] }[] = JSON.parse(text);
  const shown = all.map(({ client_properties }) => {
    return Object.fromEntries(client_properties.map(([name, , value]) => [name, value]));
  });
  const names = shown.map((properties) => String(properties["connection_name"])).sort();
  assertEquals(names.length, 2);
  assertEquals(names[0], "billing");
  assert(new RegExp(`^\\S+ pid=${Deno.pid} rpc=${VERSION}$`).test(names[1] ?? ""), names[1]);
  for (const properties of shown) {
    assertEquals([properties["product"], properties["version"]], ["@rabbitmq-rpc/rpc", VERSION]);
  }
});
