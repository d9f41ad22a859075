import { assert, assertEquals, assertInstanceOf, assertLess, assertStringIncludes } from "@std/assert";
import { type ClientEvent, RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { admit, closeConnections, held, lab, listen, refuse, SOON } from "../support/lab.ts";
import { double } from "../support/lab_server.ts";
import { queueInfo, waitFor, withChannel } from "../support/live.ts";
import { failure } from "../support/pair.ts";
import { counted } from "../support/handlers.ts";
import { at, relay } from "../support/relay.ts";

const test = lab();

/** One start of a handler, as the server saw it. */
interface Run {
  readonly n: number;
  readonly id: string | undefined;
  readonly redelivered: boolean;
}

test("A client whose link is cut comes back, and says so", async ({ broker, url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  await using link = relay(broker.port);
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
  assertEquals(await client.call(double(queue), 1), 2);
  link.cut();
  await waitFor("the client notices", () => events.losses === 1);
  assertEquals(await client.call(double(queue), 2), 4);
  const wanted = ["connected", "called", "disconnected", "retrying", "connected", "called"];
  assertEquals(events.all.map(({ type }) => type), wanted);
  const [lost] = events.of("disconnected");
  assertEquals([lost?.error.code, client.pending], ["unavailable", 0]);
  assertEquals(events.of("connected").map(({ host }) => host), Array(2).fill(`127.0.0.1:${link.port}`));
});

test("A server whose link is cut comes back with its consumer and its prefetch", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
  let gate = counted();
  await server.serve(double(queue), (n) => gate.handler(n), { prefetch: 3 });
  await using client = await RpcClient.connect(url);
  for (const _round of [1, 2]) {
    link.cut();
    await waitFor("the server is back", async () => (await queueInfo(url, queue))?.consumers === 1);
    const calls = Promise.all([1, 2, 3, 4, 5].map((n) => client.call(double(queue), n)));
    await waitFor("two requests wait in the queue", async () => (await queueInfo(url, queue))?.messages === 2);
    assertEquals([gate.running, gate.most], [3, 3]);
    gate.release();
    assertEquals(await calls, [2, 4, 6, 8, 10]);
    await waitFor("every request is acknowledged", async () => await held(broker, queue) === 0);
    gate = counted();
  }
  assertEquals(events.losses, 2);
});

test("Both sides come back when the broker closes every connection", async ({ broker, url, queue }) => {
  const heard = { client: listen<ClientEvent>(), server: listen<ServerEvent>() };
  await using server = await RpcServer.connect(url, { backoff: SOON, onEvent: heard.server.onEvent });
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url, { backoff: SOON, onEvent: heard.client.onEvent });
  assertEquals(await client.call(double(queue), 1), 2);
  for (let round = 1; round <= 3; round++) {
    await closeConnections(broker);
    await waitFor(
      "both notice",
      () => [heard.client, heard.server].every((events) => events.losses === round),
    );
    assertEquals(await client.call(double(queue), round), 2 * round);
  }
  for (const { error } of heard.client.of("disconnected")) {
    assertEquals(error.code, "unavailable");
    assertStringIncludes(error.message, "CONNECTION_FORCED");
  }
  await waitFor("one consumer is left", async () => (await queueInfo(url, queue))?.consumers === 1);
});

test("A link that breaks while it is being made is made again", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  await using server = await RpcServer.connect(at(link.port), { backoff: SOON, onEvent: () => {} });
  await server.serve(double(queue), (n) => 2 * n, { prefetch: 2 });
  await using client = await RpcClient.connect(at(link.port), { backoff: SOON, onEvent: () => {} });
  // Each cut comes a little later in the handshake, and then in the making of channels, queues and consumers.
  for (let cut = 0; cut < 40; cut++) {
    const { accepted } = link;
    link.cut();
    await waitFor("somebody comes back", () => link.accepted > accepted);
    await new Promise((resolve) => setTimeout(resolve, cut / 2));
  }
  const idempotent = double(queue, { idempotent: true });
  const numbers = Array.from({ length: 20 }, (_, n) => n);
  assertEquals(await Promise.all(numbers.map((n) => client.call(idempotent, n))), numbers.map((n) => 2 * n));
  await waitFor("one consumer is left", async () => (await queueInfo(url, queue))?.consumers === 1);
  await waitFor(
    "two connections are left",
    async () => await broker.eval("length(rabbit_networking:connections())") === "2",
  );
});

