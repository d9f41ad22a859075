import { type Codec, decodeBody, encodeBody } from "../contract/codec.ts";
import { isCallError, RpcError, type RpcOutcome, withOutcome } from "../contract/errors.ts";
import { anyEnabled, compose, type InterceptedCall, type Interceptor, type Next } from "../contract/interceptor.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import type { RequestContext } from "../contract/request_context.ts";
import { decodeDetails } from "../contract/typed_error.ts";
import { fromByteString } from "../wire/byte_string.ts";
import { checkContentEncoding } from "../wire/content_encoding.ts";
import type { HeaderList } from "../wire/message.ts";
import { HandlerContext } from "./handler_context.ts";
import { type AnswerHost, RequestAnswers } from "./request_answers.ts";
import { deadlineError, type RunningRequest } from "./running_request.ts";
import { BACKLOG_MS } from "./stall_detector.ts";
import { WorkerEndedError } from "./worker_ended_error.ts";

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

/** What a runner needs from its server. */
export interface RunnerHost extends AnswerHost {
  readonly interceptors: readonly Interceptor[];
  /** Whether the caller has canceled this request. */
  isCanceled(running: RunningRequest): boolean;
  /** The `host:port` of the broker. */
  readonly broker: string | undefined;
}

const RUNNING = Symbol("running");

/** A call with its running request. A copy made with `{ ...call }` keeps the symbol, so the request is still found. */
interface RunningCall extends InterceptedCall {
  readonly [RUNNING]: { readonly running: RunningRequest; readonly context: HandlerContext };
}

/**
 * How long to wait before a request is requeued that may have expired during a stall, in ms. After that time, all
 * requests that arrived during the stall have been read.
 */
