/**
 * A peer that sends and receives the properties of messages as bytes, which amqplib cannot.
 *
 * @module
 */

import { Connection } from "../../lib/connection/connection.ts";
import type { Channel } from "../../lib/connection/channel.ts";
import type { Delivery, Publish, PublishProperties } from "../../lib/wire/message.ts";

const encoder = new TextEncoder();

/** A connection of its own, with an exclusive queue for replies. */
export interface Peer extends AsyncDisposable {
  readonly channel: Channel;
  /** The name of its queue, which the broker has chosen. */
  readonly queue: string;
  /** What came to its queue so far, unless `onReply` takes it. */
  readonly replies: readonly Delivery[];
  /** Publishes a message that must not be refused. */
  publish(message: Publish): void;
}

/** A message to a queue. */
export function toQueue(queue: string, body: string | Uint8Array, properties: PublishProperties = {}): Publish {
  const content = typeof body === "string" ? encoder.encode(body) : body;
  return { exchange: "", routingKey: queue, mandatory: false, properties, body: content };
}

/** Connects a peer. */
export async function connectPeer(url: string, onReply?: (reply: Delivery) => void): Promise<Peer> {
  await using opened = new AsyncDisposableStack();
  let lost: string | undefined;
  const connection = await Connection.open(url, {}, (event) => {
    if (event.type === "disconnected") lost = event.error.message;
  });
  opened.defer(() => connection.close());
  const channel = await connection.channel("be a peer");
  channel.onClosed((refusal) => lost ??= refusal?.message);
  const replies: Delivery[] = [];
  channel.listen({
    delivered: (reply) => onReply === undefined ? replies.push(reply) : onReply(reply),
  });
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.consume(queue, { noAck: true });
  const kept = opened.move();
  return {
    channel,
    queue,
    replies,
    publish: (message) => {
      if (lost !== undefined) throw new Error(`Cannot publish: ${lost}`);
      channel.publish(message);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Publishes a message over a connection of its own, and says why the broker closed that or its channel, if it did. */
export async function publishAlone(url: string, message: Publish): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const connection = await Connection.open(url, {}, () => {});
  const channel = await connection.channel("publish alone", true);
  channel.onClosed((refusal) => resolve(refusal?.message ?? "the connection was lost"));
  channel.listen({ confirmed: () => resolve(undefined) });
  channel.publish(message);
  const refusal = await promise;
  await connection.close();
  return refusal;
}
