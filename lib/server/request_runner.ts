import { type Codec, decodeBody, encodeBody } from "../contract/codec.ts";
import { isCallError, type RpcCode, RpcError, type RpcOutcome, withOutcome } from "../contract/errors.ts";
import { checkHeaders } from "../contract/headers.ts";
import { anyEnabled, compose, type InterceptedCall, type Interceptor, type Next } from "../contract/interceptor.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import type { RequestContext } from "../contract/request_context.ts";
import { decodeDetails } from "../contract/typed_error.ts";
import { checkContentEncoding } from "../wire/content_encoding.ts";
import { encodeError } from "../wire/error_reply.ts";
import type { HeaderList } from "../wire/message.ts";
import { isDirect } from "../wire/reply_address.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import { HandlerContext } from "./handler_context.ts";
import type { ReplyFate, ReplyPublisher } from "./reply_publisher.ts";
import { deadlineError, type RunningRequest } from "./running_request.ts";
import type { ServerEvent } from "../events/server_event.ts";
import { BACKLOG_MS } from "./stall_detector.ts";

/**
 * Runs one request and returns its result, or a promise of it.
 *
 * @typeParam Context What it knows about its request; interceptors may add to it.
 */
export type Handler<Request, Reply, Context = RequestContext> = (
  request: Request,
  context: Context,
) => Reply | Promise<Reply>;

/** A handler of any types. */
export type AnyHandler = Handler<unknown, unknown, never>;

/** What is done with a delivery when its request has ended; `leave` does nothing. */
export type Settlement = "ack" | "ack now" | "reject" | "requeue" | "leave";

/** What a runner needs from its server. */
export interface RunnerHost {
  readonly replies: ReplyPublisher;
  readonly directReplies: DirectReplyPublisher;
  readonly interceptors: readonly Interceptor[];
  /** Whether the caller has canceled this request. */
  isCanceled(running: RunningRequest): boolean;
  /** The request has ended; called once for each. */
  settle(running: RunningRequest, settlement: Settlement): void;
  /** Whether `handled` is to be emitted at the end of a request. */
  readonly listens: boolean;
  /** The `host:port` of the broker. */
  readonly broker: string | undefined;
  emit(event: ServerEvent): void;
}

const RUNNING = Symbol("running");

/** A call with its running request. A copy made with `{ ...call }` keeps the symbol, so the request is still found. */
interface RunningCall extends InterceptedCall {
  readonly [RUNNING]: { readonly running: RunningRequest; readonly context: HandlerContext };
}

/** What a request is answered with. */
type Answer = RpcError | { readonly body: Uint8Array; readonly headers: HeaderList | undefined };

type RequestEvent = "expired_request" | "returned_request" | "canceled_request" | "caller_left";

/**
 * How long to wait before a request is requeued that may have expired during a stall, in ms. After that time, all
 * requests that arrived during the stall have been read.
 */
const REQUEUE_DELAY_MS = BACKLOG_MS + 50;

/** The longest time that the server tries to send a reply, in ms; shorter if the caller's deadline comes first. */
const REPLY_PATIENCE_MS = 60_000;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * Processes the requests of one procedure or method: refuses or decodes them, runs the handler, replies.
 *
 * Without interceptors, no step is an async function: most handlers return at once, and then no promise is needed.
 */
export class RequestRunner {
  readonly #procedure: AnyProcedure;
  readonly #handler: AnyHandler;
  /** The handler with all interceptors around it; absent if there is none. */
  readonly #intercepted: Next | undefined;
  readonly #host: RunnerHost;

  constructor(procedure: AnyProcedure, handler: AnyHandler, host: RunnerHost) {
    this.#procedure = procedure;
    this.#handler = handler;
    this.#host = host;
    if (host.interceptors.length > 0) this.#intercepted = compose(host.interceptors, (call) => this.#answer(call));
  }

