import { assertEquals, assertStringIncludes } from "@std/assert";
import { type ClientEvent, integer, procedure, RpcClient, RpcServer } from "../../lib/rpc.ts";
import { live, waitFor } from "../support/live.ts";

/** A link on which the broker goes on to speak, and stops to listen: as RabbitMQ 3.10 can be left by a deleted queue. */
function deafLink(port: number): { readonly port: number; deafen(): void; close(): Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sockets = new Set<Deno.TcpConn>();
  const deaf = new Set<Deno.TcpConn>();
  async function pump(from: Deno.TcpConn, to: Deno.TcpConn, heard: () => boolean): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
        for (let sent = 0; heard() && sent < size;) sent += await to.write(buffer.subarray(sent, size));
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
    async close() {
      listener.close();
      for (const socket of sockets) if (sockets.delete(socket)) socket.close();
      await Promise.all([accepting, ...joined]);
    },
  };
}

live(
  "A link on which nothing is confirmed any more is given up, and idempotent calls get their result",
  async ({ url, queue }) => {
    const double = procedure({ queue, queueType: "classic", request: integer(), reply: integer(), idempotent: true });
    await using server = await RpcServer.connect(url);
    await server.serve(double, (n) => 2 * n);
    const link = deafLink(Number(new URL(url).port || 5672));
    const through = new URL(url);
    through.port = String(link.port);
    // So that it is the watch that notices, and not a heartbeat.
    through.searchParams.set("heartbeat", "60");
    const events: ClientEvent[] = [];
    {
      await using client = await RpcClient.connect(through.href, {
        heartbeat: 1,
        onEvent: (event) => events.push(event),
      });
      assertEquals(await client.call(double, 1), 2);
      link.deafen();
      assertEquals(await client.call(double, 2, { timeout: 20_000 }), 4);
      await waitFor("it has connected again", () => events.filter(({ type }) => type === "connected").length === 2);
      const lost = events.find((event) => event.type === "disconnected");
      assertStringIncludes(String(lost?.type === "disconnected" && lost.error.message), "confirmed nothing");
    }
    await link.close();
  },
);
