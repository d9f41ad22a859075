import type { QueueCounts, QueueDeclaration } from "../connection/channel.ts";
import { type StoredMessage, timeToLive } from "./memory_message.ts";

/** A message in a queue, or delivered and not acknowledged yet. */
export interface QueuedMessage {
  readonly message: StoredMessage;
  /** Its place in the queue. */
  readonly number: number;
  /** When it expires, on the clock of `performance.now()`. */
  readonly expiresAt: number;
  /** How often it was returned to the queue. */
  returns: number;
}

/** One consumer of a queue. */
export interface QueueConsumer {
  /** Whether it may get one more message. */
  hasRoom(): boolean;
  deliver(queued: QueuedMessage): void;
}

function limit(declaration: QueueDeclaration, name: string): number {
  const value = declaration.arguments?.[name];
  return typeof value === "number" ? value : Infinity;
}

/** One queue of a broker in memory. Messages go to the consumers in turn, and expire at the head of the queue. */
export class MemoryQueue {
  readonly name: string;
  readonly declaration: QueueDeclaration;
  /** The link to which it is exclusive, if it is. */
  readonly owner: object | undefined;
  /** In the order of their numbers. */
  #messages: QueuedMessage[] = [];
  #consumers: QueueConsumer[] = [];
  #lastNumber = 0;

  constructor(name: string, declaration: QueueDeclaration, owner: object | undefined) {
    this.name = name;
    this.declaration = declaration;
    this.owner = owner;
  }

  /** Whether it counts deliveries, as quorum queues do. */
  get counts(): boolean {
    return this.declaration.arguments?.["x-queue-type"] === "quorum";
  }

  /** What a broker tells about it. */
  get state(): QueueCounts {
    this.#expire();
    return { queue: this.name, messageCount: this.#messages.length, consumerCount: this.#consumers.length };
  }

  /** Takes a message; returns false if the queue is full. */
  push(message: StoredMessage): boolean {
    const { declaration } = this;
    this.#expire();
    if (this.#messages.length >= limit(declaration, "x-max-length")) return false;
    const ttl = Math.min(timeToLive(message), limit(declaration, "x-message-ttl"));
    this.#messages.push({ message, number: ++this.#lastNumber, expiresAt: performance.now() + ttl, returns: 0 });
    this.deliver();
    return true;
  }

  /** Takes back what was not acknowledged. */
  requeue(returned: readonly QueuedMessage[]): void {
    for (const queued of returned) queued.returns++;
    this.#messages.push(...returned);
    this.#messages.sort((a, b) => a.number - b.number);
    this.deliver();
  }

  /** Adds a consumer. */
  consume(consumer: QueueConsumer): void {
    this.#consumers.push(consumer);
    this.deliver();
  }

  /** Removes a consumer. */
  cancel(consumer: QueueConsumer): void {
    this.#consumers = this.#consumers.filter((other) => other !== consumer);
  }

  /** Delivers what the consumers have room for. */
  deliver(): void {
    for (;;) {
      this.#expire();
      const consumer = this.#consumers.find((candidate) => candidate.hasRoom());
      const queued = consumer === undefined ? undefined : this.#messages.shift();
      if (consumer === undefined || queued === undefined) return;
      // Behind the others: consumers get messages in turn.
      this.cancel(consumer);
      this.#consumers.push(consumer);
      consumer.deliver(queued);
    }
  }

  #expire(): void {
    const now = performance.now();
    while ((this.#messages[0]?.expiresAt ?? Infinity) <= now) this.#messages.shift();
  }
}
