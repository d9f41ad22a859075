import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";
import type { QueueDeclaration } from "../connection/channel.ts";
import { fromByteString } from "../wire/byte_string.ts";
import type { StoredMessage } from "./memory_message.ts";
import { MemoryQueue } from "./memory_queue.ts";

const NAMES = { 404: "NOT_FOUND", 405: "RESOURCE_LOCKED", 406: "PRECONDITION_FAILED" } as const;

/** Why the broker closes a channel, in the form of amqplib's errors. */
export class Refusal extends Error {
  override name = "Refusal";
  /** AMQP's reply code. */
  readonly code: keyof typeof NAMES;

  constructor(code: keyof typeof NAMES, text: string) {
    super(`Channel closed by server: ${code} (${NAMES[code]}) with message "${NAMES[code]} - ${text}"`);
    this.code = code;
  }
}

/** What RabbitMQ does for this library, in memory: queues, direct exchanges, and the order in which all happens. */
export class MemoryBroker {
  readonly #queues = new Map<string, MemoryQueue>();
  /** The queues that are bound to an exchange, by exchange and routing key. */
  readonly #exchanges = new Map<string, Map<string, Set<MemoryQueue>>>();
  /** As over a socket, a caller's asynchronous context does not reach the handler. */
  readonly #runDetached = AsyncLocalStorage.snapshot();
  #tasks: (() => void)[] = [];

  /** Runs a task after all earlier ones, in a turn of its own: what is published is never delivered synchronously. */
  post(task: () => void): void {
    this.#tasks.push(task);
    // Not a microtask: timers and other work must get their turn, as beside a socket.
    if (this.#tasks.length === 1) this.#runDetached(() => setImmediate(() => this.#runTasks()));
  }

  #runTasks(): void {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
  }

  /**
   * Declares a queue.
   *
   * @param name Its name; the broker names it if this is empty.
   * @param link The link that declares it.
   * @throws {Refusal} If it is there with other settings, or exclusive to another link.
   */
  declare(name: string, declaration: QueueDeclaration, link: object): MemoryQueue {
    if (this.#queues.has(name)) {
      const queue = this.find(name, link);
      assertEquivalent(queue, declaration);
      return queue;
    }
    const named = name === "" ? `amq.gen-${crypto.randomUUID()}` : name;
    const queue = new MemoryQueue(named, declaration, declaration.exclusive === true ? link : undefined);
    this.#queues.set(named, queue);
    return queue;
  }

  /**
   * A queue that a link may use.
   *
   * @throws {Refusal} If there is none, or it is exclusive to another link.
   */
  find(name: string, link: object): MemoryQueue {
    const queue = this.#queues.get(name);
    if (queue === undefined) throw new Refusal(404, `no queue '${name}' in vhost '/'`);
    if (queue.owner !== undefined && queue.owner !== link) {
      throw new Refusal(405, `cannot obtain exclusive access to locked queue '${name}' in vhost '/'`);
    }
    return queue;
  }

  /** Declares a direct exchange. */
  declareExchange(exchange: string): void {
    if (!this.#exchanges.has(exchange)) this.#exchanges.set(exchange, new Map());
  }

  /** The queues that are bound to an exchange under a key; the set may be changed. */
  bindings(exchange: string, routingKey: string): Set<MemoryQueue> {
    const bound = this.#exchanges.get(exchange);
    if (bound === undefined) throw new Refusal(404, `no exchange '${exchange}' in vhost '/'`);
    let queues = bound.get(routingKey);
    if (queues === undefined) bound.set(routingKey, queues = new Set());
    return queues;
  }

  /**
   * The queues that a message goes to.
   *
   * @throws {Refusal} If there is no such exchange.
   */
  route(message: StoredMessage): readonly MemoryQueue[] {
    const exchange = fromByteString(message.exchange);
    const routingKey = fromByteString(message.routingKey);
    if (exchange !== "") return Array.from(this.bindings(exchange, routingKey));
    const queue = this.#queues.get(routingKey);
    return queue === undefined ? [] : [queue];
  }

  /** Deletes the queues that are exclusive to a link. */
  deleteQueuesOf(link: object): void {
    const deleted = Array.from(this.#queues.values()).filter(({ owner }) => owner === link);
    for (const queue of deleted) {
      this.#queues.delete(queue.name);
      for (const bound of this.#exchanges.values()) for (const queues of bound.values()) queues.delete(queue);
    }
  }
}

function assertEquivalent({ name, declaration: present }: MemoryQueue, asked: QueueDeclaration): void {
  const { durable = true } = asked;
  const current = present.durable ?? true;
  if (durable !== current) {
    throw new Refusal(406, inequivalent("durable", name, durable, current));
  }
  const names = new Set([...Object.keys(present.arguments ?? {}), ...Object.keys(asked.arguments ?? {})]);
  for (const argument of names) {
    const received = asked.arguments?.[argument];
    const current = present.arguments?.[argument];
    if (received !== current) {
      throw new Refusal(406, inequivalent(argument, name, received ?? "none", current ?? "none"));
    }
  }
}

function inequivalent(argument: string, queue: string, received: unknown, current: unknown): string {
  return `inequivalent arg '${argument}' for queue '${queue}' in vhost '/': received '${received}' but current is '${current}'`;
}
