import { assert, assertEquals, assertLess, assertMatch, assertNotEquals } from "@std/assert";
import { integer, procedure, type RequestContext, RpcClient, RpcServer, text } from "../../lib/rpc.ts";
import { live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, failure, heard, pair, startServer, texts } from "../support/pair.ts";
import { tap } from "../support/tap.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { plainServer } from "../support/plain_server.ts";
import { dice } from "../support/dice.ts";
import { double } from "../support/lab_server.ts";

/** The three values of `idempotent`. */
const ALL = [true, undefined, false] as const;

function nameOf(idempotent: boolean | undefined): string {
  return idempotent === undefined ? "without idempotent" : `with idempotent: ${idempotent}`;
}

/** A server that takes one request and dies with it, so that the broker delivers it again. */
async function dieHolding(url: string, queue: string, during: () => void | Promise<void>): Promise<void> {
  await using server = await plainServer(url, queue, () => {});
  await during();
  await waitFor("the request has arrived", () => server.received.length === 1);
}

for (const idempotent of [true, undefined]) {
  live(`A redelivered request of a procedure ${nameOf(idempotent)} is run`, async ({ url, queue }) => {
    const called = texts(queue, idempotent);
    await using client = await connectClient(url);
    let result: Promise<string> | undefined;
    await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
    await dieHolding(url, queue, () => {
      result = client.call(called, "Ada");
    });
    const contexts: RequestContext[] = [];
    await using _server = await startServer(url, called, (name, context) => {
      contexts.push(context);
      return `Hello ${name}`;
    });
    assertEquals(await result, "Hello Ada");
    assertEquals(contexts.map(({ redelivered }) => redelivered), [true]);
  });
}

live(
  "RpcClient.call() rejects with aborted, unknown when a redelivered request may run but once",
  async ({ url, queue }) => {
    const called = texts(queue, false);
    await using client = await connectClient(url);
    await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
    let runs = 0;
    let ended: ReturnType<typeof failure> | undefined;
    await dieHolding(url, queue, () => {
      ended = failure(client.call(called, "Ada"));
    });
    await using _server = await startServer(url, called, (name) => {
      runs++;
      return name;
    });
    const error = await ended;
    assertEquals([error?.code, error?.outcome, runs], ["aborted", "unknown", 0]);
    assertEquals(await client.call(called, "Bob"), "Bob");
    assertEquals([runs, (await queueInfo(url, queue))?.messages], [1, 0]);
  },
);