test("A half-open link is found by heartbeat, and the next host is used", async ({ broker, url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  await using link = relay(broker.port);
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect([at(link.port), url], {
    heartbeat: 1,
    backoff: SOON,
    onEvent: events.onEvent,
  });
  const idempotent = double(queue, { idempotent: true });
  assertEquals(await client.call(idempotent, 1), 2);
  link.stall();
  // With a call in flight it might be the watch over confirms that finds it.
  await waitFor("the client notices", () => events.losses === 1, 15_000);
  const [lost] = events.of("disconnected");
  assertStringIncludes(String(lost?.error.message), "the broker has sent nothing for 2 s");
  assertEquals(await client.call(idempotent, 2), 4);
  assertEquals(events.of("connected").map(({ host }) => host), [`127.0.0.1:${link.port}`, `127.0.0.1:${broker.port}`]);
});

test("A call in flight over a link that becomes half-open is sent again over the next host", async (use) => {
  const { broker, url, queue } = use;
  await using server = await RpcServer.connect(url);
  const idempotent = double(queue, { idempotent: true });
  await server.serve(idempotent, (n) => 2 * n);
  await using link = relay(broker.port);
  const options = { heartbeat: 1, backoff: SOON, onEvent: () => {} };
  await using client = await RpcClient.connect([at(link.port), url], options);
  link.stall();
  assertEquals(await client.call(idempotent, 2), 4);
});

test("A server behind a half-open link comes back by itself", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  await using server = await RpcServer.connect([at(link.port), url], {
    heartbeat: 1,
    backoff: SOON,
    onEvent: () => {},
  });
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  link.stall();
  assertEquals(await client.call(double(queue), 21, { timeout: 20_000 }), 42);
  assertEquals(link.accepted, 1);
});

test("Reconnects go over the hosts in turn, with growing waits below the bounds", async ({ broker, url }) => {
  await using link = relay(broker.port);
  const events = listen<ClientEvent>();
  const backoff = { min: 8, max: 64 };
  await using client = await RpcClient.connect([url, at(link.port)], { backoff, onEvent: events.onEvent });
  await refuse(broker);
  try {
    await closeConnections(broker);
    await waitFor("eight attempts were made", () => events.of("retrying").length >= 8);
  } finally {
    await admit(broker);
  }
  await waitFor("the client is back", () => events.of("connected").length === 2);
  const retries = events.of("retrying");
  assertEquals(retries.map(({ attempt }) => attempt), retries.map((_, index) => index + 1));
  for (const { attempt, delay } of retries) {
    assert(delay >= 0 && delay <= Math.min(64, 8 * 2 ** (attempt - 1)), `waited ${delay} ms before attempt ${attempt}`);
  }
  assert(new Set(retries.map(({ delay }) => delay)).size > 1, "the waits are random");
  assert(link.accepted >= 4, `the second host was tried ${link.accepted} times`);
  for (const { error } of retries.slice(1)) {
    assertEquals(error.code, "unavailable");
    assertStringIncludes(error.message, `127.0.0.1:${link.port}`);
    assertStringIncludes(error.message, `127.0.0.1:${broker.port}`);
  }
  assertEquals(client.pending, 0);
});

for (const idempotent of [true, undefined, false]) {
  const name = `idempotent: ${idempotent ?? "absent"}`;

  test(`A client loses its link with a call in flight (${name})`, async ({ broker, url, queue }) => {
    const log: Run[] = [];
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const called = double(queue, { idempotent });
    await using server = await RpcServer.connect(url, { onEvent: () => {} });
    await server.serve(called, async (n, { messageId, redelivered }) => {
      log.push({ n, id: messageId, redelivered });
      started.resolve();
      await release.promise;
      return 2 * n;
    });
    await using link = relay(broker.port);
    const events = listen<ClientEvent>();
    await using client = await RpcClient.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
    const call = client.call(called, 21).catch((error: unknown) => error);
    await started.promise;
    link.cut();
    await waitFor("the client is back", () => events.of("connected").length === 2);
    const next = client.call(called, 1);
    if (idempotent === true) await waitFor("the request came again", () => log.length === 3);
    release.resolve();
    const result = await call;
    assertEquals(await next, 2);
    const runs = log.filter(({ n }) => n === 21);
    if (idempotent === true) {
      assertEquals(result, 42);
      assertEquals(runs.length, 2);
      assertEquals(new Set(runs.map(({ id }) => id)).size, 1, "both attempts have one message id");
      assert(runs[0]?.id !== undefined);
    } else {
      assertInstanceOf(result, RpcError);
      assertEquals([result.code, result.outcome], ["unavailable", "unknown"]);
      assertStringIncludes(result.message, queue);
      assertEquals(runs.length, 1);
    }
    assertEquals(client.pending, 0);
    await waitFor("the queue is empty", async () => (await queueInfo(url, queue))?.messages === 0);
  });

  test(`A server loses its link with a request running (${name})`, async ({ broker, url, queue }) => {
    const log: Run[] = [];
    const started = Promise.withResolvers<void>();
    const called = double(queue, { idempotent });
    await using link = relay(broker.port);
    await using server = await RpcServer.connect(at(link.port), { drainTimeout: 100, onEvent: () => {} });
    const release = Promise.withResolvers<void>();
    await server.serve(called, async (n, { messageId, redelivered }) => {
      log.push({ n, id: messageId, redelivered });
      started.resolve();
      await release.promise;
      return 2 * n;
    });
    await using client = await RpcClient.connect(url);
    const call = client.call(called, 21).catch((error: unknown) => error);
    await started.promise;
    await using other = await RpcServer.connect(url);
    await other.serve(called, (n, { messageId, redelivered }) => {
      log.push({ n, id: messageId, redelivered });
      return 2 * n;
    });
    await link.close();
    const result = await call;
    if (idempotent === false) {
      assertInstanceOf(result, RpcError);
      assertEquals([result.code, result.outcome], ["aborted", "unknown"]);
      assertEquals(log.length, 1);
    } else {
      assertEquals(result, 42);
      assertEquals(log.map(({ redelivered }) => redelivered), [false, true]);
      assertEquals(log[0]?.id, log[1]?.id);
    }
    release.resolve();
    await waitFor("the queue is empty", async () => (await queueInfo(url, queue))?.messages === 0);
  });
}

