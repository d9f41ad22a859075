import type { ConnectOptions } from "../connection/connect_options.ts";
import { backoffDelay } from "../connection/backoff.ts";
import { Connection } from "../connection/connection.ts";
import { decodeBody, encodeBody } from "../contract/codec.ts";
import { MAX_TIMEOUT_MS, settlesWithin } from "../contract/deadline.ts";
import { RpcError, withOutcome } from "../contract/errors.ts";
import { checkListener, emitTo } from "../connection/event_listener.ts";
import type { Procedure } from "../contract/procedure.ts";
import { checkInteger } from "../contract/validate.ts";
import { fromByteString } from "../wire/byte_string.ts";
import { checkContentEncoding } from "../wire/content_encoding.ts";
import { decodeError } from "../wire/error_reply.ts";
import type { Delivery } from "../wire/message.ts";
import { isErrorReply } from "../wire/reply_message.ts";
import { CalledQueues } from "./called_queues.ts";
import { CancelPublisher } from "./cancel_publisher.ts";
import { type ClientEvent, logClientEvent } from "./client_event.ts";
import { type AnyProcedure, PendingCall } from "./pending_call.ts";
import { PendingCalls } from "./pending_calls.ts";
import { QueueInspector } from "./queue_inspector.ts";
import { RequestPublisher } from "./request_publisher.ts";

/** Options of `RpcClient.connect`. */
export interface RpcClientOptions extends ConnectOptions {
  /**
   * How long a call may take, in ms, where the call does not say, from 1 to 2,147,483,647.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * Where replies go: an exclusive queue of the client's own, or RabbitMQ's
   * direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to), which
   * needs no queue and is at most once.
   *
   * @default {"queue"}
   */
  readonly replies?: "queue" | "direct";
  /**
   * Called with what happens to the connection, and with replies that nobody
   * waits for. What it throws is logged and ignored.
   *
   * @default {logs important events to stderr}
   */
  readonly onEvent?: (event: ClientEvent) => void;
}

/** Options of {@linkcode RpcClient.call}. */
export interface CallOptions {
  /**
   * How long the call may take, in ms, from 1 to 2,147,483,647.
   *
   * @default {the client's timeout, 30_000}
   */
  readonly timeout?: number;
  /** Ends the call when it is aborted, and stops the work on the server, best effort. */
  readonly signal?: AbortSignal;
  /**
   * Rejects before publishing if nobody consumes the queue, at the price of
   * one more round trip. Advisory: a server may leave a moment later.
   *
   * @default {false}
   */
  readonly failFast?: boolean;
}

const REFUSED = "the broker did not take the request, its queue may be full";
const RETRY = { min: 100, max: 3_000 };

function encodeRequest<RequestIn>(
  { queue, request }: Pick<Procedure<RequestIn, unknown, never, unknown>, "queue" | "request">,
  value: RequestIn,
): Uint8Array {
  try {
    return encodeBody(request, value, "request");
  } catch (error) {
    if (error instanceof RpcError) throw withOutcome(error, "not_executed");
    const reason = error instanceof Error ? error.message : String(error);
    const text = `Cannot encode the request of "${queue}": ${reason}`;
    throw new RpcError("invalid_argument", text, { outcome: "not_executed", cause: error });
  }
}

