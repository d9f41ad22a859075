import type { ChannelModel } from "amqplib";
import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import {
  bytes,
  type ClientEvent,
  integer,
  procedure,
  RpcClient,
  type RpcClientOptions,
  RpcError,
  RpcServer,
  type ServerEvent,
} from "../lib/rpc.ts";
import { socketOf } from "../lib/link.ts";
import { admit, at, closeConnections, deleteByForce, double, held, lab, listen, refuse } from "./support/lab.ts";
import { queueInfo, relay, waitFor, withChannel } from "./support/live.ts";

/** What the broker takes at the most; less than what this library checks by itself. */
const MAX_MESSAGE_SIZE = 200_000;

const test = lab({ config: [`max_message_size = ${MAX_MESSAGE_SIZE}`] });

/** Comes back at once, where the wait itself is not what is tested. */
const SOON = { min: 1, max: 50 };

/** One start of a handler, as the server saw it. */
interface Run {
  readonly n: number;
  readonly id: string | undefined;
  readonly redelivered: boolean;
}

/** A call's error, whatever it was. */
async function failure(call: Promise<unknown>): Promise<RpcError> {
  return await assertRejects(() => call, RpcError);
}

/** Takes the next request off a queue as a plain consumer would, and gives its reply queue. */
async function replyQueueOf(url: string, queue: string): Promise<string> {
  return await withChannel(url, async (channel) => {
    const message = await waitFor("the request is there", () => channel.get(queue, { noAck: true }));
    return String(message.properties.replyTo);
  });
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
  assertEquals(events.all.map(({ type }) => type), ["connected", "disconnected", "retrying", "connected"]);
  const [lost] = events.of("disconnected");
  assertEquals([lost?.error.code, client.pending], ["unavailable", 0]);
  assertEquals(events.of("connected").map(({ host }) => host), Array(2).fill(`127.0.0.1:${link.port}`));
});

test("A server whose link is cut comes back with its consumer and its prefetch", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
  let running = 0;
  let most = 0;
  let release = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n) => {
    most = Math.max(most, ++running);
    await release.promise;
    running--;
    return 2 * n;
  }, { prefetch: 3 });
  await using client = await RpcClient.connect(url);
  for (const _round of [1, 2]) {
    link.cut();
    await waitFor("the server is back", async () => (await queueInfo(url, queue))?.consumers === 1);
    const calls = Promise.all([1, 2, 3, 4, 5].map((n) => client.call(double(queue), n)));
    await waitFor("two requests wait in the queue", async () => (await queueInfo(url, queue))?.messages === 2);
    assertEquals([running, most], [3, 3]);
    release.resolve();
    assertEquals(await calls, [2, 4, 6, 8, 10]);
    await waitFor("every request is acknowledged", async () => await held(broker, queue) === 0);
    release = Promise.withResolvers();
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
  assertStringIncludes(String(lost?.error.message), "Heartbeat");
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

for (const idempotent of [true, undefined]) {
  test(
    `A client whose reply queue is deleted gets another one on the same connection (idempotent: ${
      idempotent ?? "absent"
    })`,
    async ({ broker, url, queue }) => {
      await using link = relay(broker.port);
      const events = listen<ClientEvent>();
      await using client = await RpcClient.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
      await withChannel(url, (channel) => channel.assertQueue(queue));
      const called = double(queue, { idempotent });
      const call = client.call(called, 21).catch((error: unknown) => error);
      const replyTo = await replyQueueOf(url, queue);
      await deleteByForce(broker, replyTo);
      await using server = await RpcServer.connect(url, { onEvent: () => {} });
      await server.serve(called, (n) => 2 * n);
      const result = await call;
      if (idempotent === true) {
        assertEquals(result, 42);
      } else {
        assertInstanceOf(result, RpcError);
        assertEquals([result.code, result.outcome], ["unavailable", "unknown"]);
      }
      assertEquals(await client.call(called, 5), 10);
      assertEquals([link.accepted, events.losses], [1, 0]);
    },
  );
}

test("A queue that is deleted under its consumer is declared again, on the same connection", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
  let running = 0;
  const release = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n) => {
    running++;
    if (n > 0) await release.promise;
    return 2 * n;
  }, { prefetch: 2 });
  await using client = await RpcClient.connect(url);
  for (let round = 1; round <= 3; round++) {
    assertEquals(await client.call(double(queue), 0), 0);
    await withChannel(url, (channel) => channel.deleteQueue(queue));
    await waitFor("the server consumes again", async () => (await queueInfo(url, queue))?.consumers === 1);
    assertEquals(events.of("consumer_canceled").length, round);
  }
  running = 0;
  const calls = Promise.all([1, 2, 3].map((n) => client.call(double(queue), n)));
  await waitFor("one request waits in the queue", async () => (await queueInfo(url, queue))?.messages === 1);
  assertEquals(running, 2);
  release.resolve();
  assertEquals(await calls, [2, 4, 6]);
  assertEquals([link.accepted, events.losses], [1, 0]);
});

