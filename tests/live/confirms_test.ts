import { assertEquals, assertStringIncludes } from "@std/assert";
import { type ClientEvent, integer, procedure, RpcClient, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { live, waitFor } from "../support/live.ts";
import { gated } from "../support/handlers.ts";

/** A heartbeat, as a frame. */
const HEARTBEAT = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0xce);

/**
 * A link on which the broker goes on sending, and stops reading all but heartbeats: RabbitMQ 3.10 can come to that when
 * a queue is deleted.
 */
function deafLink(port: number): { readonly port: number; deafen(): void } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sockets = new Set<Deno.TcpConn>();
  const deaf = new Set<Deno.TcpConn>();
  async function pump(from: Deno.TcpConn, to: Deno.TcpConn, heard: () => boolean): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
        const bytes = heard() ? buffer.subarray(0, size) : HEARTBEAT;
        for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
      }
    } catch {
      // Closed by either end.
    }
    for (const socket of [from, to]) if (sockets.delete(socket)) socket.close();
  }
  async function join(client: Deno.TcpConn): Promise<void> {
    sockets.add(client);
    const broker = await Deno.connect({ hostname: "127.0.0.1", port });
    sockets.add(broker);
    await Promise.all([pump(client, broker, () => !deaf.has(client)), pump(broker, client, () => true)]);
  }
  const joined: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) joined.push(join(client));
  })();
  return {
    port: listener.addr.port,
    deafen: () => {
      for (const socket of sockets) deaf.add(socket);
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const socket of sockets) if (sockets.delete(socket)) socket.close();
      await Promise.all([accepting, ...joined]);
    },
  };
}

function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  changed.searchParams.set("heartbeat", "1");
  return changed.href;
}

/** Waits until a link that was given up is made again, and says why it was given up. */
async function whyReconnected(events: readonly (ClientEvent | ServerEvent)[]): Promise<string> {
  await waitFor("it has connected again", () => events.filter(({ type }) => type === "connected").length === 2, 20_000);
  const lost = events.find((event) => event.type === "disconnected");
  return String(lost?.type === "disconnected" && lost.error.message);
}

live("A client gives up a link on which nothing is confirmed any more, and sends again", async ({ url, queue }) => {
  const double = procedure({ queue, queueType: "classic", request: integer(), reply: integer(), idempotent: true });
  await using server = await RpcServer.connect(url);
  await server.serve(double, (n) => 2 * n);
  await using link = deafLink(Number(new URL(url).port || 5672));
  const events: ClientEvent[] = [];
  await using client = await RpcClient.connect(through(url, link.port), { onEvent: (event) => events.push(event) });
  assertEquals(await client.call(double, 1), 2);
  link.deafen();
  assertEquals(await client.call(double, 2, { timeout: 20_000 }), 4);
  assertStringIncludes(await whyReconnected(events), "confirmed nothing");
});

live("A server gives up a link on which nothing is confirmed any more, and replies again", async ({ url, queue }) => {
  const double = procedure({ queue, queueType: "classic", request: integer(), reply: integer() });
  await using link = deafLink(Number(new URL(url).port || 5672));
  const events: ServerEvent[] = [];
  const work = gated();
  await using server = await RpcServer.connect(through(url, link.port), { onEvent: (event) => events.push(event) });
  await server.serve(double, work.handler);
  await using client = await RpcClient.connect(url);
  const calling = client.call(double, 2, { timeout: 20_000 });
  await work.started;
  link.deafen();
  work.release();
  assertEquals(await calling, 4);
  assertStringIncludes(await whyReconnected(events), "confirmed nothing");
});
