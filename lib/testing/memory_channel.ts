import {
  type Channel,
  ChannelClosedError,
  type ChannelListener,
  type ConsumeOptions,
  type QueueCounts,
  type QueueDeclaration,
} from "../connection/channel.ts";
import type { Publish } from "../wire/message.ts";
import type { MemoryBroker, Refusal } from "./memory_broker.ts";
import { store, type StoredMessage, toDelivery, toReturned } from "./memory_message.ts";
import type { MemoryQueue, QueueConsumer, QueuedMessage } from "./memory_queue.ts";

/** A message that was delivered on a channel and is not acknowledged yet. */
interface Unacked {
  readonly queue: MemoryQueue;
  readonly queued: QueuedMessage;
}

/** A channel to a broker in memory. Everything that is written on it takes effect later, in order. */
export class MemoryChannel implements Channel {
  readonly #broker: MemoryBroker;
  readonly #link: object;
  readonly #confirms: boolean;
  readonly #onClosed: ((refusal: Error | undefined) => void)[] = [];
  readonly #unacked = new Map<number, Unacked>();
  #listener: ChannelListener = {};
  #consuming: { readonly tag: string; readonly queue: MemoryQueue; readonly consumer: QueueConsumer } | undefined;
  #prefetch = 0;
  #published = 0;
  #delivered = 0;
  /** Whether this side has closed it. */
  #closed = false;
  /** Whether the broker has closed it. */
  #ended = false;

  /**
   * @param link What exclusive queues belong to.
   * @param confirms Whether the broker confirms what is published.
   */
  constructor(broker: MemoryBroker, link: object, confirms: boolean) {
    this.#broker = broker;
    this.#link = link;
    this.#confirms = confirms;
  }

  get closed(): boolean {
    return this.#closed;
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener;
  }

  onClosed(closed: (refusal: Error | undefined) => void): void {
    this.#onClosed.push(closed);
  }

  publish(message: Publish): boolean {
    if (this.#closed) throw new ChannelClosedError("The channel is closed");
    const stored = store(message);
    const deliveryTag = ++this.#published;
    this.#post(() => this.#route(stored, deliveryTag));
    return true;
  }

  ack(deliveryTag: number, multiple: boolean): void {
    if (this.#closed) return;
    this.#post(() => {
      const tags = multiple ? Array.from(this.#unacked.keys()).filter((tag) => tag <= deliveryTag) : [deliveryTag];
      for (const tag of tags) this.#settle(tag, false);
    });
  }

  nack(deliveryTag: number, requeue: boolean): void {
    if (!this.#closed) this.#post(() => this.#settle(deliveryTag, requeue));
  }

  consume(name: string, { noAck = false }: ConsumeOptions = {}): Promise<string> {
    return this.#ask(() => {
      const queue = this.#broker.find(name, this.#link);
      const tag = crypto.randomUUID();
      // The prefetch at this time counts; 0 is no limit.
      const limit = noAck || this.#prefetch === 0 ? Infinity : this.#prefetch;
      const consumer: QueueConsumer = {
        hasRoom: () => this.#unacked.size < limit,
        deliver: (queued) => this.#deliver(queued, queue, tag, noAck),
      };
      this.#consuming = { tag, queue, consumer };
      queue.consume(consumer);
      return tag;
    });
  }

  cancel(consumerTag: string): Promise<void> {
    return this.#ask(() => {
      if (this.#consuming?.tag === consumerTag) this.stopConsuming();
    });
  }

  prefetch(count: number): Promise<void> {
    return this.#ask(() => void (this.#prefetch = count));
  }

  assertQueue(queue: string, declaration: QueueDeclaration): Promise<QueueCounts> {
    return this.#ask(() => this.#broker.declare(queue, declaration, this.#link).state);
  }

  checkQueue(queue: string): Promise<QueueCounts> {
    return this.#ask(() => this.#broker.find(queue, this.#link).state);
  }

  assertDirectExchange(exchange: string): Promise<void> {
    return this.#ask(() => this.#broker.declareExchange(exchange));
  }

  bindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    return this.#ask(() => void this.#broker.bindings(exchange, routingKey).add(this.#broker.find(queue, this.#link)));
  }

  unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    return this.#ask(() =>
      void this.#broker.bindings(exchange, routingKey).delete(this.#broker.find(queue, this.#link))
    );
  }

  close(): Promise<void> {
    this.#closed = true;
    return new Promise((resolve) =>
      this.#broker.post(() => {
        this.end(undefined);
        resolve();
      })
    );
  }

  /** Removes its consumer from the queue. */
  stopConsuming(): void {
    this.#consuming?.queue.cancel(this.#consuming.consumer);
    this.#consuming = undefined;
  }

  /** Ends it on the broker's side: what is not acknowledged goes back to its queue. */
  end(refusal: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = this.#closed = true;
    this.stopConsuming();
    const unacked = Array.from(this.#unacked.values());
    for (const queue of new Set(unacked.map(({ queue }) => queue))) {
      queue.requeue(unacked.filter((one) => one.queue === queue).map(({ queued }) => queued));
    }
    for (const closed of this.#onClosed) closed(refusal);
  }

  #route(message: StoredMessage, deliveryTag: number): void {
    let queues: readonly MemoryQueue[];
    try {
      queues = this.#broker.route(message);
    } catch (error) {
      this.end(error as Refusal);
      return;
    }
    if (queues.length === 0 && message.mandatory) this.#listener.returned?.(toReturned(message));
    const refused = queues.filter((queue) => !queue.push(message));
    if (this.#confirms) this.#listener.confirmed?.({ deliveryTag, multiple: false, nack: refused.length > 0 });
  }

  #deliver(queued: QueuedMessage, queue: MemoryQueue, consumerTag: string, noAck: boolean): void {
    const deliveryTag = ++this.#delivered;
    if (!noAck) this.#unacked.set(deliveryTag, { queue, queued });
    if (this.#closed) return;
    const { message, returns } = queued;
    const deliveryCount = queue.counts ? returns : undefined;
    const redelivered = returns > 0;
    this.#listener.delivered?.(toDelivery(message, { consumerTag, deliveryTag, redelivered, deliveryCount }));
  }

  #settle(deliveryTag: number, requeue: boolean): void {
    const unacked = this.#unacked.get(deliveryTag);
    if (unacked === undefined) return;
    this.#unacked.delete(deliveryTag);
    if (requeue) unacked.queue.requeue([unacked.queued]);
    else unacked.queue.deliver();
  }

  /** Does something on the broker's side, unless the channel has ended by then. */
  #post(task: () => void): void {
    this.#broker.post(() => this.#ended || task());
  }

  /** Asks the broker; if it refuses, the channel ends. */
  #ask<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) =>
      this.#broker.post(() => {
        if (this.#ended) {
          reject(new ChannelClosedError("The channel is closed"));
          return;
        }
        try {
          resolve(work());
        } catch (error) {
          reject(error);
          this.end(error as Refusal);
        }
      })
    );
  }
}
