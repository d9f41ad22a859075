import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { integer, procedure, RpcClient, type RpcCode, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { live, plainCall, publishRaw, queueInfo, relay, waitFor, withChannel } from "../support/live.ts";
import { gated } from "../support/pair.ts";

function double(queue: string, idempotent?: boolean) {
  return procedure({ queue, queueType: "classic", request: integer(), reply: integer(), idempotent });
}

function through(url: string, port: number): string {
  const broken = new URL(url);
  broken.port = String(port);
  return broken.href;
}

live(
  "A request that waited in a deleted queue is sent again when the next one shows that it is gone",
  async ({ url, queue }) => {
    const called = double(queue, true);
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

live("RpcServer.close() over a stalled link ends in time, and the process lives on", async ({ url, queue }) => {
  await using link = relay(Number(new URL(url).port || 5672));
  const server = await RpcServer.connect(through(url, link.port), {
    drainTimeout: 200,
    heartbeat: 1,
    onEvent: () => {},
  });
  const gate = gated();
  await server.serve(double(queue), gate.handler);
  await publishRaw(url, queue, "1", { replyTo: "amq.gen-nobody", correlationId: "c" });
  await gate.started;
  link.stall();
  gate.release();
  await server.close();
  // An ack on a closing channel would be an uncaught error, which ends the test run.
  await waitFor("the request is back", async () => (await queueInfo(url, queue))?.messages === 1, 60_000);
});

live("A replyTo option that throws rejects the request once, and the server goes on", async ({ url, queue }) => {
  const events: ServerEvent[] = [];
  let asked = 0;
  await using server = await RpcServer.connect(url, {
    onEvent: (event) => events.push(event),
    replyTo: () => {
      asked++;
      throw new Error("the option's own affair");
    },
  });
  await server.serve(double(queue), (n) => 2 * n);
  await publishRaw(url, queue, "1", { replyTo: "somebody", correlationId: "c" });
  await waitFor("it is rejected", () => events.some(({ type }) => type === "rejected_request"));
  assertEquals((await plainCall(url, queue, "21")).content.toString(), "42");
  assertEquals([asked, events.filter(({ type }) => type === "channel_lost").length], [1, 0]);
});

live("A replyTo option that gives a promise allows nothing", async ({ url, queue }) => {
  const events: ServerEvent[] = [];
  // A promise is true to an `if`; the option must say `true`.
  const replyTo = (() => Promise.resolve(true)) as unknown as (name: string) => boolean;
  await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event), replyTo });
  await server.serve(double(queue), (n) => 2 * n);
  await publishRaw(url, queue, "1", { replyTo: "somebody", correlationId: "c" });
  await waitFor("it is rejected", () => events.some(({ type }) => type === "rejected_request"));
});

live("connect() that is aborted ends with canceled, at once", async ({ url }) => {
  await using link = relay(Number(new URL(url).port || 5672));
  link.stall();
  for (const connect of [RpcClient.connect, RpcServer.connect]) {
    const controller = new AbortController();
    const connecting = assertRejects(
      () => connect(through(url, link.port), { signal: controller.signal, connectTimeout: 60_000 }),
      RpcError,
    );
    await waitFor("it is under way", () => link.accepted > 0);
    controller.abort("enough");
    const error = await connecting;
    assertEquals([error.code, error.outcome, error.cause], ["canceled", "not_executed", "enough"]);
  }
});

live("RpcClient.close() stops the work of the calls that it gives up on", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { onEvent: () => {} });
  const stopped = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  await server.serve(double(queue), (n, { signal }) => {
    started.resolve();
    return new Promise<number>((resolve) =>
      signal.addEventListener("abort", () => {
        stopped.resolve();
        resolve(n);
      })
    );
  });
  const client = await RpcClient.connect(url, { drainTimeout: 50 });
  const call = assertRejects(() => client.call(double(queue), 1, { timeout: 60_000 }), RpcError);
  await started.promise;
  await client.close();
  assertEquals((await call).code, "canceled");
  await stopped.promise;
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

live('A plain request with the expiration "0", now or never, is run', async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  assertEquals((await plainCall(url, queue, "21", { expiration: "0" })).content.toString(), "42");
});

/** A broker that ends the connection in the very packet that completes the handshake. */
function abrupt(): { readonly port: number; readonly close: () => void; readonly accepted: () => number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let accepted = 0;
  const method = (body: number[]): Uint8Array => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(body.length);
    return Uint8Array.from([1, 0, 0, ...size, ...body, 0xce]);
  };
  const text = (value: string): number[] => {
    const bytes = Array.from(new TextEncoder().encode(value));
    return [0, 0, 0, bytes.length, ...bytes];
  };
  const start = method([0, 10, 0, 10, 0, 9, 0, 0, 0, 0, ...text("PLAIN"), ...text("en_US")]);
  const tune = method([0, 10, 0, 30, 0, 0, 0, 2, 0, 0, 0, 0]);
  const openOk = method([0, 10, 0, 41, 0]);
  const close = method([0, 10, 0, 50, 1, 64, 3, 98, 121, 101, 0, 0, 0, 0]);
  async function serve(socket: Deno.Conn): Promise<void> {
    accepted++;
    const buffer = new Uint8Array(4096);
    try {
      for (const answer of [[start], [tune], [openOk, close]]) {
        if (await socket.read(buffer) === null) break;
        await socket.write(Uint8Array.from(answer.flatMap((part) => Array.from(part))));
      }
      while (await socket.read(buffer) !== null);
    } catch {
      // The client has gone.
    }
    socket.close();
  }
  (async () => {
    for await (const socket of listener) serve(socket);
  })();
  return { port: listener.addr.port, close: () => listener.close(), accepted: () => accepted };
}

live("A broker that closes the connection as it opens is unavailable, not taken for alive", async () => {
  const broker = abrupt();
  const error = await assertRejects(() => RpcClient.connect(`amqp://127.0.0.1:${broker.port}`), RpcError);
  const code: RpcCode = "unavailable";
  assertEquals(error.code, code);
  assert(broker.accepted() >= 1);
  broker.close();
});
