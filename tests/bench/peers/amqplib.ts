import { Buffer } from "node:buffer";
import { connect } from "amqplib";
import { closedLoop, type Peer } from "../peer.ts";

/** Plain amqplib, as RabbitMQ's tutorial six writes it; it guarantees nothing. */
export function amqplib(options: { noDelay?: boolean }): Peer {
  return {
    async serve({ url, queue, queueKind, prefetch }) {
      const channel = await (await connect(url, options)).createChannel();
      await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": queueKind } });
      await channel.prefetch(prefetch);
      await channel.consume(queue, (message) => {
        if (message === null) return;
        const { replyTo, correlationId } = message.properties;
        channel.sendToQueue(replyTo, Buffer.from(message.content.toString()), { correlationId });
        channel.ack(message);
      });
    },
    async connect(load) {
      const channel = await (await connect(load.url, options)).createChannel();
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      const waiting = new Map<string, (reply: string) => void>();
      await channel.consume(replyTo, (message) => {
        if (message === null) return;
        const { correlationId } = message.properties;
        waiting.get(correlationId)?.(message.content.toString());
        waiting.delete(correlationId);
      }, { noAck: true });
      return closedLoop(load, (request) =>
        new Promise((resolve) => {
          const correlationId = crypto.randomUUID();
          waiting.set(correlationId, resolve);
          channel.sendToQueue(load.queue, Buffer.from(request), { correlationId, replyTo });
        }));
    },
  };
}
