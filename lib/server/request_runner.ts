import { decodeBody, encodeBody } from "../contract/codec.ts";
import { RpcError, type RpcOutcome, withOutcome } from "../contract/errors.ts";
import type { Procedure } from "../contract/procedure.ts";
import { checkContentEncoding } from "../wire/content_encoding.ts";
import { encodeError } from "../wire/error_reply.ts";
import { isDirect } from "../wire/reply_address.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import type { ReplyFate, ReplyPublisher } from "./reply_publisher.ts";
import { deadlineError, type RequestContext, type RunningRequest } from "./request_context.ts";
import type { ServerEvent } from "./server_event.ts";

/** Runs one request and gives its result. */
export type Handler<Request, Reply> = (request: Request, context: RequestContext) => Reply | Promise<Reply>;

/** What becomes of a delivery when its request has ended. */
export type Settlement = "ack" | "reject" | "requeue" | "leave";

/** What a runner needs of its server. */
export interface RunnerHost {
  readonly replies: ReplyPublisher;
  readonly directReplies: DirectReplyPublisher;
  /** Whether the caller has taken this request back. */
  isCanceled(running: RunningRequest): boolean;
  /** The request has ended; called once for each. */
  settle(running: RunningRequest, settlement: Settlement): void;
  emit(event: ServerEvent): void;
}

/** What a request is answered with. */
type Answer = RpcError | { readonly body: Uint8Array };

type RequestEvent = Exclude<
  Extract<ServerEvent, { readonly messageId: string | undefined }>,
  { readonly reason: string }
>;

/** How long a reply to a caller without a deadline is worth sending, in ms. */
const REPLY_PATIENCE_MS = 60_000;

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * The life of the requests of one procedure: refuse or decode, run the handler, reply.
 *
 * No step is an async function: most handlers answer at once, and then nothing waits.
 */
export class RequestRunner<RequestIn, RequestOut, ReplyIn, ReplyOut> {
  readonly #procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>;
  readonly #handler: Handler<RequestOut, ReplyIn>;
  readonly #host: RunnerHost;

  constructor(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
    handler: Handler<RequestOut, ReplyIn>,
    host: RunnerHost,
  ) {
    this.#procedure = procedure;
    this.#handler = handler;
    this.#host = host;
  }

  /** Runs a request, whose reply address has been accepted. */
  run(running: RunningRequest): void {
    if (running.whyAborted !== undefined || this.#host.isCanceled(running)) {
      this.#tell("canceled_request", running);
      this.#end(running, "ack");
    } else if (running.endsAtTheEarliest <= performance.now()) {
      this.#runExpired(running);
    } else {
      const refusal = this.#refusal(running);
      if (refusal === undefined) this.#decode(running);
      else this.#finish(running, refusal);
    }
  }

