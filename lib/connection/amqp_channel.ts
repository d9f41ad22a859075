import { Buffer } from "node:buffer";
import type { Channel as AmqplibChannel, Message } from "amqplib";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { fromByteString } from "../wire/byte_string.ts";
import type { Confirm, Publish } from "../wire/message.ts";
import { toDelivery, toPublishOptions, toReturned } from "./amqplib_message.ts";
import {
  type Channel,
  ChannelClosedError,
  type ChannelListener,
  type ConsumeOptions,
  type QueueCounts,
  type QueueDeclaration,
} from "./channel.ts";
import type { FrameTransport } from "./frame_transport.ts";

/** The number of a channel; amqplib has it, but not in its types. */
function numberOf(channel: AmqplibChannel): number {
  return (channel as unknown as { readonly ch: number }).ch;
}

function toBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/**
 * A channel of amqplib: its messages and acks go through the codec of `lib/wire`, all else through amqplib. Without a
 * {@linkcode FrameTransport}, everything goes through amqplib.
 */
export class AmqpChannel implements Channel {
  readonly #channel: AmqplibChannel;
  readonly #number: number;
  readonly #transport: FrameTransport | undefined;
  readonly #patience: number;
  #listener: ChannelListener = {};
  readonly #onClosed: ((refusal: Error | undefined) => void)[] = [];
  #closed = false;
  #refusal: Error | undefined;

  /** @param patience How long the broker may take for an answer, in ms. */
  constructor(channel: AmqplibChannel, transport: FrameTransport | undefined, patience: number) {
    this.#channel = channel;
    this.#patience = patience;
    this.#number = numberOf(channel);
    this.#transport = transport;
    channel.on("error", (error) => this.#refusal = error);
    // RabbitMQ 4.3 ends a consumer again for each request that exceeds its timeout; at the second time, amqplib's own
    // listener would close the connection.
    channel.removeAllListeners("cancel");
    channel.on("cancel", () => this.#listener.consumerCanceled?.());
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

  get closed(): boolean {
    return this.#closed || this.#transport?.failed === true;
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener;
  }

  onClosed(closed: (refusal: Error | undefined) => void): void {
    this.#onClosed.push(closed);
  }

  publish(message: Publish): boolean {
    this.#assertOpen();
    if (this.#transport !== undefined) return this.#transport.publish(this.#number, message);
    const { exchange, routingKey, body } = message;
    const options = toPublishOptions(message);
    return this.#channel.publish(fromByteString(exchange), fromByteString(routingKey), toBuffer(body), options);
  }

  ack(deliveryTag: number, multiple: boolean): void {
    if (this.#closed) return;
    if (this.#transport !== undefined) this.#transport.ack(this.#number, deliveryTag, multiple);
    else this.#unlessClosed(() => this.#channel.ack(tagged(deliveryTag), multiple));
  }

  nack(deliveryTag: number, requeue: boolean): void {
    if (this.#closed) return;
    if (this.#transport !== undefined) this.#transport.nack(this.#number, deliveryTag, requeue);
    else this.#unlessClosed(() => this.#channel.nack(tagged(deliveryTag), false, requeue));
  }

  async consume(queue: string, options: ConsumeOptions = {}): Promise<string> {
    const consuming = this.#channel.consume(queue, (message) => {
      // Only without a transport: with one, amqplib gets no messages.
      if (message !== null) this.#listener.delivered?.(toDelivery(message));
    }, options);
    const { consumerTag } = await this.#answer("consume", consuming);
    return consumerTag;
  }

  async cancel(consumerTag: string): Promise<void> {
    await this.#answer("end a consumer", this.#channel.cancel(consumerTag));
  }

  async prefetch(count: number): Promise<void> {
    await this.#answer("set the prefetch", this.#channel.prefetch(count));
  }

  assertQueue(queue: string, options: QueueDeclaration): Promise<QueueCounts> {
    return this.#answer("declare a queue", this.#channel.assertQueue(queue, options));
  }

  checkQueue(queue: string): Promise<QueueCounts> {
    return this.#answer("inspect a queue", this.#channel.checkQueue(queue));
  }

  async assertDirectExchange(exchange: string): Promise<void> {
    await this.#answer("declare an exchange", this.#channel.assertExchange(exchange, "direct", { durable: true }));
  }

  async bindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#answer("bind a queue", this.#channel.bindQueue(queue, exchange, routingKey));
  }

  async unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#answer("unbind a queue", this.#channel.unbindQueue(queue, exchange, routingKey));
  }

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
    if (this.closed) throw new ChannelClosedError("The channel is closed");
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