const REQUEUE_DELAY_MS = BACKLOG_MS + 50;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** The outcome of an error; if the handler has not started, an interceptor answered or refused the request. */
function outcomeOf({ executed, redelivered }: RunningRequest): RpcOutcome {
  return executed ? "executed" : redelivered ? "unknown" : "not_executed";
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
  readonly #answers: RequestAnswers;

  constructor(procedure: AnyProcedure, handler: AnyHandler, host: RunnerHost) {
    this.#procedure = procedure;
    this.#handler = handler;
    this.#host = host;
    this.#answers = new RequestAnswers(procedure, host);
    if (host.interceptors.length > 0) this.#intercepted = compose(host.interceptors, (call) => this.#answer(call));
  }

  /** What the interceptors end in: the handler. */
  async #answer(call: InterceptedCall): Promise<unknown> {
    const { running, context } = (call as Partial<RunningCall>)[RUNNING] ?? {};
    if (running === undefined) throw new TypeError("An interceptor must pass on the call that it was given, or a copy");
    // An interceptor may have refused it meanwhile, and its caller may have been told that it was not executed.
    if (running.finished) throw new RpcError("aborted", "The request was answered before the handler started");
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
    const now = performance.now();
    if (running.whyAborted === "unavailable") {
      // The server is closing: another one gets it.
      this.#answers.end(running, "leave", undefined);
    } else if (running.whyAborted !== undefined || this.#host.isCanceled(running)) {
      this.#answers.emit("canceled_request", running);
      this.#answers.end(running, "ack", "canceled");
    } else if (running.endsAtTheEarliest <= now) {
      this.#runExpired(running);
    } else {
      const refusal = this.#refusal(running);
      if (refusal === undefined) this.#decode(running, now);
      else this.#answers.finish(running, refusal);
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
    this.#answers.finish(running, error);
  }

  /** Its caller has left: it is not run. */
  leave(running: RunningRequest): void {
    running.started = true;
    running.finished = true;
    this.#answers.emit("caller_left", running);
    this.#answers.end(running, "ack", "canceled");
  }

  /** Answers a request that has no handler. */
  refuse(running: RunningRequest, error: RpcError): void {
    this.#answers.finish(running, running.redelivered ? withOutcome(error, "unknown") : error);
  }

  /** It may have expired during a stall: requeue it and let the broker apply the expiration. */
  #runExpired(running: RunningRequest): void {
    const { queue, idempotent } = this.#procedure;
    running.finished = true;
    if (running.endsAt <= performance.now()) {
      this.#answers.emit("expired_request", running);
      this.#answers.end(running, "ack", "deadline_exceeded");
    } else if (idempotent === false) {
      const text =
        `Cannot run the request from "${queue}" now: the server was stalled, and the request may have expired during that time`;
      this.#answers.reply(
        running,
        new RpcError("aborted", text, { outcome: running.redelivered ? "unknown" : "not_executed" }),
      );
    } else {
      this.#answers.emit("returned_request", running);
      // After a delay: if it came back at once, it could again look expired, and would be requeued many times.
      setTimeout(() => this.#answers.end(running, "requeue", undefined), REQUEUE_DELAY_MS);
    }
  }

  /** Why a redelivered request is not run again; undefined if it may run. */
  #refusal(running: RunningRequest): RpcError | undefined {
    const { idempotent, maxDeliveries } = this.#procedure;
    // The broker does not say who had it; one that this server never saw may have been with another one meanwhile.
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

  #decode(running: RunningRequest, now: number): void {
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
      value.then(
        (decoded) => this.#handle(running, decoded, performance.now()),
        (error) => this.#undecodable(running, error),
      );
    } else {
      this.#handle(running, value, now);
    }
  }

  #undecodable(running: RunningRequest, error: unknown): void {
    const outcome = running.redelivered ? "unknown" : "not_executed";
    this.#answers.finish(
      running,
      error instanceof RpcError ? withOutcome(error, outcome) : this.#answers.internal(running, error, outcome),
    );
  }

  #handle(running: RunningRequest, value: unknown, now: number): void {
    this.#host.stalls.seen(now);
    // An asynchronous validator may have taken longer than the caller waits.
    if (running.endsAt <= now) running.abort(deadlineError());
    if (running.whyAborted !== undefined) {
      this.#answers.finish(
        running,
        new RpcError(running.whyAborted, "The request was aborted, or its deadline passed, before the handler started"),
      );
      return;
    }
    running.startedAt = now;
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
      this.#host.stalls.seen(performance.now(), running);
      this.#throw(running, error);
      return;
    }
    if (waits) {
      this.#host.stalls.seen(performance.now(), running);
      Promise.resolve(result)
        .then((reply) => this.#succeed(running, reply), (error) => this.#throw(running, error))
        .catch((error) => this.#broken(running, error));
    } else {
      this.#succeed(running, result);
    }
  }

  #intercept(intercepted: Next, running: RunningRequest, request: unknown): Promise<unknown> {
    const { queue, method } = this.#procedure;
    const { headers, signal, deadline, messageId, arrivedAt, meta: { correlationId } } = running;
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
      correlationId: correlationId === undefined ? undefined : fromByteString(correlationId),
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
      headers = this.#answers.replyHeaders(running);
    } catch (error) {
      this.#answers.finish(running, this.#answers.internal(running, error, outcomeOf(running)));
      return;
    }
    this.#answers.finish(running, { body, headers });
  }

  /** A defect of this library: the request stays unanswered, and the process goes on. */
  #broken({ messageId }: RunningRequest, error: unknown): void {
    const { queue, method } = this.#procedure;
    this.#host.emit({ type: "handler_error", queue, method, messageId, id: "unanswered", error });
  }

  #throw(running: RunningRequest, error: unknown): void {
    const outcome = error instanceof WorkerEndedError ? "unknown" : outcomeOf(running);
    // The error of a nested call is not an error that this handler has chosen for its caller. But after an abort it is what
    // every handler throws that passes its signal on, and nobody gets it.
    if (!(error instanceof RpcError) || (isCallError(error) && running.whyAborted === undefined)) {
      this.#answers.finish(running, this.#answers.internal(running, error, outcome));
      return;
    }
    let checked: RpcError | Promise<RpcError>;
    try {
      checked = decodeDetails(this.#procedure.errors, error);
    } catch (fault) {
      this.#answers.finish(running, this.#answers.internal(running, fault, outcome));
      return;
    }
    // The details are sent as they were thrown, not as the codec decodes them.
    const answer = withOutcome(error, outcome);
    if (!(checked instanceof Promise)) this.#answers.finish(running, answer);
    else {
      checked.then(
        () => this.#answers.finish(running, answer),
        (fault) => this.#answers.finish(running, this.#answers.internal(running, fault, outcome)),
      );
    }
  }
}
