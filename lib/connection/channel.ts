import type { Confirm, Delivery, Publish, Returned } from "../wire/message.ts";

/** Callbacks of a channel; they are called synchronously, in order, and must not throw. */
export interface ChannelListener {
  /** A message for the channel's consumer. */
  delivered?(delivery: Delivery): void;
  /** The broker has ended the consumer: its queue was deleted or moved, or its timeout has passed; may come again. */
  consumerCanceled?(): void;
  /** A mandatory message that could not be routed. */
  returned?(returned: Returned): void;
  /** The broker has confirmed or refused what was published. */
  confirmed?(confirm: Confirm): void;
  /** Writing may continue after {@linkcode Channel.publish} returned false. */
  writable?(): void;
}

/** Thrown by {@linkcode Channel.publish} if the channel is closed. */
export class ChannelClosedError extends Error {
  override name = "ChannelClosedError";
}

/** Options of {@linkcode Channel.consume}. */
export interface ConsumeOptions {
  /** Whether deliveries count as acknowledged when they are sent. */
  readonly noAck?: boolean;
  /** Whether the queue may have no other consumer. */
  readonly exclusive?: boolean;
  /** The arguments of the consumer, such as `x-consumer-timeout`. */
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** Options of {@linkcode Channel.assertQueue}. */
export interface QueueDeclaration {
  /** Whether the queue survives a restart of the broker. */
  readonly durable?: boolean;
  /** Whether the queue belongs to this connection, and is deleted with it. */
  readonly exclusive?: boolean;
  /** Whether the queue is deleted when its last consumer is gone. */
  readonly autoDelete?: boolean;
  /** Its arguments, such as `x-queue-type`. */
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** The broker's answer about a queue. */
export interface QueueCounts {
  readonly queue: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** A channel of AMQP 0-9-1, as far as it is used here (https://www.rabbitmq.com/docs/channels). */
export interface Channel {
  /**
   * Whether the channel is closed, or this side has begun to close it, or nothing reaches the broker any more. In the last
   * case, what it sent before may still be delivered.
   */
  readonly closed: boolean;
  /** Sets the callbacks of the channel; the last ones set are called. */
  listen(listener: ChannelListener): void;
  /** Calls `closed` once when the channel is gone, with the broker's reason if it gave one. */
  onClosed(closed: (refusal: Error | undefined) => void): void;
  /**
   * Publishes a message.
   *
   * @returns Whether more may be written now; if not, `writable` is called later.
   * @throws {ChannelClosedError} If the channel is closed, as `closed` says.
   * @throws {RangeError | TypeError} If the message cannot be encoded; nothing is written then.
   */
  publish(message: Publish): boolean;
  /** Acknowledges a delivery; with `multiple` also all before it. Ignored on a closed channel: the broker redelivers. */
  ack(deliveryTag: number, multiple: boolean): void;
  /** Rejects a delivery: to the dead-letter exchange, or back to the queue. Ignored on a closed channel. */
  nack(deliveryTag: number, requeue: boolean): void;
  /** Consumes a queue; a channel has one consumer at a time. Resolves with the consumer's tag. */
  consume(queue: string, options?: ConsumeOptions): Promise<string>;
  /** Ends a consumer. */
  cancel(consumerTag: string): Promise<void>;
  /** Limits how many unacknowledged deliveries later consumers get. */
  prefetch(count: number): Promise<void>;
  /** Declares a queue; the broker names it if `queue` is empty. */
  assertQueue(queue: string, options: QueueDeclaration): Promise<QueueCounts>;
  /** Asks for a queue without declaring it (a passive declare); the broker closes the channel if there is none. */
  checkQueue(queue: string): Promise<QueueCounts>;
  /** Declares a durable direct exchange. */
  assertDirectExchange(exchange: string): Promise<void>;
  /** Routes what is published to the exchange under the key to the queue. */
  bindQueue(queue: string, exchange: string, routingKey: string): Promise<void>;
  /** Ends what {@linkcode Channel.bindQueue} began. */
  unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void>;
  /** Closes the channel. */
  close(): Promise<void>;
}
