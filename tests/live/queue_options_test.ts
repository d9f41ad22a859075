import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { type Procedure, type QueueType, RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import type { Broker } from "../support/broker.ts";
import { dice } from "../support/dice.ts";
import { double } from "../support/lab_server.ts";
import { held, lab, listen } from "../support/lab.ts";
import { isAtLeast, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";

const test = lab();

/** Declares the queue of a procedure as a server does, and leaves it without consumer. */
async function declare(url: string, called: Procedure<number, number, number, number>): Promise<void> {
  await using server = await RpcServer.connect(url);
  await server.serve(called, (n) => n);
}

/** What the broker says of a queue; its arguments as Erlang prints them. */
async function properties(
  broker: Broker,
  queue: string,
): Promise<{ readonly type: string; readonly durable: boolean; readonly args: string }> {
  const name = `rabbit_misc:r(<<"/">>, queue, <<"${queue}">>)`;
  const asked = "{amqqueue:get_type(Q), amqqueue:is_durable(Q), amqqueue:get_arguments(Q)}";
  const text = await broker.show(`{ok, Q} = rabbit_amqqueue:lookup(${name}), ${asked}`);
  const [, type = "", durable, args = ""] = /^\{rabbit_(\w+)_queue,\s*(true|false),(.*)\}$/s.exec(text) ?? [];
  return { type, durable: durable === "true", args };
}

for (const [queueType, type, durable] of [["quorum", "quorum", true], ["classic", "classic", true]] as const) {
  test(`queueType: "${queueType}" declares a ${type} queue with the limits that were asked for`, async (use) => {
    const { broker, url, queue } = use;
    await declare(
      url,
      double(queue, {
        queueType,
        maxLength: 7,
        messageTtl: 60_000,
        deadLetterExchange: "amq.fanout",
        deadLetterRoutingKey: "dead",
      }),
    );
    const found = await properties(broker, queue);
    assertEquals([found.type, found.durable], [type, durable]);
    for (const argument of ["x-max-length", "reject-publish", "x-message-ttl", "amq.fanout", "dead"]) {
      assertStringIncludes(found.args, argument);
    }
  });
}

test('queueType: "transient" declares what an old tutorial server declares', async ({ broker, url, queue }) => {
  if (await isAtLeast(url, "4.3")) {
    const error = await assertRejects(() => declare(url, double(queue, { queueType: "transient" })), RpcError);
    assertEquals(error.code, "failed_precondition");
    return;
  }
  await declare(url, double(queue, { queueType: "transient" }));
  const { type, durable, args } = await properties(broker, queue);
  // RabbitMQ 4 adds the type itself.
  assertEquals([type, durable, args.replace('{<<"x-queue-type">>,longstr,<<"classic">>}', "")], [
    "classic",
    false,
    "[]",
  ]);
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: false }));
});

test("A queue that exists with other limits is used as it is, with a notice", async ({ url, queue }) => {
  await declare(url, double(queue, { maxLength: 7 }));
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { onEvent: events.onEvent });
  await server.serve(double(queue, { maxLength: 8 }), (n) => 2 * n);
  const [notice] = events.of("adopted_queue");
  assertEquals(notice?.queue, queue);
  assertStringIncludes(String(notice?.reason), "x-max-length");
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 2), 4);
});

/** How a queue may be limited. */
type Limit = (broker: Broker, url: string, queue: string, queueType: QueueType) => Promise<void>;

async function policy(broker: Broker, queue: string, definition: Record<string, unknown>): Promise<void> {
  const json = JSON.stringify(definition).replaceAll('"', '\\"');
  const args = `<<"/">>, <<"${queue}">>, <<"^${queue}$">>, <<"${json}">>, <<"0">>, <<"queues">>, <<"lab">>`;
  assertEquals(await broker.eval(`rabbit_policy:parse_set(${args})`), "ok");
}

const FULL_AT = 3;

const LIMITS: Readonly<Record<string, Limit>> = {
  "by the procedure": (_broker, url, queue, queueType) =>
    declare(url, double(queue, { queueType, maxLength: FULL_AT })),
  "by a policy": async (broker, url, queue, queueType) => {
    await declare(url, double(queue, { queueType }));
    await policy(broker, queue, { "max-length": FULL_AT, "overflow": "reject-publish" });
  },
};

for (const queueType of ["classic", "quorum"] as const) {
  for (const [how, limit] of Object.entries(LIMITS)) {
    test(`A full ${queueType} queue, limited ${how}, is resource_exhausted, unknown`, async ({ broker, url, queue }) => {
      await limit(broker, url, queue, queueType);
      const called = double(queue, { queueType });
      await using client = await RpcClient.connect(url);
      const settled: unknown[] = [];
      const calls: Promise<unknown>[] = [];
      // A quorum queue takes some more than it may, until its channel has heard of it.
      while (settled.length === 0 && calls.length < 50) {
        const result = client.call(called, calls.length).catch((error: unknown) => error);
        result.then((value) => settled.push(value));
        calls.push(result);
        await queueInfo(url, queue);
      }
      for (const error of settled) {
        assertInstanceOf(error, RpcError);
        assertEquals([error.code, error.outcome], ["resource_exhausted", "unknown"]);
        assertStringIncludes(error.message, queue);
      }
      await using server = await RpcServer.connect(url, { onEvent: () => {} });
      await server.serve(called, (n) => 2 * n);
      const results = await Promise.all(calls);
      const taken = results.filter((result) => typeof result === "number");
      assert(taken.length >= FULL_AT && taken.length < results.length, `it took ${taken.length} of ${results.length}`);
      for (const [n, result] of results.entries()) if (typeof result === "number") assertEquals(result, 2 * n);
    });
  }
}

