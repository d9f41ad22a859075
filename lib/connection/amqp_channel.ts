import { Buffer } from "node:buffer";
import type { Channel, ConsumeMessage, Message, Options, Replies } from "amqplib";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { fromByteString } from "../wire/byte_string.ts";
import type { Confirm, Delivery, Publish, Returned } from "../wire/message.ts";
import { toDelivery, toPublishOptions, toReturned } from "./amqplib_message.ts";
import type { FrameTransport } from "./frame_transport.ts";

/** Callbacks of a channel; they are called synchronously, in order, and must not throw. */
export interface ChannelListener {
  /** A message for the channel's consumer. */
  delivered?(delivery: Delivery): void;
  /** The broker has ended the consumer: its queue was deleted, or moved. */
  consumerCanceled?(): void;
  /** A mandatory message that could not be routed. */
  returned?(returned: Returned): void;
  /** The broker has confirmed or refused what was published. */
  confirmed?(confirm: Confirm): void;
  /** Writing may continue after {@linkcode AmqpChannel.publish} returned false. */
  writable?(): void;
}

/** Thrown by {@linkcode AmqpChannel.publish} if the channel is closed. */
export class ChannelClosedError extends Error {
  override name = "ChannelClosedError";
}

/** The number of a channel; amqplib has it, but not in its types. */
function numberOf(channel: Channel): number {
  return (channel as unknown as { readonly ch: number }).ch;
}

function toBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/**
 * A channel of AMQP 0-9-1: its messages and acks go through the codec of `lib/wire`, all else through amqplib. Without a
 * {@linkcode FrameTransport}, everything goes through amqplib.
 */
export class AmqpChannel {
  readonly #channel: Channel;
  readonly #number: number;
  readonly #transport: FrameTransport | undefined;
  readonly #patience: number;
  #listener: ChannelListener = {};
  readonly #onClosed: ((refusal: Error | undefined) => void)[] = [];
  #closed = false;
  #refusal: Error | undefined;

