import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { AMQPSession } from "@cloudamqp/amqp-client";
import { closedLoop, type Load, type Peer } from "../peer.ts";

/** @cloudamqp/amqp-client has no option for it, and nobody shall say that it was held back. */
function setNoDelayFromOutside(): void {
  subscribe("net.client.socket", (message) => {
    (message as { socket: Socket }).socket.setNoDelay(true);
  });
}

/** RPC client and server of @cloudamqp/amqp-client. */
export function cloudamqp(options: { noDelay?: boolean }): Peer {
  async function open({ url }: Load): Promise<AMQPSession> {
    if (options.noDelay) setNoDelayFromOutside();
    return await AMQPSession.connect(url);
  }
  return {
    async serve(load) {
      const session = await open(load);
      await session.queue(load.queue, { durable: true, arguments: { "x-queue-type": load.queueKind } });
      await session.rpcServer(load.queue, (message) => message.bodyString(), load.prefetch);
    },
    async connect(load) {
      const client = await (await open(load)).rpcClient();
      return closedLoop(load, async (request) => (await client.call(load.queue, request)).bodyString() ?? "");
    },
  };
}
