/**
 * Requests that the broker delivers again to the server that runs them, or has answered them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { integer, type Interceptor, procedure, RpcError, type RpcServer, text } from "../../lib/rpc.ts";
import { gated } from "../support/handlers.ts";
import { double } from "../support/lab_server.ts";
import { live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { connectClient, failure, heard, startServer, told } from "../support/pair.ts";
import { portOf, type Relay, relay, through } from "../support/relay.ts";
import { scanningRelay } from "../support/scanning_relay.ts";

/** The start of `basic.ack`: class 60, method 80, a tag of eight bytes and a bit. */
const ACK = Buffer.from([0, 0, 0, 13, 0, 60, 0, 80]);

/** Cuts a server's link, and waits until it has its request again. */
async function cutAndRedeliver(link: Relay, server: RpcServer): Promise<void> {
  const before = told(server, "redelivered_request").length;
  link.cut();
  await waitFor("it is delivered again", () => told(server, "redelivered_request").length > before);
}

for (const queueType of ["classic", "quorum"] as const) {
  for (const idempotent of [true, undefined, false]) {
    live(
      `A request that runs while its link is lost twice runs once and is answered (${queueType}, idempotent ${idempotent})`,
      async ({ url, queue }) => {
        await using link = relay(portOf(url));
        const called = double(queue, { queueType, idempotent });
        const gate = gated();
        let runs = 0;
        await using server = await startServer(through(url, link.port), called, (n) => {
          runs++;
          return gate.handler(n);
        });
        await using client = await connectClient(url);
        const call = client.call(called, 21);
        await gate.started;
        for (let loss = 0; loss < 2; loss++) await cutAndRedeliver(link, server);
        assertEquals(server.pending, 1);
        gate.release();
        assertEquals(await call, 42);
        assertEquals(await client.call(called, 1), 2);
        assertEquals([runs, heard(client, "late_reply").length], [2, 0]);
        assertEquals(told(server, "redelivered_request").map(({ state }) => state), ["running", "running"]);
        await server.close();
        assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
      },
    );
  }
}

live("A plain client's request that runs while its link is lost runs once", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const gate = gated();
  let runs = 0;
  await using server = await startServer(through(url, link.port), double(queue), (n) => {
    runs++;
    return gate.handler(n);
  });
  // Two at once with the same ids, as a careless client sends them.
  const replies = [1, 2].map((n) => plainCall(url, queue, `${n}`, { correlationId: "1" }));
  await waitFor("both run", () => runs === 2);
  await cutAndRedeliver(link, server);
  gate.release();
  assertEquals((await Promise.all(replies)).map(({ content }) => content.toString()), ["2", "4"]);
  await server.close();
  assertEquals([runs, (await queueInfo(url, queue))?.messages], [2, 0]);
});

live("A request that ends while there is no connection is answered once and not run again", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const called = double(queue, { idempotent: false });
  const gate = gated();
  let runs = 0;
  await using server = await startServer(through(url, link.port), called, (n) => {
    runs++;
    return gate.handler(n);
  });
  await using client = await connectClient(url);
  const call = client.call(called, 21);
  await gate.started;
  link.stall();
  link.cut();
  await waitFor("the link is lost", () => told(server, "disconnected").length === 1);
  gate.release();
  link.resume();
  assertEquals(await call, 42);
  await waitFor("it is delivered again", () => told(server, "redelivered_request").length === 1);
  await server.close();
  assertEquals([runs, heard(client, "late_reply").length], [1, 0]);
  assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
});

for (const replies of ["queue", "direct"] as const) {
  live(`A request whose ack is lost on its way is not run again (replies: ${replies})`, async ({ url, queue }) => {
    let cutting = false;
    await using link = scanningRelay(portOf(url), (bytes) => cutting && bytes.includes(ACK) ? undefined : bytes);
    const called = double(queue);
    let runs = 0;
    await using server = await startServer(through(url, link.port), called, (n) => {
      runs++;
      return 2 * n;
    }, { prefetch: 1 });
    await using client = await connectClient(url, { replies });
    assertEquals(await client.call(called, 1), 2);
    cutting = true;
    const call = client.call(called, 21);
    await waitFor("the ack is lost", () => link.cuts === 1);
    cutting = false;
    assertEquals(await call, 42);
    await waitFor("it is delivered again", () => told(server, "redelivered_request").length === 1);
    assertEquals(told(server, "redelivered_request")[0]?.state, "ended");
    assertEquals(await client.call(called, 2), 4);
    assertEquals([runs, heard(client, "late_reply").length], [3, 0]);
    await server.close();
    assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
  });
}