test("An idempotent call tries again until a full queue has room", async ({ broker, url, queue }) => {
  const called = double(queue, { maxLength: 2, idempotent: true });
  await declare(url, called);
  await using client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 12 }, (_, n) => n);
  const calls = Promise.all(numbers.map((n) => client.call(called, n)));
  await waitFor("the queue is full", async () => await held(broker, queue) === 2);
  await using server = await RpcServer.connect(url);
  await server.serve(called, (n) => 2 * n);
  assertEquals(await calls, numbers.map((n) => 2 * n));
});

test("An idempotent call ends as resource_exhausted where a full queue never has room", async ({ url, queue }) => {
  const called = double(queue, { maxLength: 1, idempotent: true });
  await declare(url, called);
  await using client = await RpcClient.connect(url, { drainTimeout: 10 });
  await publishRaw(url, queue, "1", { replyTo: "amq.gen-none" });
  // It is sent after 0 and 200 ms, so that the broker has 300 ms to refuse it the second time.
  using _dice = dice(0.99);
  const error = await assertRejects(() => client.call(called, 2, { timeout: 500 }), RpcError);
  assertEquals([error.code, error.outcome, client.pending], ["resource_exhausted", "unknown", 0]);
  assertStringIncludes(error.message, queue);
});

const TTLS: Readonly<Record<string, Limit>> = {
  "by the procedure": (_broker, url, queue, queueType) => declare(url, double(queue, { queueType, messageTtl: 100 })),
  "by a policy": async (broker, url, queue, queueType) => {
    await declare(url, double(queue, { queueType }));
    await policy(broker, queue, { "message-ttl": 100 });
  },
};

for (const queueType of ["classic", "quorum"] as const) {
  for (const [how, limit] of Object.entries(TTLS)) {
    test(`A request waits in a ${queueType} queue no longer than messageTtl, set ${how}`, async (use) => {
      const { broker, url, queue } = use;
      await limit(broker, url, queue, queueType);
      // As a plain client does: without expiration.
      await publishRaw(url, queue, "1", { replyTo: "amq.gen-none" });
      await waitFor("the request is gone", async () => (await queueInfo(url, queue))?.messages === 0);
    });
  }
}

test("The shorter of messageTtl and the call's timeout counts", async ({ url, queue }) => {
  await declare(url, double(queue, { messageTtl: 60_000 }));
  await using client = await RpcClient.connect(url);
  const error = await assertRejects(() => client.call(double(queue), 1, { timeout: 50 }), RpcError);
  assertEquals(error.code, "deadline_exceeded");
  await waitFor("the request is gone", async () => (await queueInfo(url, queue))?.messages === 0);
});

for (const queueType of ["classic", "quorum"] as const) {
  test(`Rejected and expired requests of a ${queueType} queue go to the dead-letter exchange`, async (use) => {
    const { url, queue } = use;
    const dead = `${queue}.dead`;
    await withChannel(url, (channel) => channel.assertQueue(dead));
    const called = double(queue, { queueType, deadLetterExchange: "", deadLetterRoutingKey: dead });
    const take = async (): Promise<{ body: string; reason: unknown }> => {
      const message = await withChannel(
        url,
        (channel) => waitFor("a dead letter is there", () => channel.get(dead, { noAck: true })),
      );
      return { body: message.content.toString(), reason: message.properties.headers?.["x-death"]?.[0]?.reason };
    };
    await declare(url, called);
    await using client = await RpcClient.connect(url);
    const error = await assertRejects(() => client.call(called, 1, { timeout: 50 }), RpcError);
    assertEquals(error.code, "deadline_exceeded");
    assertEquals(await take(), { body: "1", reason: "expired" });
    const events = listen<ServerEvent>();
    await using server = await RpcServer.connect(url, { onEvent: events.onEvent });
    await server.serve(called, (n) => 2 * n);
    await publishRaw(url, queue, "2");
    assertEquals(await take(), { body: "2", reason: "rejected" });
    assertEquals(events.of("rejected_request").length, 1);
    assertEquals(await client.call(called, 3), 6);
    await withChannel(url, (channel) => channel.deleteQueue(dead));
  });
}

test("A dead-letter exchange by policy gets what is rejected", async ({ broker, url, queue }) => {
  const dead = `${queue}.dead`;
  await withChannel(url, (channel) => channel.assertQueue(dead));
  await declare(url, double(queue));
  await policy(broker, queue, { "dead-letter-exchange": "", "dead-letter-routing-key": dead });
  await using server = await RpcServer.connect(url, { onEvent: () => {} });
  await server.serve(double(queue), (n) => 2 * n);
  await publishRaw(url, queue, "no number");
  const message = await withChannel(
    url,
    (channel) => waitFor("a dead letter is there", () => channel.get(dead, { noAck: true })),
  );
  assertEquals(message.content.toString(), "no number");
  await withChannel(url, (channel) => channel.deleteQueue(dead));
});

test("A deleted queue is declared again with its limits", async ({ broker, url, queue }) => {
  const called = double(queue, { maxLength: 9, messageTtl: 60_000 });
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { onEvent: events.onEvent });
  await server.serve(called, (n) => 2 * n);
  const before = await properties(broker, queue);
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  await waitFor("the server consumes again", async () => (await queueInfo(url, queue))?.consumers === 1);
  assertEquals(await properties(broker, queue), before);
  assertEquals(events.of("adopted_queue").length, 0);
});