  /** @param patience How long the broker may take for an answer, in ms. */
  constructor(channel: Channel, transport: FrameTransport | undefined, patience: number) {
    this.#channel = channel;
    this.#patience = patience;
    this.#number = numberOf(channel);
    this.#transport = transport;
    channel.on("error", (error) => this.#refusal = error);
    channel.on("close", () => {
      this.#closed = true;
      transport?.release(this.#number);
      for (const closed of this.#onClosed) closed(this.#refusal);
    });
    if (transport === undefined) this.#listenToAmqplib();
    else {
      transport.take(this.#number, {
        delivered: (delivery) => this.#closed || this.#listener.delivered?.(delivery),
        returned: (returned) => this.#listener.returned?.(returned),
        confirmed: (confirm) => this.#listener.confirmed?.(confirm),
        violated: (reason) => transport.fail(`the broker broke the protocol: ${reason}`),
        writable: () => this.#listener.writable?.(),
      });
    }
  }

  /** Whether the channel is closed, or this side has begun to close it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Sets the callbacks of the channel; the last ones set are called. */
  listen(listener: ChannelListener): void {
    this.#listener = listener;
  }

  /** Calls `closed` once when the channel is gone, with the broker's reason if it gave one. */
  onClosed(closed: (refusal: Error | undefined) => void): void {
    this.#onClosed.push(closed);
  }

  /**
   * Publishes a message.
   *
   * @returns Whether more may be written now; if not, `writable` is called later.
   * @throws {ChannelClosedError} If the channel is closed.
   * @throws {RangeError | TypeError} If the message cannot be encoded; nothing is written then.
   */
  publish(message: Publish): boolean {
    this.#assertOpen();
    if (this.#transport !== undefined) return this.#transport.publish(this.#number, message);
    const { exchange, routingKey, body } = message;
    const options = toPublishOptions(message);
    return this.#channel.publish(fromByteString(exchange), fromByteString(routingKey), toBuffer(body), options);
  }

  /** Acknowledges a delivery; with `multiple` also all before it. Ignored on a closed channel: the broker redelivers. */
  ack(deliveryTag: number, multiple: boolean): void {
    if (this.#closed) return;
    if (this.#transport !== undefined) this.#transport.ack(this.#number, deliveryTag, multiple);
    else this.#unlessClosed(() => this.#channel.ack(tagged(deliveryTag), multiple));
  }

  /** Rejects a delivery: to the dead-letter exchange, or back to the queue. Ignored on a closed channel. */
  nack(deliveryTag: number, requeue: boolean): void {
    if (this.#closed) return;
    if (this.#transport !== undefined) this.#transport.nack(this.#number, deliveryTag, requeue);
    else this.#unlessClosed(() => this.#channel.nack(tagged(deliveryTag), false, requeue));
  }

  /** Consumes a queue; a channel has one consumer at a time. */
  async consume(queue: string, options: Options.Consume = {}): Promise<string> {
    const consuming = this.#channel.consume(queue, (message) => {
      if (message === null) this.#listener.consumerCanceled?.();
      // Only without a transport: with one, amqplib gets no messages.
      else this.#listener.delivered?.(toDelivery(message as ConsumeMessage));
    }, options);
    const { consumerTag } = await this.#answer("consume", consuming);
    return consumerTag;
  }

  /** Ends a consumer. */
  async cancel(consumerTag: string): Promise<void> {
    await this.#answer("end a consumer", this.#channel.cancel(consumerTag));
  }

  /** Limits how many unacknowledged deliveries later consumers get. */
  async prefetch(count: number): Promise<void> {
    await this.#answer("set the prefetch", this.#channel.prefetch(count));
  }

  /** Declares a queue. */
  assertQueue(queue: string, options: Options.AssertQueue): Promise<Replies.AssertQueue> {
    return this.#answer("declare a queue", this.#channel.assertQueue(queue, options));
  }

  /** Asks for a queue without declaring it (a passive declare); the broker closes the channel if there is none. */
  checkQueue(queue: string): Promise<Replies.AssertQueue> {
    return this.#answer("inspect a queue", this.#channel.checkQueue(queue));
  }

  /** Declares a durable direct exchange. */
  async assertDirectExchange(exchange: string): Promise<void> {
    await this.#answer("declare an exchange", this.#channel.assertExchange(exchange, "direct", { durable: true }));
  }

  /** Routes what is published to the exchange under the key to the queue. */
  async bindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#answer("bind a queue", this.#channel.bindQueue(queue, exchange, routingKey));
  }

  /** Ends what {@linkcode AmqpChannel.bindQueue} began. */
  async unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#answer("unbind a queue", this.#channel.unbindQueue(queue, exchange, routingKey));
  }

  /** Closes the channel. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const closing = this.#channel.close();
    this.#closed = true;
    await closing;
  }

  /** A broker that answers heartbeats may still never answer what it is asked. */
  async #answer<T>(action: string, asked: PromiseLike<T>): Promise<T> {
    const answer = Promise.resolve(asked);
    if (await settlesWithin(answer, this.#patience)) return await answer;
    const text = `Cannot ${action}: the broker did not answer within ${this.#patience} ms`;
    throw new RpcError("unavailable", text, { outcome: "not_executed" });
  }

  #assertOpen(): void {
    if (this.#closed) throw new ChannelClosedError("The channel is closed");
  }

  /** amqplib refuses writes as soon as it closes a channel, but emits "close" only later. */
  #unlessClosed(write: () => void): void {
    try {
      write();
    } catch {
      this.#closed = true;
    }
  }

  #listenToAmqplib(): void {
    const channel = this.#channel;
    channel.on("return", (message: Message) => this.#listener.returned?.(toReturned(message)));
    channel.on("drain", () => this.#listener.writable?.());
    for (const event of ["ack", "nack"] as const) {
      channel.on(event, ({ deliveryTag, multiple }: Confirm) => {
        this.#listener.confirmed?.({ deliveryTag, multiple, nack: event === "nack" });
      });
    }
  }
}

/** The part of a message that amqplib reads in order to acknowledge it. */
function tagged(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}
