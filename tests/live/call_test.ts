import { assertEquals, assertRejects } from "@std/assert";
import { bytes, integer, json, procedure, RpcClient, RpcError, RpcServer, text } from "../../lib/rpc.ts";
import { double } from "../support/lab_server.ts";
import { live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { counted, gated } from "../support/handlers.ts";

live("RpcClient.call() gives the handler's result", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 21), 42);
});

live("RpcClient.call() gives the handler's result over direct reply-to", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => Promise.resolve(2 * n));
  await using client = await RpcClient.connect(url, { replies: "direct" });
  const results = await Promise.all([1, 2, 3].map((n) => client.call(double(queue), n)));
  assertEquals(results, [2, 4, 6]);
});

for (const replies of ["queue", "direct"] as const) {
  live(
    `10,000 concurrent calls on one client all give their own result (replies: ${replies})`,
    async ({ url, queue }) => {
      await using server = await RpcServer.connect(url);
      await server.serve(double(queue), (n) => 2 * n, { prefetch: 500 });
      await using client = await RpcClient.connect(url, { replies });
      const numbers = Array.from({ length: 10_000 }, (_, n) => n);
      const calls = numbers.map((n) => client.call(double(queue), n));
      assertEquals(client.pending, 10_000);
      assertEquals(await Promise.all(calls), numbers.map((n) => 2 * n));
      assertEquals(client.pending, 0);
      await waitFor("every request is acknowledged", () => server.pending === 0);
      assertEquals((await queueInfo(url, queue))?.messages, 0);
    },
  );
}

live("One server serves several procedures, one client calls them at once", async ({ url, queue }) => {
  const shout = procedure({ queue: `${queue}.shout`, queueType: "classic", request: text(), reply: text() });
  await using server = await RpcServer.connect(url);
  try {
    await server.serve(double(queue), (n) => 2 * n);
    await server.serve(shout, (words) => `${words.toUpperCase()}!`);
    await using client = await RpcClient.connect(url);
    assertEquals(await Promise.all([client.call(double(queue), 4), client.call(shout, "grüße")]), [8, "GRÜSSE!"]);
  } finally {
    await withChannel(url, (channel) => channel.deleteQueue(`${queue}.shout`));
  }
});

live("Bytes of 1 MiB and an empty body arrive as they were sent", async ({ url, queue }) => {
  const echo = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
  await using server = await RpcServer.connect(url);
  await server.serve(echo, (body) => body);
  await using client = await RpcClient.connect(url);
  const body = crypto.getRandomValues(new Uint8Array(65_536));
  const large = new Uint8Array(1024 * 1024).map((_, index) => body[index % 65_536] ?? 0);
  assertEquals(await client.call(echo, large), large);
  assertEquals(await client.call(echo, new Uint8Array()), new Uint8Array());
});

live("JSON of any shape arrives as it was sent", async ({ url, queue }) => {
  const echo = procedure({ queue, queueType: "classic", request: json(), reply: json() });
  await using server = await RpcServer.connect(url);
  await server.serve(echo, (value) => value);
  await using client = await RpcClient.connect(url);
  for (const value of [null, [], { "a": [1, "ü", { b: null }] }, "text", 0.1]) {
    assertEquals(await client.call(echo, value), value);
  }
});

live("RpcServer starts as many requests at once as its prefetch says, and no more", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const gate = counted();
  await server.serve(double(queue), gate.handler, { prefetch: 3 });
  await using client = await RpcClient.connect(url);
  const calls = Promise.all([1, 2, 3, 4, 5].map((n) => client.call(double(queue), n)));
  await waitFor("two requests wait in the queue", async () => (await queueInfo(url, queue))?.messages === 2);
  assertEquals([gate.running, server.pending], [3, 3]);
  gate.release();
  assertEquals(await calls, [2, 4, 6, 8, 10]);
  assertEquals(gate.most, 3);
});

