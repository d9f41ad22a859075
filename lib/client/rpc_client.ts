import type { ConnectOptions } from "../connection/connect_options.ts";
import { Connection } from "../connection/connection.ts";
import { checkListener, EventListeners } from "../events/event_listener.ts";
import { MAX_TIMEOUT_MS, settlesWithin } from "../contract/deadline.ts";
import { markAsCallError, RpcError } from "../contract/errors.ts";
import { anyEnabled, checkInterceptors, type Interceptor } from "../contract/interceptor.ts";
import type { AnyProcedure, ErrorMap, Procedure } from "../contract/procedure.ts";
import type { Method, Methods, Service } from "../contract/service.ts";
import type { QueueInfo } from "../contract/server_info.ts";
import { checkInteger, checkQueueName } from "../contract/validate.ts";
import { type CallOptions, checkCallOptions, parentExpired, type ReadyCallOptions } from "./call_options.ts";
import { CallRunner } from "./call_runner.ts";
import type { ClientStatus } from "./client_status.ts";
import { StateClock } from "../connection/connection_status.ts";
import type { ClientEvent } from "../events/client_event.ts";
import type { ConnectionEvent } from "../events/connection_event.ts";
import { logWarnings } from "../events/log_events.ts";
import { encodeRequest } from "./encode_request.ts";
import { InterceptedCalls } from "./intercepted_calls.ts";
import { IgnoredPriorities } from "./ignored_priorities.ts";
import type { PendingCall } from "./pending_call.ts";
import { rejected } from "./rejected.ts";
import { ServerInquiry } from "./server_inquiry.ts";

/** Options of `RpcClient.connect`. */
export interface RpcClientOptions extends ConnectOptions {
  /**
   * Functions that run around every call, the first one outermost; see {@linkcode Interceptor}.
   *
   * @default {[]}
   */
  readonly interceptors?: readonly Interceptor[];
  /**
   * How long a call may take if the call does not say, in ms, from 1 to 2,147,483,647.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * Where replies are sent: to an exclusive queue of the client, or over
   * RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to),
   * which needs no queue; a direct reply is sent at most once.
   *
   * @default {"queue"}
   */
  readonly replies?: "queue" | "direct";
  /**
   * Called with events of the connection, at the end of every call, and with
   * replies that no call waits for. What it throws is logged and ignored.
   *
   * @default {logs important events to stderr}
   */
  readonly onEvent?: (event: ClientEvent) => void;
}

/** Options of {@linkcode RpcClient.servers}. */
export interface ServersOptions {
  /**
   * How long to wait for the servers' answers, in ms, from 1 to 2,147,483,647.
   *
   * @default {1_000}
   */
  readonly timeout?: number;
  /** If it is aborted, the promise rejects with `canceled`. */
  readonly signal?: AbortSignal;
}

/** The methods of a service as functions; created by {@linkcode RpcClient.of}. */
export type ClientOf<Of extends Methods> = {
  readonly [Name in keyof Of]: Of[Name] extends
    Method<infer RequestIn, infer _RequestOut, infer _ReplyIn, infer ReplyOut, infer _Errors>
    ? (request: RequestIn, options?: CallOptions) => Promise<ReplyOut>
    : never;
};

/**
 * Calls procedures on other computers. One client makes many calls at once over
 * one connection, which it opens again when it is lost.
 *
 * @example
 * ```ts
 * import { procedure, RpcClient, RpcServer, text } from "@rabbitmq-rpc/rpc";
 *
 * const greet = procedure({ queue: "greet", request: text(), reply: text(), idempotent: true });
 *
 * await using server = await RpcServer.connect();
 * await server.serve(greet, (name) => `Hello, ${name}!`);
 *
 * await using client = await RpcClient.connect();
 * console.assert(await client.call(greet, "Ada", { timeout: 5_000 }) === "Hello, Ada!");
 * ```
 */