live("A quorum queue's count of deliveries reaches the handler", async ({ url, queue }) => {
  const called = procedure({ queue, request: text(), reply: text() });
  await withChannel(url, (channel) => channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum" } }));
  await using client = await connectClient(url);
  const result = client.call(called, "");
  const plain = { durable: true, arguments: { "x-queue-type": "quorum" } };
  for (let i = 0; i < 2; i++) {
    await using server = await plainServer(url, queue, () => {}, plain);
    await waitFor("the request has arrived", () => server.received.length === 1);
  }
  const counts: unknown[] = [];
  await using _server = await startServer(url, called, (request, { deliveryCount, redelivered }) => {
    counts.push([deliveryCount, redelivered]);
    return request;
  });
  await result;
  await client.call(called, "");
  assertEquals(counts[0], [2, true]);
  assertEquals((counts[1] as unknown[])[1], false);
});

live("RpcClient.call() rejects with unknown when an invalid request was redelivered", async ({ url, queue }) => {
  const called = procedure({ queue, queueType: "classic", request: integer({ min: 0, max: 9 }), reply: integer() });
  const unbound = procedure({ queue, queueType: "classic", request: integer(), reply: integer() });
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  await using client = await connectClient(url);
  let ended: ReturnType<typeof failure> | undefined;
  await dieHolding(url, queue, () => {
    ended = failure(client.call(unbound, 10));
  });
  await using _server = await startServer(url, called, (n) => n);
  const again = await ended;
  assertEquals([again?.code, again?.outcome], ["out_of_range", "unknown"]);
  const once = await failure(client.call(unbound, 10));
  assertEquals([once.code, once.outcome], ["out_of_range", "not_executed"]);
});

live("A server that dies after its reply leaves a second reply, which is dropped", async ({ url, queue }) => {
  const called = texts(queue);
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  await using client = await connectClient(url);
  {
    await using _dying = await plainServer(url, queue, ({ reply }) => reply("first"));
    assertEquals(await client.call(called, ""), "first");
  }
  await using _server = await startServer(url, called, () => "second");
  await waitFor("the second reply is dropped", () => heard(client, "late_reply").length === 1);
  assertEquals(await client.call(called, ""), "second");
});

for (const idempotent of ALL) {
  const again = idempotent === true;
  live(
    `A request ${nameOf(idempotent)} whose connection is lost is ${again ? "sent again" : "never sent again"}`,
    async ({ url, queue }) => {
      await using server = await plainServer(url, queue, ({ ack, reply }) => {
        ack();
        if (server.received.length > 1) reply("second");
      });
      await using link = relay(portOf(url));
      await using client = await connectClient(through(url, link.port));
      const [settled] = await Promise.all([
        Promise.allSettled([client.call(texts(queue, idempotent), "")]),
        waitFor("the request has arrived", () => server.received.length === 1).then(() => link.cut()),
      ]);
      await waitFor("the connection is back", () => heard(client, "connected").length === 2);
      // What would have been sent again comes before this.
      assertEquals(await client.call(texts(queue), ""), "second");
      const ids = server.received.map(({ message }) => message.properties.messageId);
      if (again) {
        assertEquals(settled, [{ status: "fulfilled", value: "second" }]);
        assertEquals([ids.length, ids[0]], [3, ids[1]]);
      } else {
        const [result] = settled;
        assert(result.status === "rejected");
        assertEquals([result.reason.code, result.reason.outcome], ["unavailable", "unknown"]);
        assertEquals(ids.length, 2);
        assertNotEquals(ids[0], ids[1]);
      }
    },
  );

  live(
    `A request ${nameOf(idempotent)} that the broker did not take is ${again ? "sent again" : "never sent again"}`,
    async ({ url, queue }) => {
      const limited = { durable: true, arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } };
      await withChannel(url, (channel) => channel.assertQueue(queue, limited));
      await publishRaw(url, queue, "in the way");
      await using link = tap(url);
      await using client = await connectClient(link.url);
      const settling = Promise.allSettled([client.call(texts(queue, idempotent), "", { timeout: 20_000 })]);
      if (again) {
        const isRequest = (method: string) => method === `basic.publish /${queue}`;
        await waitFor("it was sent again", () => link.methods.filter(isRequest).length >= 2);
      } else {
        const [result] = await settling;
        assert(result.status === "rejected");
        assertEquals([result.reason.code, result.reason.outcome], ["resource_exhausted", "unknown"]);
      }
      await using server = await plainServer(url, queue, ({ message, reply, ack }) => {
        ack();
        if (message.properties.replyTo !== undefined) reply("done");
      }, limited);
      if (again) assertEquals(await settling, [{ status: "fulfilled", value: "done" }]);
      assertEquals(await client.call(texts(queue), ""), "done");
      assertEquals(server.received.length, again ? 3 : 2);
    },
  );

  live(`A call ${nameOf(idempotent)} made without a connection waits, and is sent once`, async ({ url, queue }) => {
    await using server = await plainServer(url, queue, ({ ack, reply }) => {
      ack();
      reply("done");
    });
    await using link = relay(portOf(url));
    await using client = await connectClient(through(url, link.port), { heartbeat: 0 });
    link.stall();
    link.cut();
    await waitFor("the connection is lost", () => heard(client, "disconnected").length === 1);
    const result = client.call(texts(queue, idempotent), "", { timeout: 20_000 });
    link.resume();
    assertEquals(await result, "done");
    assertEquals(server.received.length, 1);
  });

  live(`A call ${nameOf(idempotent)} that ends in an answer is never sent again`, async ({ url, queue }) => {
    await using server = await plainServer(url, queue, ({ message, ack, reply }) => {
      ack();
      const error = { code: message.content.toString(), message: "No", outcome: "executed" };
      reply(JSON.stringify(error), { type: "rpc.error" });
    });
    await using client = await connectClient(url);
    const codes = ["unavailable", "resource_exhausted", "aborted", "internal", "invalid_argument", "canceled"];
    for (const code of codes) assertEquals((await failure(client.call(texts(queue, idempotent), code))).code, code);
    const controller = new AbortController();
    controller.abort();
    await failure(client.call(texts(queue, idempotent), "", { signal: controller.signal }));
    await failure(client.call(texts(`${queue}.missing`, idempotent), ""));
    assertEquals(server.received.map(({ message }) => message.content.toString()), codes);
  });
}

