import type { ConnectOptions } from "../connection/connect_options.ts";
import { Connection } from "../connection/connection.ts";
import { settlesWithin } from "../connection/handshake.ts";
import { DeadlineTimers, type Expiring } from "../contract/deadline_timers.ts";
import { toRpcError } from "../connection/broker_error.ts";
import { RpcError } from "../contract/errors.ts";
import { checkListener, emitTo, logEvent, type ServerEvent } from "../connection/events.ts";
import { checkInteger } from "../contract/validate.ts";
import type { Procedure } from "../contract/procedure.ts";
import { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import { CANCEL_EXCHANGE, isDirect, readCancel } from "../wire/protocol.ts";
import { ReplyPublisher } from "./reply_publisher.ts";
import { Consumer, type ConsumerHost, type Handler } from "./consumer.ts";
import { StallDetector } from "./stall_detector.ts";

/** Options of `RpcServer.connect`. */
export interface RpcServerOptions extends ConnectOptions {
  /**
   * Whether requests may name this queue as their `reply_to`. Names that the
   * broker itself has made (`amq.gen-*`, direct reply-to) are always allowed;
   * any other lends this server's right to write to whoever names it.
   *
   * @default {() => false}
   */
  readonly replyTo?: (name: string) => boolean;
  /**
   * Hears what happens to the connection and to requests.
   *
   * @default {logs what a person should know to stderr}
   */
  readonly onEvent?: (event: ServerEvent) => void;
}

/** Options of {@linkcode RpcServer.serve}. */
export interface ServeOptions {
  /**
   * How many requests are in progress at once, from 1 to 65,535; each is
   * started when it arrives, none waits in the server's memory.
   *
   * @default {10}
   */
  readonly prefetch?: number;
}

interface Canceled extends Expiring {
  readonly id: string;
  readonly rememberMs: number;
}

/** How many cancels are remembered at the most; beyond it the oldest is forgotten. */
const MAX_REMEMBERED = 100_000;

/**
 * Serves procedures to callers on other computers, over one connection, which
 * it brings back when it is lost.
 *
 * @example
 * ```ts
 * import { fib, fibonacci } from "../tutorial/fib.ts";
 * import { RpcServer } from "../rpc.ts";
 *
 * await using server = await RpcServer.connect();
 * await server.serve(fibonacci, (n) => fib(n), { prefetch: 1 });
 * ```
 */
export class RpcServer implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: RpcServerOptions;
  readonly #replies: ReplyPublisher;
  readonly #directReplies: DirectReplyPublisher;
  readonly #stalls = new StallDetector();
  readonly #services = new Set<Consumer<never, unknown, unknown, never>>();
  readonly #canceled = new Map<string, Canceled>();
  readonly #forgetting = new DeadlineTimers<Canceled>(({ id }) => this.#canceled.delete(id));
  #cancels: Promise<void> | undefined;
  #bind: ((queue: string) => Promise<unknown>) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    connection: Connection,
    replies: ReplyPublisher,
    directReplies: DirectReplyPublisher,
    options: RpcServerOptions,
  ) {
    this.#connection = connection;
    this.#replies = replies;
    this.#directReplies = directReplies;
    this.#options = options;
  }

  /**
   * Connects to the first host that answers.
   *
   * @param urls One URL, or those of the nodes of one cluster, which are tried
   *   in turn; `AMQP_URL` from the environment, else `amqp://guest:guest@localhost:5672`, if absent.
   * @param options Accepted reply queues, timeouts, TLS, events.
   * @returns The server, ready to serve.
   * @throws {RpcError} `unavailable` if no broker answers, `unauthenticated`,
   *   `permission_denied` or `not_found` if the broker refuses password, rights or virtual host.
   * @throws {TypeError | RangeError} If a URL or option is not valid.
   */
  static async connect(urls?: string | readonly string[], options: RpcServerOptions = {}): Promise<RpcServer> {
    const { onEvent = logEvent, replyTo } = options;
    checkListener(onEvent);
    if (replyTo !== undefined && typeof replyTo !== "function") {
      throw new TypeError("Cannot connect: 'replyTo' must be a function of the queue's name");
    }
    let replies: ReplyPublisher | undefined;
    const connection = await Connection.open(urls, options, (event) => {
      emitTo(onEvent, event);
      if (event.type === "unblocked") replies?.flush();
    });
    try {
      replies = await ReplyPublisher.open(connection, options.connectTimeout);
      const directReplies = new DirectReplyPublisher((flush, signal) =>
        Connection.open(urls, { ...options, signal }, ({ type }) => type === "unblocked" && flush())
      );
      return new RpcServer(connection, replies, directReplies, options);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** How many requests have been taken and not been answered. */
  get pending(): number {
    let pending = 0;
    for (const service of this.#services) pending += service.size;
    return pending;
  }

  /**
   * Serves a procedure: declares its queue, and runs the handler for each
   * request. What the handler returns is the reply; an `RpcError` that it
   * throws reaches the caller, anything else reaches it as `internal` with
   * an id that the `handler_error` event has too.
   *
   * @param procedure What to serve; an existing queue is used as it is.
   * @param handler Takes the request and its context, gives the result.
   * @param options How many requests are in progress at once.
   * @returns When requests are being taken.
   * @throws {RpcError} `permission_denied` if the queue belongs to somebody
   *   else, or `unavailable` if the server is closed.
   * @throws {TypeError | RangeError} If an option is not valid.
   */
  async serve<RequestIn, RequestOut, ReplyIn, ReplyOut>(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
    handler: Handler<RequestOut, ReplyIn>,
    options: ServeOptions = {},
  ): Promise<void> {
    const { prefetch = 10 } = options;
    checkInteger(prefetch, "prefetch", "serve", 1, 65_535);
    if (typeof handler !== "function") throw new TypeError("Cannot serve: 'handler' must be a function");
    if (this.#closing !== undefined) {
      throw new RpcError("unavailable", `Cannot serve "${procedure.queue}": the server is closed`);
    }
    const service = new Consumer(procedure, handler, this.#host());
    this.#services.add(service as unknown as Consumer<never, unknown, unknown, never>);
    try {
      // Cancels first: one that comes before its request must be known.
      await (this.#cancels ??= this.#listenForCancels().catch((error) => {
        this.#cancels = undefined;
        throw error;
      }));
      await this.#bindCancels(procedure.queue);
      this.#stalls.start();
      await service.start(prefetch);
    } catch (error) {
      this.#services.delete(service as unknown as Consumer<never, unknown, unknown, never>);
      throw error;
    }
  }

  /**
   * Takes no more requests, waits for those in progress, their replies and
   * acks, up to `drainTimeout`, and disconnects. What is not finished then is
   * told to stop, and given back to the queue. Never rejects; a second call
   * joins the first.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode RpcServer.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const services = Array.from(this.#services);
    await settlesWithin(this.#drain(services), this.#options.drainTimeout ?? 30_000);
    const reason = new RpcError("unavailable", "The server is shutting down");
    for (const service of services) service.abort(reason);
    this.#replies.abandon();
    this.#directReplies.abandon();
    // Before the channels close: finished work is never given back.
    for (const service of services) service.flush();
    this.#stalls.stop();
    await Promise.all([this.#connection.close(), this.#directReplies.close()]);
    this.#forgetting.clear();
    this.#canceled.clear();
  }

  async #drain(services: readonly Consumer<never, unknown, unknown, never>[]): Promise<void> {
    await Promise.all(services.map((service) => service.stop()));
    await Promise.all(services.map((service) => service.idle()));
    await Promise.all([this.#replies.idle(), this.#directReplies.idle()]);
  }

  #host(): ConsumerHost {
    return {
      connection: this.#connection,
      replies: this.#replies,
      directReplies: this.#directReplies,
      acceptReplyTo: (name) => this.#acceptReplyTo(name),
      isCanceled: (id) => this.#canceled.size > 0 && id !== undefined && this.#canceled.has(id),
      arrivedAfter: () => this.#stalls.arrivedAfter(),
      callerAlive: (replyTo) => this.#callerAlive(replyTo),
      emit: (event) => emitTo(this.#options.onEvent ?? logEvent, event),
    };
  }

  /** What the option throws is its own affair, and must not close a channel. */
  #acceptReplyTo(name: string): boolean {
    try {
      return this.#options.replyTo?.(name) === true;
    } catch (error) {
      console.error("The replyTo option threw:", error);
      return false;
    }
  }

  /** Every server hears every cancel for the queues that it serves. */
  async #listenForCancels(): Promise<void> {
    await this.#connection.keep({
      action: "listen for cancels",
      setup: async (channel) => {
        await channel.assertExchange(CANCEL_EXCHANGE, "direct", { durable: true });
        const { queue } = await channel.assertQueue("", { exclusive: true, durable: false });
        const bind = (served: string): Promise<unknown> => channel.bindQueue(queue, CANCEL_EXCHANGE, served);
        this.#bind = bind;
        for (const service of this.#services) await bind(service.queue);
        await channel.consume(queue, (message) => {
          if (message === null) channel.close().catch(() => {});
          else this.#hearCancel(message.properties);
        }, { noAck: true, exclusive: true });
      },
      lost: () => this.#bind = undefined,
    });
  }

  /** A channel that is lost meanwhile binds all queues when it is back. */
  async #bindCancels(queue: string): Promise<void> {
    try {
      await this.#bind?.(queue);
    } catch (error) {
      const refusal = toRpcError(error, `listen for cancels of "${queue}"`);
      if (refusal.code !== "unavailable") throw refusal;
    }
  }

  #hearCancel(properties: Parameters<typeof readCancel>[0]): void {
    const { id, rememberMs } = readCancel(properties);
    if (id === undefined) return;
    const reason = new RpcError("canceled", "The caller has taken the call back");
    for (const service of this.#services) service.abort(reason, id);
    if (rememberMs === 0 || this.#canceled.has(id)) return;
    if (this.#canceled.size >= MAX_REMEMBERED) {
      const [oldest] = this.#canceled.values();
      if (oldest !== undefined) this.#forget(oldest);
    }
    const canceled = { id, deadline: performance.now() + rememberMs, rememberMs };
    this.#canceled.set(id, canceled);
    this.#forgetting.add(canceled, rememberMs);
  }

  #forget(canceled: Canceled): void {
    this.#canceled.delete(canceled.id);
    this.#forgetting.delete(canceled, canceled.rememberMs);
  }

  /** An exclusive queue answers a look from outside with 405 while it is there, with 404 when it is gone. */
  async #callerAlive(replyTo: string): Promise<boolean> {
    // The broker answers a look at some direct addresses by closing the connection.
    if (isDirect(replyTo)) return true;
    try {
      await this.#connection.borrow("look for the caller", (channel) => channel.checkQueue(replyTo));
      return true;
    } catch (error) {
      return !(error instanceof RpcError && error.code === "not_found");
    }
  }
}