/**
 * Calls procedures on other computers. One client serves many calls at once
 * over one connection, which it brings back when it is lost.
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
  readonly #pending: PendingCalls;
  readonly #requests: RequestPublisher;
  readonly #inspector: QueueInspector;
  readonly #cancels: CancelPublisher;
  readonly #queues = new CalledQueues();
  #closing: Promise<void> | undefined;

  private constructor(connection: Connection, options: RpcClientOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#requests = new RequestPublisher(connection, {
      written: (call) => this.#queues.written(call),
      replied: (reply) => this.#replied(reply),
      returned: (id) => this.#returned(id),
      refused: (call) => this.#refused(call),
      rejected: (call, error) => this.#rejected(call, error),
      requestsLost: (calls, error) => this.#lose(calls, error),
      repliesLost: (error) => this.#lose(this.#pending.values(), error),
      writable: () => this.#cancels.flush(),
    });
    this.#inspector = new QueueInspector(connection);
    this.#cancels = new CancelPublisher(connection);
    this.#pending = new PendingCalls({
      expired: (call) => this.#expire(call),
      aborted: (call) => this.#abort(call),
      left: (call) => this.#queues.landed(call),
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
    const { replies = "queue", onEvent = logClientEvent } = options;
    checkListener(onEvent);
    if (replies !== "queue" && replies !== "direct") {
      throw new TypeError(`Cannot connect: 'replies' must be "queue" or "direct", got ${String(replies)}`);
    }
    const clients: RpcClient[] = [];
    const connection = await Connection.open(urls, options, (event) => {
      emitTo(onEvent, event);
      if (event.type === "unblocked") { for (const client of clients) client.#unblocked(); }
    });
    const client = new RpcClient(connection, options);
    clients.push(client);
    try {
      await client.#requests.open(replies, options.connectTimeout);
      return client;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** How many calls have not ended. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Calls a procedure and waits for its result.
   *
   * @param procedure What to call.
   * @param request Its argument, as the procedure's request codec takes it.
   * @param options Deadline, cancellation.
   * @returns The result, as the procedure's reply codec gives it.
   * @throws {RpcError} In every other case; `code` says what happened,
   *   `outcome` whether the work was done.
   * @throws {TypeError | RangeError} If an option is not valid.
   */
  call<RequestIn, RequestOut, ReplyIn, ReplyOut>(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
    request: RequestIn,
    options: CallOptions = {},
  ): Promise<ReplyOut> {
    // No async function: its own promise would be half of the memory that a pending call takes.
    try {
      return this.#call(procedure, request, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #call<RequestIn, RequestOut, ReplyIn, ReplyOut>(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
    request: RequestIn,
    options: CallOptions,
  ): Promise<ReplyOut> {
    const { timeout = this.#options.timeout ?? 30_000, signal, failFast = false } = options;
    checkInteger(timeout, "timeout", "call", 1, MAX_TIMEOUT_MS);
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError("Cannot call: 'signal' must be an AbortSignal");
    }
    if (typeof failFast !== "boolean") throw new TypeError("Cannot call: 'failFast' must be true or false");
    const { queue } = procedure;
    if (this.#closing !== undefined) {
      throw new RpcError("unavailable", `Cannot call "${queue}": the client is closed`, { outcome: "not_executed" });
    }
    const body = encodeRequest(procedure, request);
    const call = new PendingCall(this.#pending.ids, procedure as unknown as AnyProcedure, body, timeout, signal);
    if (signal?.aborted) throw this.#canceled(call);
    const settled = this.#pending.add(call) as Promise<ReplyOut>;
    if (failFast) this.#sendIfConsumed(call);
    else this.#requests.send(call);
    return settled;
  }

  /**
   * Takes no more calls, waits for those in progress, up to `drainTimeout`,
   * and disconnects. Calls that are left then reject with `canceled`. Never
   * rejects; a second call joins the first.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode RpcClient.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await settlesWithin(this.#pending.idle(), this.#options.drainTimeout ?? 30_000);
    for (const call of Array.from(this.#pending.values())) {
      this.#requests.drop(call);
      this.#cancels.cancel(call);
      this.#fail(call, "canceled", "the client was closed before it ended");
    }
    this.#pending.close();
    await this.#cancels.close();
    await this.#connection.close();
  }

  #unblocked(): void {
    this.#requests.flush();
    this.#cancels.flush();
  }

  #rejected(call: PendingCall, error: RpcError): void {
    const text = `Call ${call.id} to "${call.procedure.queue}" was refused: ${error.message}`;
    this.#pending.reject(call, new RpcError(error.code, text, { outcome: call.outcome, cause: error }));
  }

  /** Ends or repeats calls whose request or reply went down with a channel. */
  #lose(calls: Iterable<PendingCall>, error: RpcError): void {
    for (const call of Array.from(calls)) {
      if (!call.inFlight || call.over) continue;
      this.#land(call);
      if (call.procedure.idempotent !== true) {
        this.#fail(call, "unavailable", `${error.message}, after the request was sent`, error);
      } else if (error.code === "unavailable") {
        this.#requests.send(call);
      } else if (!this.#requests.sendAlone(call)) {
        this.#retry(call);
      }
    }
  }

  #refused(call: PendingCall): void {
    if (call.over || call.answered) return;
    this.#land(call);
    call.refused = true;
    if (call.procedure.idempotent !== true) {
      this.#fail(call, "resource_exhausted", REFUSED);
      return;
    }
    this.#retry(call);
  }

  #retry(call: PendingCall): void {
    clearTimeout(call.retryTimer);
    call.retryTimer = setTimeout(() => {
      if (!call.answered) this.#requests.send(call);
    }, backoffDelay(call.attempts, RETRY));
  }

  #returned(id: string): void {
    const call = this.#pending.get(id);
    if (call === undefined || call.answered) return;
    const lost = this.#queues.returned(call);
    if (lost !== undefined) {
      // Its servers declare the queue again; what waited in it is lost.
      for (const other of lost) {
        other.inFlight = false;
        this.#retry(other);
      }
      return;
    }
    const text =
      `Cannot call "${call.procedure.queue}": the queue does not exist, so no server has been started for it`;
    this.#pending.reject(call, new RpcError("unavailable", text, { outcome: call.outcomeIfLastDidNotRun }));
  }

  #land(call: PendingCall): void {
    call.inFlight = false;
    this.#queues.landed(call);
  }

  #replied({ properties, body, malformed }: Delivery): void {
    const { correlationId } = properties;
    const call = correlationId === undefined ? undefined : this.#pending.get(correlationId);
    if (call === undefined || call.answered) {
      const id = correlationId === undefined ? undefined : fromByteString(correlationId);
      emitTo(this.#options.onEvent ?? logClientEvent, { type: "late_reply", correlationId: id });
      return;
    }
    call.answered = true;
    this.#land(call);
    this.#queues.answered(call.procedure.queue);
    if (isErrorReply(properties)) {
      this.#pending.reject(call, this.#answered(call, decodeError(body)));
      return;
    }
    try {
      if (malformed !== undefined) throw new RpcError("data_loss", malformed);
      checkContentEncoding(properties, "reply");
      const value = decodeBody(call.procedure.reply, body, "reply");
      if (value instanceof Promise) {
        value.then((decoded) => this.#pending.resolve(call, decoded), (error) => this.#undecodable(call, error));
      } else {
        this.#pending.resolve(call, value);
      }
    } catch (error) {
      this.#undecodable(call, error);
    }
  }

  #undecodable(call: PendingCall, cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `Cannot read the reply of "${call.procedure.queue}": ${reason}`;
    const details = cause instanceof RpcError ? cause.details : undefined;
    // A reply without a type is a success: the handler ran to completion.
    this.#pending.reject(call, new RpcError("data_loss", text, { outcome: "executed", details, cause }));
  }

  /** The server knows of one attempt; the outcome is that of all attempts. */
  #answered(call: PendingCall, error: RpcError): RpcError {
    if (error.outcome !== "not_executed" || call.outcomeIfLastDidNotRun === "not_executed") return error;
    return withOutcome(error, "unknown");
  }

  #fail(call: PendingCall, code: RpcError["code"], why: string, cause?: unknown): void {
    const text = `Call ${call.id} to "${call.procedure.queue}" failed: ${why}`;
    this.#pending.reject(call, new RpcError(code, text, { outcome: call.outcome, cause }));
  }

  #canceled(call: PendingCall): RpcError {
    const cause = call.signal?.reason;
    const text = `Call ${call.id} to "${call.procedure.queue}" was canceled by its signal`;
    return new RpcError("canceled", text, { outcome: call.outcome, cause });
  }

  #abort(call: PendingCall): void {
    this.#requests.drop(call);
    this.#cancels.cancel(call);
    this.#pending.reject(call, this.#canceled(call));
  }

  async #expire(call: PendingCall): Promise<void> {
    this.#requests.drop(call);
    this.#cancels.cancel(call);
    const blocked = this.#connection.blocked;
    const subject = `Call ${call.id} to "${call.procedure.queue}" did not end within ${call.timeout} ms`;
    if (blocked !== undefined) {
      const text = `${subject}: the broker does not take messages (${blocked}), free its memory or disk`;
      this.#pending.reject(call, new RpcError("resource_exhausted", text, { outcome: call.outcome }));
      return;
    }
    if (call.refused) {
      this.#fail(call, "resource_exhausted", `${REFUSED}, until its deadline of ${call.timeout} ms`);
      return;
    }
    const found = await this.#inspector.describe(call.procedure.queue);
    this.#pending.reject(call, new RpcError("deadline_exceeded", subject + found, { outcome: call.outcome }));
  }

  async #sendIfConsumed(call: PendingCall): Promise<void> {
    const why = await this.#inspector.whyUnserved(call.procedure.queue);
    if (call.over) return;
    if (why === undefined) this.#requests.send(call);
    else this.#fail(call, "unavailable", why);
  }
}