test("A request that runs while its queue is deleted is answered all the same", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { backoff: SOON, onEvent: () => {} });
  const started = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n) => {
    started.resolve();
    await release.promise;
    return 2 * n;
  });
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await started.promise;
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  await waitFor("the server consumes again", async () => (await queueInfo(url, queue))?.consumers === 1);
  release.resolve();
  assertEquals(await call, 42);
  await waitFor("nothing is in progress", () => server.pending === 0);
});

test("A missing cancel exchange costs a client nothing but its cancels", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue);
    await channel.deleteExchange("rpc.cancel");
  });
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(at(link.port), { onEvent: events.onEvent });
  const first = await failure(client.call(double(queue), 1, { timeout: 20 }));
  assertEquals([first.code, first.outcome], ["deadline_exceeded", "unknown"]);
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  assertEquals(await client.call(double(queue), 2), 4);
  assertEquals([link.accepted, events.losses], [1, 0]);
});

test("A server whose cancel queue is deleted hears cancels again", async ({ broker, url, queue }) => {
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { backoff: SOON, onEvent: events.onEvent });
  const aborted = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n, { signal }) => {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    aborted.resolve();
    return n;
  });
  const bound = `[binary_to_list(N) || {binding, _, _, {resource, _, queue, N}, _} <- ` +
    `rabbit_binding:list_for_source(rabbit_misc:r(<<"/">>, exchange, <<"rpc.cancel">>)), N =/= <<"${queue}">>]`;
  const cancelQueues = async (): Promise<string[]> =>
    Array.from((await broker.eval(bound)).matchAll(/amq\.gen-[\w-]+/g), String);
  const [cancelQueue = ""] = await waitFor("the cancel queue is bound", cancelQueues);
  await deleteByForce(broker, cancelQueue);
  await waitFor("there is another one", async () => (await cancelQueues()).some((name) => name !== cancelQueue));
  await using client = await RpcClient.connect(url);
  const canceler = new AbortController();
  const call = failure(client.call(double(queue), 1, { signal: canceler.signal }));
  await waitFor("it is running", () => server.pending === 1);
  canceler.abort();
  assertEquals((await call).code, "canceled");
  await aborted.promise;
  assertEquals(events.losses, 0);
});

test("A request that the broker refuses fails alone, and the connection stays", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const size = procedure({ queue, queueType: "classic", request: bytes(), reply: integer(), idempotent: true });
  await using server = await RpcServer.connect(url);
  const log: number[] = [];
  await server.serve(size, ({ length }) => {
    log.push(length);
    return length;
  });
  const events = listen<ClientEvent>();
  await using client = await RpcClient.connect(at(link.port), { onEvent: events.onEvent });
  const tooLarge = failure(client.call(size, new Uint8Array(MAX_MESSAGE_SIZE + 1)));
  const others = Promise.all([1, 2, 3].map((length) => client.call(size, new Uint8Array(length))));
  assertEquals(await others, [1, 2, 3]);
  const { code, message } = await tooLarge;
  assert(code === "failed_precondition" || code === "resource_exhausted" || code === "out_of_range", code);
  assertStringIncludes(message, `${MAX_MESSAGE_SIZE}`);
  assert(log.every((length) => length <= MAX_MESSAGE_SIZE));
  assertEquals([link.accepted, events.losses, client.pending], [1, 0, 0]);
});

test("A reply that the broker refuses does not hold up the others", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const sized = procedure({ queue, queueType: "classic", request: integer(), reply: bytes() });
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(at(link.port), { onEvent: events.onEvent });
  await server.serve(sized, (length) => new Uint8Array(length));
  await using client = await RpcClient.connect(url);
  const tooLarge = failure(client.call(sized, MAX_MESSAGE_SIZE + 1, { timeout: 4_000 }));
  const others = Promise.all([1, 2, 3].map((length) => client.call(sized, length, { timeout: 3_000 })));
  assertEquals((await others).map(({ length }) => length), [1, 2, 3]);
  const { outcome } = await tooLarge;
  assert(outcome !== "not_executed", outcome);
  await waitFor("nothing is in progress", () => server.pending === 0);
  assertEquals([link.accepted, events.losses], [1, 0]);
});

test("A server that may not write its replies asks again with growing waits", async ({ broker, url, queue }) => {
  const may = '<<".*">>, <<"^(?!amq.default)">>, <<".*">>';
  await broker.eval('rabbit_auth_backend_internal:add_user(<<"mute">>, <<"mute">>, <<"lab">>)');
  await broker.eval(`rabbit_auth_backend_internal:set_permissions(<<"mute">>, <<"/">>, ${may}, <<"lab">>)`);
  const refusals = async (): Promise<number> => (await broker.log()).split("operation basic.publish caused").length;
  const before = await refusals();
  await using server = await RpcServer.connect(url.replace("guest:guest", "mute:mute"), { onEvent: () => {} });
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  // Several at once, since one that is alone is known to be the one that is refused.
  const calls = [1, 2, 3, 4, 5].map((n) => failure(client.call(double(queue), n, { timeout: 1_000 })));
  assertEquals((await Promise.all(calls)).map(({ outcome }) => outcome), Array(5).fill("unknown"));
  assertLess(await refusals() - before, 50);
});

