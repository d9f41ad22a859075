import { assert, assertEquals, assertInstanceOf, assertLess, assertStringIncludes } from "@std/assert";
import {
  bytes,
  type ClientEvent,
  integer,
  procedure,
  RpcClient,
  RpcError,
  RpcServer,
  type ServerEvent,
} from "../../lib/rpc.ts";
import { deleteByForce, lab, listen, SOON } from "../support/lab.ts";
import { double } from "../support/lab_server.ts";
import { queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, failure, heard, texts } from "../support/pair.ts";
import { at, relay } from "../support/relay.ts";
import { gated } from "../support/handlers.ts";
import { plainServer } from "../support/plain_server.ts";

/** What the broker takes at the most; less than what this library checks by itself. */
const MAX_MESSAGE_SIZE = 200_000;

const test = lab({ config: [`max_message_size = ${MAX_MESSAGE_SIZE}`] });

/** Takes the next request off a queue as a plain consumer would, and gives its reply queue. */
async function replyQueueOf(url: string, queue: string): Promise<string> {
  return await withChannel(url, async (channel) => {
    const message = await waitFor("the request is there", () => channel.get(queue, { noAck: true }));
    return String(message.properties.replyTo);
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
  const gate = gated();
  await server.serve(double(queue), gate.handler);
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await gate.started;
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  await waitFor("the server consumes again", async () => (await queueInfo(url, queue))?.consumers === 1);
  gate.release();
  assertEquals(await call, 42);
  await waitFor("nothing is in progress", () => server.pending === 0);
});

test("A missing cancel exchange costs a client nothing but its cancels", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue);
    await channel.deleteExchange("rpc.control");
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

test("A client that takes calls back lives on when no server has ever listened for that", async ({ url, queue }) => {
  await withChannel(url, (channel) => channel.deleteExchange("rpc.control"));
  await using server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    if (message.content.toString() === "answer") reply("done");
  });
  await using client = await connectClient(url);
  for (let i = 1; i <= 3; i++) {
    const controller = new AbortController();
    const ended = failure(client.call(texts(queue), "", { signal: controller.signal }));
    await waitFor("the request has arrived", () => server.received.length === i);
    controller.abort();
    assertEquals((await ended).code, "canceled");
  }
  assertEquals(await client.call(texts(queue), "answer"), "done");
  assertEquals(heard(client, "disconnected"), []);
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
    `rabbit_binding:list_for_source(rabbit_misc:r(<<"/">>, exchange, <<"rpc.control">>)), N =/= <<"${queue}">>]`;
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