export class RpcClient implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #options: RpcClientOptions;
  readonly #listeners: EventListeners<ClientEvent>;
  readonly #runner: CallRunner;
  readonly #intercepted: InterceptedCalls;
  readonly #ignored: IgnoredPriorities;
  readonly #clock = new StateClock();
  #closing: Promise<void> | undefined;
  #closed = false;
  /** Whether calls in progress may make no further attempts. */
  #drained = false;

  private constructor(connection: Connection, options: RpcClientOptions, listeners: EventListeners<ClientEvent>) {
    this.#connection = connection;
    this.#options = options;
    this.#listeners = listeners;
    this.#ignored = new IgnoredPriorities(
      connection,
      (queue, reason) => listeners.emit({ type: "priority_ignored", queue, reason }),
    );
    this.#runner = new CallRunner(connection, {
      settled: (call, error) => this.#settled(call, error),
      lateReply: (correlationId) => listeners.emit({ type: "late_reply", correlationId }),
    });
    this.#intercepted = new InterceptedCalls({
      get broker() {
        return connection.broker;
      },
      call: (procedure, request, options) => {
        try {
          return this.#call(procedure, request, options);
        } catch (error) {
          return rejected(this.#failedEarly(procedure, error as Error));
        }
      },
      endedUnsent: (procedure, messageId, duration, error) => this.#ended(procedure, error, { messageId, duration }),
    });
  }

  /**
   * Connects to the first host that answers.
   *
   * @param urls One URL, or those of the nodes of one cluster, which are tried
   *   in turn; `AMQP_URL` from the environment, else `amqp://guest:guest@localhost:5672`, if absent.
   * @param options Timeouts, TLS, events.
   * @returns The client, ready to call.
   * @throws {RpcError} `unavailable` if no broker answers, `unauthenticated` if
   *   it refuses the password, `permission_denied` if it refuses the virtual host.
   * @throws {TypeError | RangeError} If a URL or option is not valid.
   */
  static async connect(urls?: string | readonly string[], options: RpcClientOptions = {}): Promise<RpcClient> {
    checkInteger(options.timeout ?? 30_000, "timeout", "connect", 1, MAX_TIMEOUT_MS);
    const { replies = "queue", onEvent, interceptors = [] } = options;
    if (onEvent !== undefined) checkListener(onEvent);
    checkInterceptors(interceptors);
    if (replies !== "queue" && replies !== "direct") {
      throw new TypeError(`Cannot connect: 'replies' must be "queue" or "direct", got ${String(replies)}`);
    }
    const listeners = new EventListeners<ClientEvent>(onEvent, logWarnings, interceptors);
    const clients: RpcClient[] = [];
    const listener = (event: ConnectionEvent): void => {
      listeners.emit(event);
      if (event.type === "unblocked") { for (const client of clients) client.#runner.flush(); }
    };
    return await Connection.openWith(urls, options, listener, async (connection) => {
      const client = new RpcClient(connection, options, listeners);
      clients.push(client);
      await client.#runner.open(replies, options.connectTimeout);
      return client;
    });
  }

  /** How it is now: a snapshot. */
  get status(): ClientStatus {
    if (this.#closed) return Object.freeze({ state: "closed", since: this.#clock.since("closed") });
    if (this.#closing === undefined) return this.#connection.status;
    return Object.freeze({ state: "draining", since: this.#clock.since("draining"), pending: this.pending });
  }

  /** How many calls have not ended. */
  get pending(): number {
    return this.#runner.size + this.#intercepted.size;
  }

  /**
   * Calls a procedure and waits for its result.
   *
   * @param procedure What to call.
   * @param request Its argument, as the procedure's request codec takes it.
   * @param options Timeout, signal, headers.
   * @returns The result, as the procedure's reply codec gives it.
   * @throws {RpcError} If there is no result; `code` says what happened,
   *   `outcome` whether the handler ran, `stack` who awaited the call.
   * @throws {TypeError | RangeError} If an option is not valid.
   */
  call<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap>(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors>,
    request: RequestIn,
    options: CallOptions = {},
  ): Promise<ReplyOut> {
    // Not async: its additional promise would be half of the memory of a pending call.
    const called = procedure as unknown as AnyProcedure;
    const { interceptors = [] } = this.#options;
    try {
      const ready = checkCallOptions(options, this.#options.timeout ?? 30_000);
      if (this.#closing !== undefined) throw closedError(called.queue);
      if (ready.timeout <= 0) throw parentExpired(called.queue);
      const reply = anyEnabled(interceptors)
        ? this.#intercepted.run(interceptors, called, request, ready)
        : this.#call(called, request, ready);
      return reply as Promise<ReplyOut>;
    } catch (error) {
      return Promise.reject(this.#failedEarly(called, error));
    }
  }

  /**
   * The methods of a service as functions.
   *
   * @param service The service.
   * @returns An object with one function per method; each takes the request and {@linkcode CallOptions}, and behaves as
   *   {@linkcode RpcClient.call}.
   *
   * @example
   * ```ts
   * import { integer, method, RpcClient, service } from "@rabbitmq-rpc/rpc";
   *
   * const maths = service({
   *   queue: "maths",
   *   methods: { double: method({ request: integer(), reply: integer(), idempotent: true }) },
   * });
   *
   * async function main(): Promise<void> {
   *   await using client = await RpcClient.connect();
   *   console.log(await client.of(maths).double(21, { timeout: 500 }));
   * }
   * ```
   */
  of<Of extends Methods>(service: Service<Of>): ClientOf<Of> {
    const procedures = Object.entries<AnyProcedure>(service.methods as unknown as Record<string, AnyProcedure>);
    const functions = procedures.map(([name, procedure]) => {
      return [name, (request: never, options?: CallOptions) => this.call(procedure, request, options)];
    });
    return Object.fromEntries(functions) as ClientOf<Of>;
  }

  /**
   * Asks the broker for the state of a queue, and all servers of this library that serve it for their figures.
   *
   * Waits until as many servers have answered as the queue has consumers; at the timeout, what has come is returned. A
   * server of another library is a consumer without figures, and so is one that is too busy to answer in time.
   *
   * @param queue The queue that they serve.
   * @param options How long to wait, signal.
   * @returns How many requests and consumers the queue has, and the figures of its servers.
   * @throws {RpcError} `not_found` if the queue does not exist, `unavailable` if there is no connection or the broker
   *   does not answer, `permission_denied` if the user must not write to the exchange `rpc.control`, `canceled` if the
   *   signal is aborted.
   * @throws {TypeError | RangeError} If an option is not valid.
   *
   * @example Find the slowest server
   * ```ts
   * import { RpcClient } from "@rabbitmq-rpc/rpc";
   *
   * async function main(): Promise<void> {
   *   await using client = await RpcClient.connect();
   *   const { servers } = await client.servers("rpc_queue");
   *   for (const { name, inFlight, methods } of servers) {
   *     for (const { name: method, p99 } of methods) console.log(name, method, inFlight, p99);
   *   }
   * }
   * ```
   */
  async servers(queue: string, options: ServersOptions = {}): Promise<QueueInfo> {
    const { timeout = 1_000, signal } = options;
    checkQueueName(queue, "ask for servers");
    checkInteger(timeout, "timeout", "ask for servers", 1, MAX_TIMEOUT_MS);
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError("Cannot ask for servers: 'signal' must be an AbortSignal");
    }
    if (this.#closing !== undefined) {
      const text = `Cannot ask the servers of "${queue}": the client is closed`;
      throw new RpcError("unavailable", text, { outcome: "not_executed" });
    }
    const direct = this.#options.replies === "direct";
    return await new ServerInquiry(this.#connection, queue, { timeout, signal, direct }).run();
  }

  #call(procedure: AnyProcedure, request: unknown, options: ReadyCallOptions): Promise<unknown> {
    if (this.#drained) throw closedError(procedure.queue);
    if (options.priority !== undefined) this.#ignored.sent(procedure);
    return this.#runner.run(procedure, encodeRequest(procedure, request), options);
  }

  /** Emits `called` for a call that fails before it is pending. */
  #failedEarly<Failure>(procedure: AnyProcedure, error: Failure): Failure {
    if (!(error instanceof RpcError)) return error;
    markAsCallError(error);
    this.#ended(procedure, error, { messageId: undefined, duration: 0 });
    return error;
  }

  /** Emits `called` for a call whose request was never written. */
  #ended(
    { queue, method }: AnyProcedure,
    error: RpcError | undefined,
    rest: { readonly messageId: string | undefined; readonly duration: number },
  ): void {
    if (!this.#listeners.wantCalls) return;
    const { code = "ok", outcome } = error ?? {};
    this.#listeners.emit({ type: "called", queue, method, code, outcome, error, ...rest, id: undefined, attempts: 0 });
  }

  #settled(call: PendingCall, error: Error | undefined): void {
    if (error instanceof RpcError) markAsCallError(error);
    if (!this.#listeners.wantCalls) return;
    const { procedure: { queue, method }, id, messageId, deadline, timeout, attempts } = call;
    const code = error === undefined ? "ok" : error instanceof RpcError ? error.code : "unknown";
    const outcome = error instanceof RpcError ? error.outcome : undefined;
    const duration = performance.now() - (deadline - timeout);
    this.#listeners.emit({ type: "called", queue, method, id, messageId, code, outcome, error, duration, attempts });
  }

  /**
   * Accepts no more calls, waits for those in progress, up to `drainTimeout`,
   * and disconnects. Calls that are left then reject with `canceled`. Never
   * rejects; when called again, returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    // Read for its clock.
    void this.status;
    return this.#closing;
  }

  /** The same as {@linkcode RpcClient.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { drainTimeout = 30_000 } = this.#options;
    const giveUpAt = performance.now() + drainTimeout;
    // Until they have ended, their interceptors may make further attempts.
    await settlesWithin(this.#intercepted.idle(), drainTimeout);
    this.#drained = true;
    this.#intercepted.close();
    await this.#runner.close(Math.max(0, giveUpAt - performance.now()));
    await this.#connection.close();
    this.#closed = true;
    void this.status;
  }
}

function closedError(queue: string): RpcError {
  return new RpcError("unavailable", `Cannot call "${queue}": the client is closed`, { outcome: "not_executed" });
}
