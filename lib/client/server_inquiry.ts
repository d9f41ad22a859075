import { toRpcError } from "../connection/broker_error.ts";
import type { Channel } from "../connection/channel.ts";
import type { Connection } from "../connection/connection.ts";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import type { QueueInfo, ServerInfo } from "../contract/server_info.ts";
import { infoMessage } from "../wire/control_message.ts";
import type { Delivery } from "../wire/message.ts";
import { DIRECT_REPLY_TO } from "../wire/reply_address.ts";
import { decodeServerInfo } from "../wire/server_info.ts";

/** How much the answers to one question may have in all, in bytes; what comes after it is not read. */
const MAX_ANSWERS_BYTES = 16 * 1024 * 1024;
/** How many servers may answer beside the consumers: those that drain consume no more. */
const MAX_OTHERS = 100;
/** How many servers may answer one question in all. */
const MAX_ANSWERS = 10_000;

/** How long to wait for further answers when all consumers seem to have answered, in ms. */
const GRACE_MS = 50;

/** How servers are asked. */
export interface InquiryOptions {
  /** How long to wait for answers, in ms. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Whether answers come over direct reply-to. */
  readonly direct: boolean;
}

interface Counts {
  readonly messages: number;
  readonly consumers: number;
}

/** Asks the servers of one queue for their figures, over a channel that is closed afterwards. */
export class ServerInquiry {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: InquiryOptions;
  readonly #endsAt: number;
  readonly #action: string;

  constructor(connection: Connection, queue: string, options: InquiryOptions) {
    this.#connection = connection;
    this.#queue = queue;
    this.#options = options;
    this.#endsAt = performance.now() + options.timeout;
    this.#action = `ask the servers of "${queue}"`;
  }

  /**
   * Waits until as many servers have answered as the queue has consumers, at most until the timeout.
   *
   * @throws {RpcError} If the queue does not exist, the broker does not answer, or the signal is aborted.
   */
  async run(): Promise<QueueInfo> {
    const counts = await this.#inTime(this.#count());
    if (counts.consumers === 0) return { ...counts, servers: [] };
    const asked = this.#connection.borrow(this.#action, (channel) => this.#ask(channel, counts.consumers));
    return { ...counts, servers: await this.#inTime(asked) };
  }

  async #count(): Promise<Counts> {
    try {
      const { messageCount, consumerCount } = await this.#connection.borrow(
        this.#action,
        (channel) => channel.checkQueue(this.#queue),
      );
      return { messages: messageCount, consumers: consumerCount };
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== "not_found") throw error;
      throw this.#error("not_found", "the queue does not exist, so start a server for it", error);
    }
  }

  async #ask(channel: Channel, consumers: number): Promise<readonly ServerInfo[]> {
    const { direct, signal } = this.#options;
    const id = crypto.randomUUID();
    const answers = new Map<string, ServerInfo>();
    const most = Math.min(consumers + MAX_OTHERS, MAX_ANSWERS);
    const { promise: done, resolve: finish, reject: fail } = Promise.withResolvers<void>();
    // Nobody awaits it if the queue for the answers cannot be opened.
    done.catch(() => {});
    let askedAt = 0;
    let size = 0;
    let serving = 0;
    let answered = 0;
    let grace: ReturnType<typeof setTimeout> | undefined;
    channel.onClosed((refusal) => {
      const error = this.#lost(refusal);
      // Without the exchange there is no server of this library.
      if (error.code === "not_found") finish();
      else fail(error);
    });
    channel.listen({
      delivered: ({ properties, body }: Delivery) => {
        if (size > MAX_ANSWERS_BYTES || answers.size >= most) return;
        size += body.byteLength;
        const figures = properties.correlationId === id ? decodeServerInfo(body) : undefined;
        if (size > MAX_ANSWERS_BYTES) finish();
        if (figures === undefined || answers.has(figures.id)) return;
        answers.set(figures.id, { ...figures, roundTrip: performance.now() - askedAt });
        if (answers.size >= most) finish();
        // Those that consume no more answer beside the consumers.
        if (figures.consumers === 0) return;
        answered += figures.consumers;
        if (++serving >= consumers) finish();
        // Under overload, servers get further consumers and lose them: their number may be another one by now.
        else if (answered >= consumers) grace ??= setTimeout(finish, GRACE_MS);
      },
    });
    const replyTo = direct ? DIRECT_REPLY_TO : await this.#openQueue(channel);
    await channel.consume(replyTo, { noAck: true });
    askedAt = performance.now();
    const left = Math.max(1, Math.ceil(this.#endsAt - askedAt));
    channel.publish(infoMessage(this.#queue, replyTo, id, left));
    const abort = (): void => finish();
    signal?.addEventListener("abort", abort);
    try {
      if (await settlesWithin(done, left)) await done;
    } finally {
      signal?.removeEventListener("abort", abort);
      clearTimeout(grace);
    }
    return Array.from(answers.values());
  }

  /** Deleted as soon as the channel is closed. */
  async #openQueue(channel: Channel): Promise<string> {
    const { queue } = await channel.assertQueue("", { exclusive: true, durable: false, autoDelete: true });
    return queue;
  }

  /** A broker that has stopped reading does not answer. */
  async #inTime<T>(asked: Promise<T>): Promise<T> {
    // A little later than the wait for answers, so that those that have come are not lost.
    const settled = await settlesWithin(asked, Math.max(0, this.#endsAt - performance.now()) + 50);
    if (this.#options.signal?.aborted) {
      asked.catch(() => {});
      throw this.#error("canceled", "the signal in the options was aborted", this.#options.signal.reason);
    }
    if (settled) return await asked;
    asked.catch(() => {});
    const { blocked } = this.#connection;
    const why = blocked === undefined
      ? `the broker did not answer within ${this.#options.timeout} ms`
      : `the broker accepts no messages (${blocked})`;
    throw this.#error("unavailable", why, undefined);
  }

  #lost(refusal: Error | undefined): RpcError {
    if (refusal !== undefined) return toRpcError(refusal, this.#action);
    return this.#error("unavailable", "the connection was lost", undefined);
  }

  #error(code: RpcError["code"], why: string, cause: unknown): RpcError {
    return new RpcError(code, `Cannot ${this.#action}: ${why}`, { outcome: "not_executed", cause });
  }
}