live("RpcClient.call() names the full queue when its retries reach the deadline", async ({ url, queue }) => {
  const limited = { durable: true, arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } };
  await withChannel(url, (channel) => channel.assertQueue(queue, limited));
  await publishRaw(url, queue, "in the way");
  await using client = await connectClient(url);
  // It is sent after 0 and 200 ms, so that the broker has 300 ms to refuse it the second time.
  using _dice = dice(0.99);
  const start = performance.now();
  const error = await failure(client.call(texts(queue, true), "", { timeout: 500 }));
  assertEquals([error.code, error.outcome], ["resource_exhausted", "unknown"]);
  assertLess(performance.now() - start, 1_500);
  assertEquals((await queueInfo(url, queue))?.messages, 1);
});

live("RpcClient.call() rejects with unknown when only its second attempt is known not to run", async (live) => {
  const { url, queue } = live;
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  let ended: ReturnType<typeof failure>;
  {
    await using server = await plainServer(url, queue, ({ ack }) => ack());
    ended = failure(client.call(texts(queue, true), ""));
    await waitFor("the request has arrived", () => server.received.length === 1);
    link.stall();
    link.cut();
  }
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  link.resume();
  const error = await ended;
  // The queue is gone now, but a server has had the first attempt.
  assertEquals([error.code, error.outcome], ["unavailable", "unknown"]);
  assertMatch(error.message, /does not exist/);
});

live("RpcClient.call() rejects with unknown when only its second attempt was refused", async ({ url, queue }) => {
  const called = procedure({ queue, queueType: "classic", request: integer(), reply: integer(), idempotent: true });
  const digit = procedure({ queue, queueType: "classic", request: integer({ min: 0, max: 9 }), reply: integer() });
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  let ended: ReturnType<typeof failure>;
  {
    await using server = await plainServer(url, queue, ({ ack }) => ack());
    ended = failure(client.call(called, 10));
    await waitFor("the request has arrived", () => server.received.length === 1);
    link.stall();
    link.cut();
  }
  await using _server = await startServer(url, digit, (n) => n);
  link.resume();
  const error = await ended;
  assertEquals([error.code, error.outcome], ["out_of_range", "unknown"]);
});

live("A request that is sent again still ends at its first deadline", async ({ url, queue }) => {
  await using server = await plainServer(url, queue, ({ ack }) => ack());
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  const start = performance.now();
  const ended = failure(client.call(texts(queue, true), "", { timeout: 1_000 }));
  await waitFor("the request has arrived", () => server.received.length === 1);
  link.cut();
  const error = await ended;
  assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
  assertLess(performance.now() - start, 2_000);
  const [first, second] = server.received.map(({ message }) => Number(message.properties.expiration));
  assert(first !== undefined && second !== undefined && second < first, `${first} ${second}`);
});

live("A plain client's redelivered request is run without idempotent, as the tutorial does", async (live) => {
  const { url, queue } = live;
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  let reply: ReturnType<typeof plainCall> | undefined;
  await dieHolding(url, queue, () => {
    reply = plainCall(url, queue, "Ada");
  });
  await using _server = await startServer(url, texts(queue), (name) => `Hello ${name}`);
  assertEquals((await reply)?.content.toString(), "Hello Ada");
});

live("A request of a procedure with idempotent: false runs on its first delivery", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue, false), (name, { redelivered }) => `${name} ${redelivered}`);
  assertEquals(await p.client.call(texts(queue, false), "Ada"), "Ada false");
});

live(
  "A request that waited in a deleted queue is sent again when the next one shows that it is gone",
  async ({ url, queue }) => {
    const called = double(queue, { idempotent: true });
    await using client = await RpcClient.connect(url);
    {
      await using server = await RpcServer.connect(url);
      await server.serve(called, (n) => 2 * n);
      assertEquals(await client.call(called, 1), 2);
    }
    const lost = client.call(called, 2);
    await waitFor("it waits in the queue", async () => (await queueInfo(url, queue))?.messages === 1);
    await withChannel(url, (channel) => channel.deleteQueue(queue));
    const returned = client.call(called, 3);
    await using server = await RpcServer.connect(url);
    await server.serve(called, (n) => 2 * n);
    assertEquals(await Promise.all([lost, returned]), [4, 6]);
  },
);
