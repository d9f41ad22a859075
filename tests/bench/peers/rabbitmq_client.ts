import { Connection } from "rabbitmq-client";
import { closedLoop, type Peer } from "../peer.ts";

/** RPCClient of rabbitmq-client, and its consumer's own `reply`. */
export function rabbitmqClient(options: { noDelay?: boolean }): Peer {
  return {
    async serve({ url, queue, queueKind, prefetch }) {
      const consumer = new Connection({ url, ...options }).createConsumer({
        queue,
        queueOptions: { durable: true, arguments: { "x-queue-type": queueKind } },
        qos: { prefetchCount: prefetch },
      }, async ({ body }, reply) => await reply(body));
      await new Promise<void>((resolve, reject) => {
        consumer.on("ready", resolve);
        consumer.on("error", reject);
      });
    },
    connect(load) {
      const client = new Connection({ url: load.url, ...options }).createRPCClient();
      return Promise.resolve(closedLoop(load, async (request) => (await client.send(load.queue, request)).body));
    },
  };
}
