import { defaultName } from "../connection/client_properties.ts";
import { Connection } from "../connection/connection.ts";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { checkListener, EventListeners } from "../events/event_listener.ts";
import { checkHeaderNames } from "../contract/headers.ts";
import { type AddedBy, checkInterceptors, type Interceptor } from "../contract/interceptor.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import type { Methods, Service } from "../contract/service.ts";
import { VERSION } from "../contract/version.ts";
import type { ServerFigures } from "../contract/server_info.ts";
import { fromByteString, toByteString } from "../wire/byte_string.ts";
import type { Cancel } from "../wire/control_message.ts";
import { AbsentCallers } from "./absent_callers.ts";
import { CancelRegistry } from "./cancel_registry.ts";
import { CallerClocks } from "./caller_clocks.ts";
import { Consumer } from "./consumer.ts";
import type { ConsumerHost } from "./consumer_host.ts";
import { ControlListener } from "./control_listener.ts";
import { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import { type InfoHost, InfoResponder } from "./info_responder.ts";
import { ReplyPublisher } from "./reply_publisher.ts";
import { ReplyQueueProbe } from "./reply_queue_probe.ts";
import { ReplyToPolicy } from "./reply_to_policy.ts";
import { type Served, servedProcedure, servedService } from "./served.ts";
import { servedByWorkers } from "./served_module.ts";
import { type ServeSettings, serveSettings } from "./serve_settings.ts";
import { logWarnings } from "../events/log_events.ts";
import type { ConnectionEvent } from "../events/connection_event.ts";
import type { ServerEvent } from "../events/server_event.ts";
import type { HandlersOf, RpcServerOptions, ServeOptions, Serving } from "./server_options.ts";
import { exit, INTERRUPTED, nextSignal } from "./signals.ts";
import { type ServerStatus, ServerStatusClock } from "./server_status.ts";
import type { RunningRequest } from "./running_request.ts";
import { StallDetector } from "./stall_detector.ts";
import { WorkerPool } from "./worker_pool.ts";

/** The longest version of a service, in UTF-16 code units. */
const MAX_VERSION = 64;
/** How long the answer to a question for figures may wait to be sent, in ms. */
const INFO_PATIENCE_MS = 1_000;

/**
 * Serves procedures and services to callers on other computers, over one
 * connection, which it opens again when it is lost.
 *
 * @typeParam Added What its interceptors add to the context of handlers.
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
export class RpcServer<Added extends object = object> implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: RpcServerOptions;
  readonly #listeners: EventListeners<ServerEvent>;
  readonly #replies: ReplyPublisher;
  readonly #directReplies: DirectReplyPublisher;
  readonly #probe: ReplyQueueProbe;
  readonly #replyTo: ReplyToPolicy;
  readonly #control: ControlListener;
  readonly #stalls = new StallDetector<RunningRequest>((duration, suspect) => this.#loopBlocked(duration, suspect));
  readonly #consumers = new Map<string, Consumer>();
  readonly #pools = new Set<WorkerPool>();
  readonly #canceled = new CancelRegistry();
  readonly #absent = new AbsentCallers((replyTo) => this.#probe.isAlive(replyTo));
  readonly #status = new ServerStatusClock();
  readonly #id = crypto.randomUUID();
  readonly #startedAt = performance.now();
  readonly #clocks: CallerClocks;
  #closing: Promise<void> | undefined;
  #closed = false;

  private constructor(
    connection: Connection,
    replies: ReplyPublisher,
    directReplies: DirectReplyPublisher,
    options: RpcServerOptions,
    listeners: EventListeners<ServerEvent>,
  ) {
    this.#connection = connection;
    this.#replies = replies;
    this.#directReplies = directReplies;
    this.#options = options;
    this.#listeners = listeners;
    this.#probe = new ReplyQueueProbe(connection);
    this.#replyTo = new ReplyToPolicy(options.replyTo, this.#probe);
    const info = new InfoResponder(this.#infoHost());
    const control = this.#control = new ControlListener(connection, () => this.#consumers.keys(), {
      canceled: (cancel) => this.#cancel(cancel),
      clockTold: (answer) => this.#clocks.answered(answer),
      asked: (question, publish) => info.answer(question, publish),
    });
    this.#clocks = new CallerClocks({
      replies,
      directReplies,
      get address() {
        return control.address;
      },
    });
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
  static async connect<const Interceptors extends readonly Interceptor[] = readonly Interceptor[]>(
    urls?: string | readonly string[],
    options: RpcServerOptions<Interceptors> = {},
  ): Promise<RpcServer<AddedBy<Interceptors>>> {
    const { interceptors = [], onEvent, propagate = [], replyTo, version } = options;
    if (onEvent !== undefined) checkListener(onEvent);
    checkInterceptors(interceptors);
    checkHeaderNames(propagate, "propagate", "connect");
    if (version !== undefined && (typeof version !== "string" || version === "" || version.length > MAX_VERSION)) {
      throw new TypeError(`Cannot connect: 'version' must be a string of 1 to ${MAX_VERSION} characters`);
    }
    if (replyTo !== undefined && typeof replyTo !== "function") {
      throw new TypeError("Cannot connect: 'replyTo' must be a function of the queue's name");
    }
    const listeners = new EventListeners<ServerEvent>(onEvent, logWarnings, interceptors);
    let replies: ReplyPublisher | undefined;
    const servers: RpcServer[] = [];
    const listener = (event: ConnectionEvent): void => {
      for (const server of servers) server.#noteStatus();
      listeners.emit(event);
      if (event.type === "unblocked") replies?.flush();
    };
    return await Connection.openWith(urls, options, listener, async (connection) => {
      replies = await ReplyPublisher.open(connection, options.connectTimeout);
      const directReplies = new DirectReplyPublisher((flush, signal) =>
        Connection.open(urls, { ...options, signal }, ({ type }) => type === "unblocked" && flush())
      );
      const server = new RpcServer<AddedBy<Interceptors>>(connection, replies, directReplies, options, listeners);
      servers.push(server);
      return server;
    });
  }

  /**
   * How it is now: a snapshot. It can answer requests while `state` is `serving`.
   *
   * @example
   * ```ts
   * import { RpcServer } from "@rabbitmq-rpc/rpc";
   *
   * async function main(): Promise<void> {
   *   await using server = await RpcServer.connect();
   *   Deno.serve({ port: 8080 }, () => {
   *     const { status } = server;
   *     return Response.json(status, { status: status.state === "serving" ? 200 : 503 });
   *   });
   *   await server.untilSignal();
   * }
   * ```
   */
  get status(): ServerStatus {
    const closing = this.#closed ? "closed" : this.#closing === undefined ? undefined : "draining";
    return this.#status.read({ connection: this.#connection.status, consumers: this.#consumers.values(), closing });
  }

  /** How many requests have been accepted and not answered yet. */
  get pending(): number {
    let pending = 0;
    for (const consumer of this.#consumers.values()) pending += consumer.size;
    return pending;
  }

  /**
   * Serves a procedure or a service: declares its queue, and runs the handler
   * for each request. What the handler returns is the reply. If it throws an
   * `RpcError`, the caller gets that error; if it throws anything else, or the
   * error of a nested call, the caller gets `internal` with the id of the
   * `handler_error` event.
   *
   * The methods of a service share one queue, one consumer and one prefetch. A
   * request for an unknown method is answered with `unimplemented`.
   *
   * @param what The procedure or service; an existing queue is used as it is.
   * @param handlers The handler of the procedure, which takes the request and its context and returns the result; for a
   *   service, an object with a handler for each method, and no other. Or the URL of a module that calls
   *   `workerHandlers`, such as `import.meta.resolve("./heavy.ts")`: its handlers run in processes of their own.
   * @param options How many requests are in progress at once, and how many processes there are.
   * @returns The serving, when requests are being consumed.
   * @throws {RpcError} `permission_denied` if the queue is exclusive to another
   *   connection or the user may not use it, `already_exists` if this server
   *   already serves it, `failed_precondition` if the broker does not permit
   *   transient queues, or `unavailable` if the server is closed.
   * @throws {TypeError | RangeError} If a handler is missing, or an option is not valid.
   */
  async serve<What extends AnyProcedure | Service<Methods>>(
    what: What,
    handlers: HandlersOf<What, Added> | string | URL,
    options: ServeOptions = {},
  ): Promise<Serving> {
    const settings = serveSettings(handlers, options);
    if (settings.module === undefined) {
      const served = "methods" in what ? servedService(what, handlers) : servedProcedure(what, handlers);
      return await this.#consume(served, settings);
    }
    const { queue } = what;
    this.#assertFree(queue);
    const onLost = (error: Error): void => this.#listeners.emit({ type: "worker_lost", queue, error });
    const pool = await WorkerPool.start(settings.module, { workers: settings.workers, onLost });
    this.#pools.add(pool);
    const end = async (): Promise<void> => {
      this.#pools.delete(pool);
      await pool.close();
    };
    try {
      const serving = await this.#consume(servedByWorkers(what, pool), settings);
      const stop = (): Promise<void> => serving.stop().then(end);
      return { stop, [Symbol.asyncDispose]: stop };
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** @throws {RpcError} If the server is closed, or already serves the queue. */
  #assertFree(queue: string): void {
    if (this.#closing !== undefined) {
      throw new RpcError("unavailable", `Cannot serve "${queue}": the server is closed`);
    }
    if (this.#consumers.has(queue)) {
      const text = `Cannot serve "${queue}": this server already serves it; stop that first, or make both one service`;
      throw new RpcError("already_exists", text, { outcome: "not_executed" });
    }
  }

  async #consume(served: Served, { prefetch, loadShedding }: ServeSettings): Promise<Serving> {
    const { queue } = served.queue;
    this.#assertFree(queue);
    const consumer = new Consumer(served, this.#host(queue), loadShedding);
    this.#consumers.set(queue, consumer);
    try {
      // Cancels first, because a cancel may arrive before its request.
      await this.#control.add(queue);
      this.#stalls.start();
      await consumer.start(prefetch);
    } catch (error) {
      this.#consumers.delete(queue);
      throw error;
    }
    let stopping: Promise<void> | undefined;
    const stop = (): Promise<void> => stopping ??= this.#stop(consumer);
    return { stop, [Symbol.asyncDispose]: stop };
  }

  async #stop(consumer: Consumer): Promise<void> {
    const drained = consumer.stop().then(() => consumer.idle());
    await settlesWithin(drained, this.#options.drainTimeout ?? 30_000);
    consumer.abort(new RpcError("unavailable", "The server has stopped serving this queue"));
    await consumer.close();
    if (this.#consumers.get(consumer.queue) !== consumer) return;
    this.#consumers.delete(consumer.queue);
    await this.#control.remove(consumer.queue);
  }

  /**
   * Serves until the process gets SIGINT or SIGTERM, then closes: finishes
   * accepted requests and disconnects. A second signal exits immediately, with
   * exit code 130.
   */
  async untilSignal(): Promise<void> {
    await nextSignal();
    const again = nextSignal();
    await Promise.race([this.close(), again.then(() => exit(INTERRUPTED))]);
    again.cancel();
  }

  /**
   * Stops consuming, waits for the requests in progress, their replies and acks,
   * up to `drainTimeout`, and disconnects. Then the signals of handlers that are
   * still running are aborted, and their requests go back to the queue. Never
   * rejects; when called again, returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    this.#noteStatus();
    return this.#closing;
  }

  /** The same as {@linkcode RpcServer.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const consumers = Array.from(this.#consumers.values());
    await settlesWithin(this.#drain(consumers), this.#options.drainTimeout ?? 30_000);
    const reason = new RpcError("unavailable", "The server is shutting down");
    for (const consumer of consumers) consumer.abort(reason);
    this.#replies.abandon();
    this.#directReplies.abandon();
    // Acks finished requests before the channels close, so that they are not requeued.
    for (const consumer of consumers) consumer.flush();
    this.#stalls.stop();
    const pools = Array.from(this.#pools, (pool) => pool.close());
    await Promise.all([this.#connection.close(), this.#directReplies.close(), ...pools]);
    this.#closed = true;
    this.#noteStatus();
  }

  /** Reads the status, so that it is known when it changed. */
  #noteStatus(): void {
    void this.status;
  }

  async #drain(consumers: readonly Consumer[]): Promise<void> {
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await Promise.all(consumers.map((consumer) => consumer.idle()));
    await Promise.all([this.#replies.idle(), this.#directReplies.idle()]);
  }

  #host(queue: string): ConsumerHost {
    const connection = this.#connection;
    const listeners = this.#listeners;
    return {
      queue,
      connection,
      get listens() {
        return listeners.wantCalls;
      },
      replies: this.#replies,
      directReplies: this.#directReplies,
      acceptsReplyTo: (name) => this.#replyTo.accepts(name),
      absent: this.#absent,
      isCanceled: (queue, id) => this.#canceled.has(toByteString(queue), id),
      interceptors: this.#options.interceptors ?? [],
      propagate: this.#options.propagate ?? [],
      stalls: this.#stalls,
      waited: (meta, arrivedAt, arrivedAfter) => this.#clocks.waited(meta, arrivedAt, arrivedAfter),
      knowsWaits: (client) => this.#clocks.isConfirmed(client),
      askClock: (client) => this.#clocks.ask(client),
      callerAlive: (replyTo) => this.#probe.isAlive(replyTo),
      emit: (event) => listeners.emit(event),
      consumingChanged: () => this.#noteStatus(),
    };
  }

  #infoHost(): InfoHost {
    const connection = this.#connection;
    return {
      get blocked() {
        return connection.blocked !== undefined;
      },
      acceptsReplyTo: (name) => this.#replyTo.accepts(name),
      figures: (queue) => this.#figures(queue),
      sendDirect: (answer) => {
        const deadline = performance.now() + INFO_PATIENCE_MS;
        this.#directReplies.send({ ...answer, deadline, done: () => {} });
      },
    };
  }

  #figures(queue: string): ServerFigures | undefined {
    const figures = this.#consumers.get(queue)?.figures;
    if (figures === undefined) return undefined;
    const { name = defaultName(), version } = this.#options;
    const uptime = Math.round(performance.now() - this.#startedAt);
    return { id: this.#id, name, version, library: `rpc/${VERSION}`, uptime, ...figures };
  }

  /** If it is not known whose handler it was, the only request in progress is the suspect. */
  #loopBlocked(duration: number, suspect: RunningRequest | undefined): void {
    const { queue, method, messageId } = suspect ?? this.#only() ?? {};
    this.#listeners.emit({ type: "loop_blocked", duration, queue, method, messageId });
  }

  /** The only request in progress; undefined if there is none, or more than one. */
  #only(): RunningRequest | undefined {
    if (this.pending !== 1) return undefined;
    for (const consumer of this.#consumers.values()) for (const running of consumer.running) return running;
    return undefined;
  }

  #cancel(cancel: Cancel): void {
    this.#canceled.add(cancel);
    this.#consumers.get(fromByteString(cancel.queue))?.cancel(cancel.id);
  }
}