for (const queueType of ["classic", "quorum"] as const) {
  live(`A handler that hangs is aborted after maxDeliveries, and its mates run once (${queueType})`, async (live) => {
    const { url, queue } = live;
    const dead = `${queue}.dead`;
    const called = double(queue, {
      queueType,
      maxDeliveries: 3,
      deadLetterExchange: "",
      deadLetterRoutingKey: dead,
    });
    await using link = relay(portOf(url));
    const runs = new Map<number, number>();
    const reasons: unknown[] = [];
    const gate = gated();
    await using server = await startServer(through(url, link.port), called, (n, { signal }) => {
      runs.set(n, 1 + (runs.get(n) ?? 0));
      if (n !== 13) return gate.handler(n);
      signal.addEventListener("abort", () => reasons.push(signal.reason.code));
      return new Promise(() => {});
    });
    await using _dead = await withChannel(url, async (channel) => {
      await channel.assertQueue(dead);
      return { [Symbol.asyncDispose]: async () => void await withChannel(url, (c) => c.deleteQueue(dead)) };
    });
    await using client = await connectClient(url);
    const ended = failure(client.call(called, 13));
    const mate = client.call(called, 4);
    await waitFor("both run", () => runs.size === 2);
    for (let loss = 0; loss < 2; loss++) await cutAndRedeliver(link, server);
    gate.release();
    assertEquals(await mate, 8);
    await waitFor("the mate is acknowledged", () => server.pending === 1);
    link.cut();
    const error = await ended;
    assertEquals([error.code, error.outcome], ["aborted", "unknown"]);
    assertStringIncludes(error.message, "3 times");
    assertEquals([Array.from(runs), reasons], [[[13, 1], [4, 1]], ["aborted"]]);
    const message = await withChannel(
      url,
      (channel) => waitFor("it is dead-lettered", () => channel.get(dead, { noAck: true })),
    );
    assertEquals(message.content.toString(), "13");
    assertEquals(await client.call(called, 5), 10);
    await server.close();
    assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
  });
}

live("Who forges the ids of another caller's request gets an answer of its own", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const called = procedure({ queue, queueType: "classic", request: text(), reply: text() });
  await using server = await startServer(through(url, link.port), called, (name) => `Hello ${name}`);
  const ids = { correlationId: "c", messageId: "order-4711" };
  assertEquals((await plainCall(url, queue, "Ada", ids)).content.toString(), "Hello Ada");
  // Its reply comes after the ack of Ada's request.
  await plainCall(url, queue, "Bob");
  link.stall();
  link.cut();
  await waitFor("the link is lost", () => told(server, "disconnected").length === 1);
  const eve = plainCall(url, queue, "Eve", ids);
  // Taken and put back, as by a server that was killed; Bob's too, if its ack was lost.
  await withChannel(url, async (channel) => {
    await waitFor("it is there", async () => {
      const message = await channel.get(queue);
      return message !== false && message.content.toString() === "Eve";
    });
  });
  link.resume();
  assertEquals((await eve).content.toString(), "Hello Eve");
});

// Without a count, nobody can tell whether another server had it meanwhile.
for (const [queueType, outcome, ran] of [["quorum", "42", [false]], ["classic", "aborted", []]] as const) {
  live(
    `A request whose reply queue is being checked when the link is lost runs at most once (${queueType})`,
    async ({ url, queue }) => {
      const mine = `${queue}.mine`;
      // The server asks for the queue by its name.
      await using link = scanningRelay(
        portOf(url),
        (bytes) => link.cuts === 0 && bytes.includes(mine) ? undefined : bytes,
      );
      const called = double(queue, { idempotent: false, queueType });
      const seen: boolean[] = [];
      await using server = await startServer(through(url, link.port), called, (n, { redelivered }) => {
        seen.push(redelivered);
        return 2 * n;
      });
      await withChannel(url, async (channel) => {
        await channel.assertQueue(mine, { exclusive: true });
        await publishRaw(url, queue, "21", { replyTo: mine, correlationId: "c" });
        const reply = await waitFor("it is answered", () => channel.get(mine, { noAck: true }));
        const text = reply.content.toString();
        assertEquals(reply.properties.type === "rpc.error" ? JSON.parse(text).code : text, outcome);
      });
      assertEquals([link.cuts, told(server, "disconnected").length, seen], [1, 1, ran]);
    },
  );
}

live("A request that is refused while there is no connection is not said to be not executed", async (live) => {
  const { url, queue } = live;
  await using link = relay(portOf(url));
  const gate = gated();
  const refuse: Interceptor = () => async () => {
    await gate.handler(0);
    throw new RpcError("permission_denied", "No");
  };
  const called = double(queue);
  await using server = await startServer(through(url, link.port), called, (n) => n, { interceptors: [refuse] });
  await using client = await connectClient(url);
  const first = failure(client.call(called, 1));
  await gate.started;
  link.stall();
  link.cut();
  await waitFor("the link is lost", () => told(server, "disconnected").length === 1);
  // Another server may have it by now, and run it.
  gate.release();
  link.resume();
  const lost = await first;
  assertEquals([lost.code, lost.outcome], ["permission_denied", "unknown"]);
  const { code, outcome } = await failure(client.call(called, 2));
  assertEquals([code, outcome], ["permission_denied", "not_executed"]);
});

live("A refusal that is sent again after a lost link is not said to be not executed", async ({ url, queue }) => {
  let cutting = true;
  await using link = scanningRelay(portOf(url), (bytes) => cutting && bytes.includes(ACK) ? undefined : bytes);
  const called = procedure({ queue, queueType: "classic", request: integer({ max: 9 }), reply: integer() });
  const unbound = procedure({ queue, queueType: "classic", request: integer(), reply: integer() });
  await using _server = await startServer(through(url, link.port), called, (n) => n);
  await using client = await connectClient(url);
  const first = failure(client.call(unbound, 10));
  await waitFor("the ack is lost", () => link.cuts === 1);
  cutting = false;
  const lost = await first;
  assertEquals([lost.code, lost.outcome], ["out_of_range", "unknown"]);
  const { code, outcome } = await failure(client.call(unbound, 10));
  assertEquals([code, outcome], ["out_of_range", "not_executed"]);
});