  /** What the interceptors end in: the handler. */
  async #answer(call: InterceptedCall): Promise<unknown> {
    const { running, context } = (call as Partial<RunningCall>)[RUNNING] ?? {};
    if (running === undefined) throw new TypeError("An interceptor must pass on the call that it was given, or a copy");
    const { whyAborted } = running;
    // The interceptors may have taken longer than the caller waits.
    if (whyAborted !== undefined || running.endsAt <= performance.now()) {
      throw new RpcError(
        whyAborted ?? "deadline_exceeded",
        "The request was aborted, or its deadline passed, before the handler started",
      );
    }
    running.executed = true;
    return await this.#handler(call.request, context as never);
  }

  /** Runs a request whose reply address is accepted. */
  run(running: RunningRequest): void {
    running.started = true;
    if (running.whyAborted === "unavailable") {
      // The server is closing: another one gets it.
      this.#end(running, "leave", undefined);
    } else if (running.whyAborted !== undefined || this.#host.isCanceled(running)) {
      this.#emit("canceled_request", running);
      this.#end(running, "ack", "canceled");
    } else if (running.endsAtTheEarliest <= performance.now()) {
      this.#runExpired(running);
    } else {
      const refusal = this.#refusal(running);
      if (refusal === undefined) this.#decode(running);
      else this.#finish(running, refusal);
    }
  }

  /**
   * A running request was delivered again. If that was too often, it is answered with `aborted`, and what its handler
   * still does is ignored.
   */
  redelivered(running: RunningRequest): void {
    if (running.finished || running.earlierDeliveries < this.#procedure.maxDeliveries) return;
    const error = this.#tooOften(running);
    running.abort(error);
    this.#finish(running, error);
  }

  /** Answers a request that has no handler. */
  refuse(running: RunningRequest, error: RpcError): void {
    this.#finish(running, running.redelivered ? withOutcome(error, "unknown") : error);
  }

  /** It may have expired during a stall: requeue it and let the broker apply the expiration. */
  #runExpired(running: RunningRequest): void {
    const { queue, idempotent } = this.#procedure;
    running.finished = true;
    if (running.endsAt <= performance.now()) {
      this.#emit("expired_request", running);
      this.#end(running, "ack", "deadline_exceeded");
    } else if (idempotent === false) {
      const text =
        `Cannot run the request from "${queue}" now: the server was stalled, and the request may have expired during that time`;
      this.#reply(
        running,
        new RpcError("aborted", text, { outcome: running.redelivered ? "unknown" : "not_executed" }),
      );
    } else {
      this.#emit("returned_request", running);
      // After a delay: if it came back at once, it could again look expired, and would be requeued many times.
      setTimeout(() => this.#end(running, "requeue", undefined), REQUEUE_DELAY_MS);
    }
  }

  /** Why a redelivered request is not run again; undefined if it may run. */
  #refusal(running: RunningRequest): RpcError | undefined {
    const { idempotent, maxDeliveries } = this.#procedure;
    if (idempotent === false && running.redelivered) {
      return this.#aborted("the procedure is at-most-once, and this request may have run before");
    }
    return running.earlierDeliveries < maxDeliveries ? undefined : this.#tooOften(running);
  }

  #tooOften(running: RunningRequest): RpcError {
    running.poisonous = true;
    const limit = this.#procedure.maxDeliveries;
    return this.#aborted(
      `it was delivered ${running.earlierDeliveries} times without an answer; the limit is ${limit}`,
    );
  }

  #aborted(why: string): RpcError {
    const text = `Cannot run the request of "${this.#procedure.queue}" again: ${why}`;
    return new RpcError("aborted", text, { outcome: "unknown" });
  }

  #decode(running: RunningRequest): void {
    let value: unknown;
    try {
      const { malformed, properties, body } = running.delivery;
      if (malformed !== undefined) throw new RpcError("invalid_argument", `Cannot decode request: ${malformed}`);
      checkContentEncoding(properties, "request");
      value = decodeBody(this.#procedure.request as Codec<never, unknown>, body, "request");
    } catch (error) {
      this.#undecodable(running, error);
      return;
    }
    if (value instanceof Promise) {
      value.then((decoded) => this.#handle(running, decoded), (error) => this.#undecodable(running, error));
    } else {
      this.#handle(running, value);
    }
  }

  #undecodable(running: RunningRequest, error: unknown): void {
    const outcome = running.redelivered ? "unknown" : "not_executed";
    this.#finish(
      running,
      error instanceof RpcError ? withOutcome(error, outcome) : this.#internal(running, error, outcome),
    );
  }

  #handle(running: RunningRequest, value: unknown): void {
    // An asynchronous validator may have taken longer than the caller waits.
    if (running.endsAt <= performance.now()) running.abort(deadlineError());
    if (running.whyAborted !== undefined) {
      this.#finish(
        running,
        new RpcError(running.whyAborted, "The request was aborted, or its deadline passed, before the handler started"),
      );
      return;
    }
    // In a variable, so that `this` is undefined inside the handler.
    const handler = this.#handler;
    let result: unknown;
    let waits: boolean;
    try {
      if (this.#intercepted === undefined || !anyEnabled(this.#host.interceptors)) {
        running.executed = true;
        result = handler(value, new HandlerContext(running) as never);
      } else {
        result = this.#intercept(this.#intercepted, running, value);
      }
      waits = isThenable(result);
    } catch (error) {
      this.#throw(running, error);
      return;
    }
    if (waits) {
      Promise.resolve(result)
        .then((reply) => this.#succeed(running, reply), (error) => this.#throw(running, error))
        .catch((error) => this.#broken(running, error));
    } else {
      this.#succeed(running, result);
    }
  }

  #intercept(intercepted: Next, running: RunningRequest, request: unknown): Promise<unknown> {
    const { queue, method } = this.#procedure;
    const { headers, signal, deadline, messageId, arrivedAt } = running;
    const context = new HandlerContext(running);
    const call: RunningCall = {
      side: "server",
      queue,
      method,
      request,
      headers,
      signal,
      deadline,
      messageId,
      broker: this.#host.broker,
      parent: undefined,
      context: context as RequestContext,
      arrivedAt,
      onAnswer: (listener) => running.onAnswer(listener),
      [RUNNING]: { running, context },
    };
    return intercepted(call);
  }

  #succeed(running: RunningRequest, result: unknown): void {
    let body: Uint8Array;
    let headers: HeaderList | undefined;
    try {
      body = encodeBody(this.#procedure.reply as Codec<unknown, unknown>, result, "reply");
      headers = this.#replyHeaders(running);
    } catch (error) {
      this.#finish(running, this.#internal(running, error));
      return;
    }
    this.#finish(running, { body, headers });
  }

  /** A defect of this library: the request stays unanswered, and the process goes on. */
  #broken({ messageId }: RunningRequest, error: unknown): void {
    const { queue, method } = this.#procedure;
    this.#host.emit({ type: "handler_error", queue, method, messageId, id: "unanswered", error });
  }

  #replyHeaders(running: RunningRequest): HeaderList | undefined {
    const headers = running.setReplyHeaders;
    return headers === undefined ? undefined : checkHeaders(headers, "reply");
  }

  #throw(running: RunningRequest, error: unknown): void {
    // If the handler has not started, an interceptor refused the request.
    const outcome = running.executed ? "executed" : running.redelivered ? "unknown" : "not_executed";
    // The error of a nested call is not an error that this handler has chosen for its caller.
    if (!(error instanceof RpcError) || isCallError(error)) {
      this.#finish(running, this.#internal(running, error, outcome));
      return;
    }
    let checked: RpcError | Promise<RpcError>;
    try {
      checked = decodeDetails(this.#procedure.errors, error);
    } catch (fault) {
      this.#finish(running, this.#internal(running, fault, outcome));
      return;
    }
    // The details are sent as they were thrown, not as the codec decodes them.
    const answer = withOutcome(error, outcome);
    if (!(checked instanceof Promise)) this.#finish(running, answer);
    else {
      checked.then(
        () => this.#finish(running, answer),
        (fault) => this.#finish(running, this.#internal(running, fault, outcome)),
      );
    }
  }

  #finish(running: RunningRequest, answer: Answer): void {
    if (running.finished) return;
    running.finished = true;
    running.end();
    const now = running.answeredAt = performance.now();
    const why = running.whyAborted;
    if (why === "canceled" || why === "deadline_exceeded" || running.endsAt <= now) {
      const code = why === "canceled" ? why : "deadline_exceeded";
      running.answered(code);
      this.#emit(why === "canceled" ? "canceled_request" : "expired_request", running);
      this.#end(running, "ack", code);
    } else if (why === "unavailable" && answer instanceof RpcError) {
      running.answered(why);
      // Aborted by the shutdown: not acknowledged, so that another server gets it.
      this.#end(running, "leave", undefined);
    } else {
      running.answered(answer instanceof RpcError ? answer.code : "ok");
      this.#reply(running, answer);
    }
  }

  /** The text of an unknown exception stays on the server. */
  #internal({ messageId }: RunningRequest, error: unknown, outcome: RpcOutcome = "executed"): RpcError {
    const id = crypto.randomUUID();
    const { queue, method } = this.#procedure;
    this.#host.emit({ type: "handler_error", queue, method, messageId, id, error });
    return new RpcError("internal", `The server failed; its log has the reason under id ${id}`, { outcome, id });
  }

  #reply(running: RunningRequest, answer: Answer): void {
    const { replyTo, correlationId } = running.meta;
    const isError = answer instanceof RpcError;
    const direct = isDirect(replyTo);
    // Acknowledged before it is answered: a request that is refused as `not_executed` must not be redelivered to a server
    // that runs it, and a reply to a direct address must not be sent twice.
    const refused = isError && answer.outcome === "not_executed";
    const early = direct || refused;
    const code = isError ? answer.code : "ok";
    if (isError) running.error = answer;
    if (early) this.#end(running, running.poisonous ? "reject" : refused ? "ack now" : "ack", code);
    const { replies, directReplies } = this.#host;
    (direct ? directReplies : replies).send({
      replyTo,
      correlationId,
      body: isError ? encodeError(answer) : answer.body,
      contentType: isError ? "application/json" : this.#procedure.reply.contentType,
      isError,
      headers: isError ? this.#errorHeaders(running) : answer.headers,
      deadline: Math.min(running.endsAt, performance.now() + REPLY_PATIENCE_MS),
      done: (fate, why) => this.#replied(running, fate, why, early ? undefined : code),
    });
  }

  /** Invalid headers are left out, so that the error is sent nevertheless. */
  #errorHeaders(running: RunningRequest): HeaderList | undefined {
    try {
      return this.#replyHeaders(running);
    } catch {
      return undefined;
    }
  }

  #replied(running: RunningRequest, fate: ReplyFate, why: string, code: RpcCode | "ok" | undefined): void {
    if (fate === "returned") this.#emit("caller_left", running);
    if (fate === "dropped" || fate === "harmful") {
      const { messageId } = running;
      this.#host.emit({ type: "reply_dropped", queue: this.#procedure.queue, messageId, reason: why });
    }
    if (code !== undefined) this.#end(running, running.poisonous || fate === "harmful" ? "reject" : "ack", code);
  }

  #emit(type: RequestEvent, { messageId }: RunningRequest): void {
    this.#host.emit({ type, queue: this.#procedure.queue, messageId });
  }

  /** @param code How the request ended; absent if another server gets it. */
  #end(running: RunningRequest, settlement: Settlement, code: RpcCode | "ok" | undefined): void {
    running.end();
    this.#host.settle(running, settlement);
    if (code === undefined || !this.#host.listens) return;
    const { queue } = this.#procedure;
    const { method, messageId, error, redelivered, executed, arrivedAt, answeredAt } = running;
    const duration = (answeredAt ?? performance.now()) - arrivedAt;
    this.#host.emit({ type: "handled", queue, method, messageId, code, error, duration, redelivered, executed });
  }
}
