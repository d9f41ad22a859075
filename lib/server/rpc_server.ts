import type { ConnectOptions } from "../connection/connect_options.ts";
import { Connection } from "../connection/connection.ts";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { checkListener, emitTo } from "../connection/event_listener.ts";
import type { Procedure } from "../contract/procedure.ts";
import { checkInteger } from "../contract/validate.ts";
import { type ByteString, fromByteString, toByteString } from "../wire/byte_string.ts";
import type { Cancel } from "../wire/control_message.ts";
import { isDirect, isServerNamed } from "../wire/reply_address.ts";
import { CancelRegistry } from "./cancel_registry.ts";
import { Consumer, type ConsumerHost } from "./consumer.ts";
import { ControlListener } from "./control_listener.ts";
import { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import { ReplyPublisher } from "./reply_publisher.ts";
import { ReplyQueueProbe } from "./reply_queue_probe.ts";
import type { Handler } from "./request_runner.ts";
import { logServerEvent, type ServerEvent } from "./server_event.ts";
import { StallDetector } from "./stall_detector.ts";

/** Options of `RpcServer.connect`. */
export interface RpcServerOptions extends ConnectOptions {
  /**
   * Which queues requests may name as their `reply_to`, besides those that the
   * broker named (`amq.gen-*`, direct reply-to) and the exclusive queues of
   * other connections, which are always allowed. Whatever it allows, callers
   * can make the server publish to.
   *
   * @default {() => false}
   */
  readonly replyTo?: (name: string) => boolean;
  /**
   * Called with what happens to the connection and to requests. What it throws
   * is logged and ignored.
   *
   * @default {logs important events to stderr}
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

/** A consumer of whatever types; it is used with values of its own alone. */
type AnyConsumer = Consumer<never, unknown, unknown, never>;

/**
 * Serves procedures to callers on other computers, over one connection, which
 * it brings back when it is lost.
 *
 * @example
 * ```ts
 * import { integer, procedure, RpcError, RpcServer } from "@rabbitmq-rpc/rpc";
 *
 * const root = procedure({ queue: "root", request: integer(), reply: integer(), idempotent: true });
 *
 * await using server = await RpcServer.connect();
 * await server.serve(root, (n) => {
 *   if (n < 0) throw new RpcError("out_of_range", `Cannot take the root of ${n}: it must not be negative`);
 *   return Math.floor(Math.sqrt(n));
 * }, { prefetch: 20 });
 * ```
 */
export class RpcServer implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: RpcServerOptions;
  readonly #replies: ReplyPublisher;
  readonly #directReplies: DirectReplyPublisher;
  readonly #probe: ReplyQueueProbe;
  readonly #control: ControlListener;
  readonly #stalls = new StallDetector();
  readonly #consumers = new Set<AnyConsumer>();
  readonly #canceled = new CancelRegistry();
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
    this.#probe = new ReplyQueueProbe(connection);
    this.#control = new ControlListener(
      connection,
      () => Array.from(this.#consumers, ({ queue }) => queue),
      (cancel) => this.#cancel(cancel),
    );
  }

  /**
   * Connects to the first host that answers.
   *
   * @param urls One URL, or those of the nodes of one cluster, which are tried
   *   in turn; `AMQP_URL` from the environment, else `amqp://guest:guest@localhost:5672`, if absent.
   * @param options Accepted reply queues, timeouts, TLS, events.
   * @returns The server, ready to serve.
   * @throws {RpcError} `unavailable` if no broker answers, `unauthenticated` if
   *   it refuses the password, `permission_denied` if it refuses the virtual host.
   * @throws {TypeError | RangeError} If a URL or option is not valid.
   */
  static async connect(urls?: string | readonly string[], options: RpcServerOptions = {}): Promise<RpcServer> {
    const { onEvent = logServerEvent, replyTo } = options;
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
    for (const consumer of this.#consumers) pending += consumer.size;
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
    const consumer = new Consumer(procedure, handler, this.#host());
    const known = consumer as unknown as AnyConsumer;
    this.#consumers.add(known);
    try {
      // Cancels first: one that comes before its request must be known.
      await this.#control.add(procedure.queue);
      this.#stalls.start();
      await consumer.start(prefetch);
    } catch (error) {
      this.#consumers.delete(known);
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
    const consumers = Array.from(this.#consumers);
    await settlesWithin(this.#drain(consumers), this.#options.drainTimeout ?? 30_000);
    const reason = new RpcError("unavailable", "The server is shutting down");
    for (const consumer of consumers) consumer.abort(reason);
    this.#replies.abandon();
    this.#directReplies.abandon();
    // Before the channels close: finished work is never given back.
    for (const consumer of consumers) consumer.flush();
    this.#stalls.stop();
    await Promise.all([this.#connection.close(), this.#directReplies.close()]);
  }

  async #drain(consumers: readonly AnyConsumer[]): Promise<void> {
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await Promise.all(consumers.map((consumer) => consumer.idle()));
    await Promise.all([this.#replies.idle(), this.#directReplies.idle()]);
  }

  #host(): ConsumerHost {
    return {
      connection: this.#connection,
      replies: this.#replies,
      directReplies: this.#directReplies,
      acceptsReplyTo: (name) => this.#acceptsReplyTo(name),
      isCanceled: (queue, id) => this.#canceled.has(toByteString(queue), id),
      arrivedAfter: () => this.#stalls.arrivedAfter(),
      callerAlive: (replyTo) => this.#probe.isAlive(replyTo),
      emit: (event) => emitTo(this.#options.onEvent ?? logServerEvent, event),
    };
  }

  #acceptsReplyTo(name: ByteString): boolean | Promise<boolean> {
    if (isServerNamed(name)) return true;
    // RabbitMQ before 4.3 closes the connection on which it is asked about such a name.
    if (isDirect(name)) return false;
    return this.#isAllowed(fromByteString(name)) || this.#probe.isExclusive(name);
  }

  /** What the option throws is logged and ignored: it must not close a channel. */
  #isAllowed(name: string): boolean {
    try {
      return this.#options.replyTo?.(name) === true;
    } catch (error) {
      console.error("The replyTo option threw:", error);
      return false;
    }
  }

  #cancel(cancel: Cancel): void {
    this.#canceled.add(cancel);
    const reason = new RpcError("canceled", "The caller has taken the call back");
    for (const consumer of this.#consumers) {
      if (toByteString(consumer.queue) === cancel.queue) consumer.cancel(cancel.id, reason);
    }
  }
}