  /** It may have expired during a stall: requeue it and let the broker apply the expiration. */
  #runExpired(running: RunningRequest): void {
    const { queue, idempotent } = this.#procedure;
    if (running.endsAt <= performance.now()) {
      this.#tell("expired_request", running);
      this.#end(running, "ack");
    } else if (idempotent === false) {
      const text = `Cannot run the request of "${queue}": its server was stalled, and it may have expired meanwhile`;
      this.#reply(
        running,
        new RpcError("aborted", text, { outcome: running.redelivered ? "unknown" : "not_executed" }),
      );
    } else {
      this.#tell("returned_request", running);
      this.#end(running, "requeue");
    }
  }

  /** Why a request that was delivered before is not run again, if it is not. */
  #refusal(running: RunningRequest): RpcError | undefined {
    const { queue, idempotent, maxDeliveries } = this.#procedure;
    let why: string;
    if (idempotent === false && running.redelivered) {
      why = "the procedure is at-most-once, and this request may have run before";
    } else if ((running.deliveryCount ?? 0) >= maxDeliveries) {
      running.poisonous = true;
      why = `it was delivered ${running.deliveryCount} times without an answer; the limit is ${maxDeliveries}`;
    } else {
      return undefined;
    }
    return new RpcError("aborted", `Cannot run the request of "${queue}" again: ${why}`, { outcome: "unknown" });
  }

  #decode(running: RunningRequest): void {
    let value: RequestOut | Promise<RequestOut>;
    try {
      const { malformed, properties, body } = running.delivery;
      if (malformed !== undefined) throw new RpcError("invalid_argument", `Cannot decode request: ${malformed}`);
      checkContentEncoding(properties, "request");
      value = decodeBody(this.#procedure.request, body, "request");
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
    this.#finish(running, error instanceof RpcError ? withOutcome(error, outcome) : this.#internal(error, outcome));
  }

  #handle(running: RunningRequest, value: RequestOut): void {
    // An asynchronous validator may have taken longer than the caller waits.
    if (running.endsAt <= performance.now()) running.abort(deadlineError());
    if (running.whyAborted !== undefined) {
      this.#finish(running, new RpcError(running.whyAborted, "Nobody waits any more"));
      return;
    }
    // Called unbound, so `this` is undefined.
    const handler = this.#handler;
    let result: ReplyIn | PromiseLike<ReplyIn>;
    let waits: boolean;
    try {
      result = handler(value, running);
      waits = isThenable(result);
    } catch (error) {
      this.#throw(running, error);
      return;
    }
    if (waits) {
      Promise.resolve(result).then((reply) => this.#succeed(running, reply), (error) => this.#throw(running, error));
    } else {
      this.#succeed(running, result as ReplyIn);
    }
  }

  #succeed(running: RunningRequest, result: ReplyIn): void {
    let body: Uint8Array;
    try {
      body = encodeBody(this.#procedure.reply, result, "reply");
    } catch (error) {
      this.#finish(running, this.#internal(error));
      return;
    }
    this.#finish(running, { body });
  }

  /** The outcome of a nested call is not the outcome of this one. */
  #throw(running: RunningRequest, error: unknown): void {
    this.#finish(running, error instanceof RpcError ? withOutcome(error, "executed") : this.#internal(error));
  }

  #finish(running: RunningRequest, answer: Answer): void {
    running.end();
    const why = running.whyAborted;
    if (why === "canceled" || why === "deadline_exceeded" || running.endsAt <= performance.now()) {
      this.#tell(why === "canceled" ? "canceled_request" : "expired_request", running);
      this.#end(running, "ack");
    } else if (why === "unavailable" && answer instanceof RpcError) {
      // Stopped by the shutdown: not acknowledged, so another server gets it.
      this.#end(running, "leave");
    } else {
      this.#reply(running, answer);
    }
  }

  /** The text of an unknown exception stays on the server. */
  #internal(error: unknown, outcome: RpcOutcome = "executed"): RpcError {
    const id = crypto.randomUUID();
    this.#host.emit({ type: "handler_error", queue: this.#procedure.queue, id, error });
    return new RpcError("internal", `The server failed, its log says why under id ${id}`, { outcome, id });
  }

  #reply(running: RunningRequest, answer: Answer): void {
    const { replyTo, correlationId } = running.meta;
    const isError = answer instanceof RpcError;
    const direct = isDirect(replyTo);
    // Acknowledged first: what "will not" run must not be redelivered to a server that would run it, and a direct
    // address that has cost a connection must not be used again.
    const early = direct || (isError && answer.outcome === "not_executed");
    if (early) this.#end(running, running.poisonous ? "reject" : "ack");
    const { replies, directReplies } = this.#host;
    (direct ? directReplies : replies).send({
      replyTo,
      correlationId,
      body: isError ? encodeError(answer) : answer.body,
      contentType: isError ? "application/json" : this.#procedure.reply.contentType,
      isError,
      deadline: Math.min(running.endsAt, performance.now() + REPLY_PATIENCE_MS),
      done: (fate, why) => this.#replied(running, fate, why, early),
    });
  }

  #replied(running: RunningRequest, fate: ReplyFate, why: string, ended: boolean): void {
    if (fate === "returned") this.#tell("caller_left", running);
    if (fate === "dropped" || fate === "harmful") {
      const { messageId } = running;
      this.#host.emit({ type: "reply_dropped", queue: this.#procedure.queue, messageId, reason: why });
    }
    if (!ended) this.#end(running, running.poisonous || fate === "harmful" ? "reject" : "ack");
  }

  #tell(type: RequestEvent["type"], { messageId }: RunningRequest): void {
    this.#host.emit({ type, queue: this.#procedure.queue, messageId });
  }

  #end(running: RunningRequest, settlement: Settlement): void {
    running.end();
    this.#host.settle(running, settlement);
  }
}