live("Two servers share the requests of one queue", async ({ url, queue }) => {
  await using first = await RpcServer.connect(url);
  await using second = await RpcServer.connect(url);
  const served = [0, 0];
  for (const [index, server] of [first, second].entries()) {
    await server.serve(double(queue), (n) => {
      served[index] = (served[index] ?? 0) + 1;
      return 2 * n;
    }, { prefetch: 1 });
  }
  await using client = await RpcClient.connect(url);
  await Promise.all(Array.from({ length: 200 }, (_, n) => client.call(double(queue), n)));
  assertEquals((served[0] ?? 0) + (served[1] ?? 0), 200);
  assertEquals(served.every((count) => count > 0), true, `served ${served}`);
});

for (const existing of ["classic", "quorum"] as const) {
  live(`RpcServer.serve() serves an existing ${existing} queue as it is, with a notice`, async ({ url, queue }) => {
    await withChannel(
      url,
      (channel) => channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": existing } }),
    );
    const notices: string[] = [];
    await using server = await RpcServer.connect(url, {
      onEvent: (event) => event.type === "adopted_queue" && notices.push(event.queue),
    });
    const queueType = existing === "classic" ? "quorum" : "transient";
    await server.serve({ ...double(queue), queueType }, (n) => 2 * n);
    await using client = await RpcClient.connect(url);
    assertEquals(await client.call(double(queue), 21), 42);
    assertEquals(notices, [queue]);
  });
}

live("RpcServer.serve() declares a quorum queue by default", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(procedure({ queue, request: integer(), reply: integer() }), (n) => n);
  await withChannel(url, (channel) =>
    // Another server's equal declaration is accepted only if the arguments are these.
    channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } }));
});

live("RpcServer.serve() gives permission_denied for somebody's exclusive queue", async ({ url, queue }) => {
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue, { exclusive: true });
    await using server = await RpcServer.connect(url);
    const error = await assertRejects(() => server.serve(double(queue), (n) => n), RpcError);
    assertEquals(error.code, "permission_denied");
  });
});

live("RpcServer.close() answers what it has taken, and takes no more", async ({ url, queue }) => {
  const server = await RpcServer.connect(url);
  const gate = gated();
  await server.serve(double(queue), gate.handler, { prefetch: 1 });
  await using client = await RpcClient.connect(url);
  const taken = client.call(double(queue), 21);
  await gate.started;
  const closing = server.close();
  assertEquals(server.close(), closing);
  await waitFor("the server consumes no more", async () => (await queueInfo(url, queue))?.consumers === 0);
  await publishRaw(url, queue, "1");
  gate.release();
  assertEquals(await taken, 42);
  await closing;
  assertEquals(await queueInfo(url, queue), { messages: 1, consumers: 0 });
});

live("RpcClient.close() waits for the calls in progress, then refuses new ones", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  const release = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n) => {
    started.resolve();
    await release.promise;
    return 2 * n;
  });
  const client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await started.promise;
  const closing = client.close();
  assertEquals(client.close(), closing);
  const error = await assertRejects(() => client.call(double(queue), 1), RpcError, "the client is closed");
  assertEquals([error.code, error.outcome], ["unavailable", "not_executed"]);
  release.resolve();
  assertEquals(await call, 42);
  await closing;
});

live("RpcClient.close() ends what is left after drainTimeout with canceled", async ({ url, queue }) => {
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const client = await RpcClient.connect(url, { drainTimeout: 50 });
  const call = assertRejects(() => client.call(double(queue), 1), RpcError, "the client was closed");
  await waitFor("the request is in the queue", async () => (await queueInfo(url, queue))?.messages === 1);
  await client.close();
  const error = await call;
  assertEquals([error.code, error.outcome, client.pending], ["canceled", "unknown", 0]);
});

live("RpcServer.serve() may be tried again after the broker has refused it", async ({ url, queue }) => {
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue, { exclusive: true });
    await using server = await RpcServer.connect(url);
    const error = await assertRejects(() => server.serve(double(queue), (n) => 2 * n), RpcError, queue);
    assertEquals(error.code, "permission_denied");
    await channel.deleteQueue(queue);
    await server.serve(double(queue), (n) => 2 * n);
    assertEquals((await plainCall(url, queue, "21")).content.toString(), "42");
  });
});