test("Losses of channels and connections leave no channel or queue behind", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const heard = { client: listen<ClientEvent>(), server: listen<ServerEvent>() };
  await using server = await RpcServer.connect(at(link.port), { backoff: SOON, onEvent: heard.server.onEvent });
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(at(link.port), { backoff: SOON, onEvent: heard.client.onEvent });
  const called = double(queue, { idempotent: true });
  assertEquals(await client.call(called, 1), 2);
  const count = (): Promise<string> =>
    broker.eval("{length(rabbit_channel:list()), length(rabbit_amqqueue:list_names())}");
  const before = await count();
  for (let round = 0; round < 5; round++) {
    if (round % 2 === 0) link.cut();
    else await withChannel(url, (channel) => channel.deleteQueue(queue));
    await waitFor("the server is back", async () => (await queueInfo(url, queue))?.consumers === 1);
    assertEquals(await client.call(called, round), 2 * round);
  }
  await waitFor(`channels and queues are ${before}`, async () => await count() === before);
  assertEquals([client.pending, server.pending], [0, 0]);
});

test("serve() waits for a connection that is lost meanwhile", async ({ broker, url, queue }) => {
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { backoff: SOON, onEvent: events.onEvent });
  await refuse(broker);
  let serving: Promise<void>;
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

const STALLED: readonly RpcClientOptions[] = [{}, { replies: "direct" }];

for (const options of STALLED) {
  test(`RpcClient.close() does not hang on a stalled link (${JSON.stringify(options)})`, async ({ broker, url, queue }) => {
    await withChannel(url, (channel) => channel.assertQueue(queue));
    await using link = relay(broker.port);
    const client = await RpcClient.connect(at(link.port), { ...options, drainTimeout: 100, onEvent: () => {} });
    const call = failure(client.call(double(queue), 1));
    await waitFor("the request is in the queue", async () => (await queueInfo(url, queue))?.messages === 1);
    link.stall();
    const began = performance.now();
    await client.close();
    // The drain, and a second each for the channels' and the connection's goodbye.
    assertLess(performance.now() - began, 4_000);
    assertEquals([(await call).code, client.pending], ["canceled", 0]);
  });
}

test("RpcServer.close() does not hang on a stalled link, and the request goes elsewhere", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  const server = await RpcServer.connect(at(link.port), { drainTimeout: 100, onEvent: () => {} });
  const started = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n, { signal }) => {
    started.resolve();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    return n;
  });
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await started.promise;
  link.stall();
  const began = performance.now();
  await server.close();
  assertLess(performance.now() - began, 4_000);
  link.cut();
  await using other = await RpcServer.connect(url);
  await other.serve(double(queue), (n) => 2 * n);
  assertEquals(await call, 42);
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

test("close() during a reconnect that gets no answer ends it", async ({ broker, url }) => {
  await using link = relay(broker.port);
  const events = listen<ClientEvent>();
  const client = await RpcClient.connect(at(link.port), { backoff: SOON, onEvent: events.onEvent });
  link.stall();
  link.cut();
  await waitFor("the client tries again", () => link.accepted === 2);
  const began = performance.now();
  await client.close();
  assertLess(performance.now() - began, 1_000);
  assertEquals(events.of("connected").length, 1);
  assert(await queueInfo(url, "lab.none") === undefined);
});

/** A process that connects, says so, and closes when its link has stalled; it must then end by itself. */
const CLOSES = `
  const [side, url, queue] = Deno.args;
  const { integer, procedure, RpcClient, RpcServer } = await import(new URL("lib/rpc.ts", ROOT).href);
  const called = procedure({ queue, queueType: "classic", request: integer(), reply: integer() });
  const options = { drainTimeout: 100, onEvent: () => {} };
  const peer = await (side === "client" ? RpcClient : RpcServer).connect(url, options);
  if (side === "client") peer.call(called, 1).catch(() => {});
  else await peer.serve(called, () => new Promise(() => {}));
  console.log("connected");
  await Deno.stdin.readable.getReader().read();
  await peer.close();
  console.log("closed");
`;

for (const side of ["client", "server"]) {
  test(`A ${side} that was closed on a stalled link leaves no process alive`, async ({ broker, url, queue }) => {
    await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
    await using link = relay(broker.port);
    const code = `const ROOT = ${JSON.stringify(new URL("../", import.meta.url).href)};${CLOSES}`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", code, side, at(link.port), queue],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let printed = "";
    const reading = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) printed += text;
    })();
    await waitFor("it is connected", () => printed.includes("connected"), 20_000);
    link.stall();
    const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await child.stdin.close();
    const { code: exitCode, signal } = await child.status;
    clearTimeout(timer);
    await reading;
    assertEquals([exitCode, signal, printed], [0, null, "connected\nclosed\n"]);
  });
}

Deno.test("socketOf() gives nothing where amqplib has no socket to give", () => {
  const models: readonly unknown[] = [
    { connection: {} },
    { connection: { stream: undefined } },
    { connection: { stream: { write() {} } } },
  ];
  for (const model of models) assertEquals(socketOf(model as ChannelModel), undefined);
});