test("A call made while there is no connection waits unwritten, and goes out later", async ({ broker, url, queue }) => {
  const log: number[] = [];
  await using server = await RpcServer.connect(url, { backoff: SOON, onEvent: () => {} });
  await server.serve(double(queue, { idempotent: false }), (n) => {
    log.push(n);
    return 2 * n;
  });
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(url, { backoff: SOON, onEvent: events.onEvent });
  const called = double(queue, { idempotent: false });
  await refuse(broker);
  const canceler = new AbortController();
  async function callMeanwhile() {
    try {
      await closeConnections(broker);
      await waitFor("the client notices", () => events.losses === 1);
      const late = failure(client.call(called, 1, { timeout: 50 }));
      const canceled = failure(client.call(called, 2, { signal: canceler.signal }));
      const waiting = client.call(called, 3);
      assertEquals(client.pending, 3);
      canceler.abort();
      return [await late, await canceled, waiting] as const;
    } finally {
      await admit(broker);
    }
  }
  const [late, canceled, waiting] = await callMeanwhile();
  assertEquals(await waiting, 6);
  assertEquals([late.code, late.outcome], ["deadline_exceeded", "not_executed"]);
  assertStringIncludes(late.message, "no connection");
  assertEquals([canceled.code, canceled.outcome], ["canceled", "not_executed"]);
  assertEquals(log, [3]);
});

test("An idempotent call whose link never comes back ends at its deadline, unknown", async ({ broker, url, queue }) => {
  await withChannel(url, (channel) => channel.assertQueue(queue));
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(url, { backoff: SOON, onEvent: events.onEvent });
  const call = failure(client.call(double(queue, { idempotent: true }), 1, { timeout: 300 }));
  await waitFor("the request is in the queue", async () => (await queueInfo(url, queue))?.messages === 1);
  await refuse(broker);
  try {
    await closeConnections(broker);
    const error = await call;
    assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
  } finally {
    await admit(broker);
  }
});

for (const replies of ["queue", "direct"] as const) {
  test(`Calls go on over losses (replies: ${replies})`, async ({ broker, url, queue }) => {
    const called = double(queue, { idempotent: true });
    await using server = await RpcServer.connect(url, { onEvent: () => {} });
    await server.serve(called, (n) => 2 * n, { prefetch: 50 });
    await using link = relay(broker.port);
    const events = listen<ClientEvent>();
    await using client = await RpcClient.connect(at(link.port), { replies, backoff: SOON, onEvent: events.onEvent });
    for (let round = 1; round <= 5; round++) {
      const numbers = Array.from({ length: 200 }, (_, n) => n);
      const calls = Promise.all(numbers.map((n) => client.call(called, n)));
      await waitFor("some are answered", () => client.pending < 150);
      link.cut();
      assertEquals(await calls, numbers.map((n) => 2 * n));
      await waitFor("the loss was told", () => events.losses === round);
    }
    assertEquals(client.pending, 0);
  });
}

test("serve() waits for a connection that is lost meanwhile", async ({ broker, url, queue }) => {
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { backoff: SOON, onEvent: events.onEvent });
  await refuse(broker);
  let serving: Promise<unknown>;
  try {
    await closeConnections(broker);
    await waitFor("the server notices", () => events.losses === 1);
    serving = server.serve(double(queue), (n) => 2 * n);
  } finally {
    await admit(broker);
  }
  await serving;
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 4), 8);
});

test("close() ends a client and a server that have no connection at once", async ({ broker, url, queue }) => {
  const heard = { client: listen<ClientEvent>(), server: listen<ServerEvent>() };
  const backoff = { min: 60_000, max: 60_000 };
  const server = await RpcServer.connect(url, { backoff, onEvent: heard.server.onEvent });
  await server.serve(double(queue), (n) => n);
  const client = await RpcClient.connect(url, { backoff, onEvent: heard.client.onEvent });
  await refuse(broker);
  try {
    await closeConnections(broker);
    await waitFor(
      "both notice",
      () => [heard.client, heard.server].every((events) => events.losses === 1),
    );
    const began = performance.now();
    await Promise.all([client.close(), server.close()]);
    assertLess(performance.now() - began, 1_000);
  } finally {
    await admit(broker);
  }
});
