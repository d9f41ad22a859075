import { type RpcCode, RpcError, type RpcOutcome, withOutcome } from "../contract/errors.ts";
import { checkHeaders } from "../contract/headers.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import type { ServerEvent } from "../events/server_event.ts";
import { messageIdOf, type RequestMeta } from "../wire/request_message.ts";
import type { ByteString } from "../wire/byte_string.ts";
import { encodeError } from "../wire/error_reply.ts";
import type { HeaderList } from "../wire/message.ts";
import { isDirect } from "../wire/reply_address.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import type { Reply, ReplyFate, ReplyPublisher } from "./reply_publisher.ts";
import type { RunningRequest } from "./running_request.ts";
import type { StallDetector } from "./stall_detector.ts";

/** What is done with a delivery when its request has ended; `leave` does nothing. */
export type Settlement = "ack" | "ack now" | "reject" | "requeue" | "leave";

/** What answers need from their server. */
export interface AnswerHost {
  readonly replies: ReplyPublisher;
  readonly directReplies: DirectReplyPublisher;
  readonly stalls: Pick<StallDetector<RunningRequest>, "seen">;
  /** Its answer is ready: its handler has ended, or was not started. */
  handled(running: RunningRequest, now: number): void;
  /** The request has ended; called once for each. */
  settle(running: RunningRequest, settlement: Settlement): void;
  /** A reply was returned: its caller has left. */
  replyReturned(replyTo: ByteString): void;
  /** Whether `handled` is to be emitted at the end of a request. */
  readonly listens: boolean;
  emit(event: ServerEvent): void;
}

/** What a request is answered with. */
type Answer = RpcError | { readonly body: Uint8Array; readonly headers: HeaderList | undefined };

type RequestEvent = "expired_request" | "returned_request" | "canceled_request" | "caller_left";

/** The longest time that the server tries to send a reply, in ms; shorter if the caller's deadline comes first. */
const REPLY_PATIENCE_MS = 60_000;

/** The error without its claim that the request was not executed. */
function doubtful(error: RpcError): RpcError {
  return error.outcome === "not_executed" ? withOutcome(error, "unknown") : error;
}

/** The body of an error after a loss: the ack that came before it may be lost as well. */
function bodyIfLost(error: RpcError): () => Uint8Array {
  return () => encodeError(doubtful(error));
}

/** Answers the requests of one procedure or method, and settles their deliveries. */
export class RequestAnswers {
  readonly #procedure: AnyProcedure;
  readonly #host: AnswerHost;

  constructor(procedure: AnyProcedure, host: AnswerHost) {
    this.#procedure = procedure;
    this.#host = host;
  }

  /** Ends a request with its answer; a second answer is ignored. */
  finish(running: RunningRequest, answer: Answer): void {
    if (running.finished) return;
    running.finished = true;
    running.end();
    const now = running.answeredAt = performance.now();
    if (running.executed) running.figures?.handled(now - running.startedAt, now);
    this.#host.stalls.seen(now, running);
    this.#host.handled(running, now);
    const why = running.whyAborted;
    if (why === "canceled" || why === "deadline_exceeded" || running.endsAt <= now) {
      const code = why === "canceled" ? why : "deadline_exceeded";
      running.answered(code);
      this.emit(why === "canceled" ? "canceled_request" : "expired_request", running);
      this.end(running, "ack", code);
    } else if (why === "unavailable" && answer instanceof RpcError) {
      running.answered(why);
      // Aborted by the shutdown: not acknowledged, so that another server gets it.
      this.end(running, "leave", undefined);
    } else {
      running.answered(answer instanceof RpcError ? answer.code : "ok");
      this.reply(running, answer);
    }
  }

  /** The text of an unknown exception stays on the server. */
  internal({ messageId }: RunningRequest, error: unknown, outcome: RpcOutcome = "executed"): RpcError {
    const id = crypto.randomUUID();
    const { queue, method } = this.#procedure;
    this.#host.emit({ type: "handler_error", queue, method, messageId, id, error });
    return new RpcError("internal", `The server failed; its log has the reason under id ${id}`, { outcome, id });
  }

  /** @throws {RpcError | TypeError} If a header is not valid. */
  replyHeaders(running: RunningRequest): HeaderList | undefined {
    const headers = running.setReplyHeaders;
    return headers === undefined ? undefined : checkHeaders(headers, "reply");
  }

  /** Sends the answer, and acknowledges the request before or after that. */
  reply(running: RunningRequest, given: Answer): void {
    const { replyTo, correlationId } = running.meta;
    const direct = isDirect(replyTo);
    // Without a channel it cannot be taken off the queue, and another server may run it.
    const answer = given instanceof RpcError && running.acks.closed ? doubtful(given) : given;
    const isError = answer instanceof RpcError;
    // Acknowledged before it is answered: a request that is refused as `not_executed` must not be redelivered to a server
    // that runs it, and a reply to a direct address must not be sent twice.
    const refused = isError && answer.outcome === "not_executed";
    const early = direct || refused;
    const code = isError ? answer.code : "ok";
    if (isError) {
      running.error = answer;
      running.figures?.failed(answer);
    }
    const body = isError ? encodeError(answer) : answer.body;
    const publisher = direct ? this.#host.directReplies : this.#host.replies;
    // The prefetch does not limit how many of those wait during an alarm. So if too many wait, the request is acknowledged
    // only when its reply is about to be written.
    const late = early && publisher.isFull(body.length);
    const settlement = running.poisonous ? "reject" : refused ? "ack now" : "ack";
    if (early && !late) this.end(running, settlement, code);
    const { acks } = running;
    publisher.send({
      replyTo,
      correlationId,
      body,
      contentType: isError ? "application/json" : this.#procedure.reply.contentType,
      isError,
      bodyIfLost: refused ? bodyIfLost(answer) : undefined,
      // The broker may not have read the ack, or will not read it.
      isLost: refused ? () => acks.closed : undefined,
      headers: isError ? this.#errorHeaders(running) : answer.headers,
      deadline: Math.min(running.endsAt, (running.answeredAt ?? performance.now()) + REPLY_PATIENCE_MS),
      take: late ? () => this.end(running, settlement, code) : undefined,
      // If the request is off the queue, no more of it is kept than its reply needs.
      done: early && !late ? this.#onSent(running.meta) : (fate, why) => this.#answered(running, fate, why, code),
    });
  }

  /** Invalid headers are left out, so that the error is sent nevertheless. */
  #errorHeaders(running: RunningRequest): HeaderList | undefined {
    try {
      return this.replyHeaders(running);
    } catch {
      return undefined;
    }
  }

  #onSent(meta: RequestMeta): Reply["done"] {
    return (fate, why) => this.#sent(meta, fate, why);
  }

  /** A reply has ended whose request was taken off the queue before. */
  #sent(meta: RequestMeta, fate: ReplyFate, why: string): void {
    if (fate === "confirmed") return;
    const { queue } = this.#procedure;
    const messageId = messageIdOf(meta);
    if (fate === "returned") {
      this.#host.replyReturned(meta.replyTo);
      this.#host.emit({ type: "caller_left", queue, messageId });
    } else {
      this.#host.emit({ type: "reply_dropped", queue, messageId, reason: why });
    }
  }

  /** A reply has ended; its request is taken off the queue, unless that is done already. */
  #answered(running: RunningRequest, fate: ReplyFate, why: string, code: RpcCode | "ok"): void {
    this.#sent(running.meta, fate, why);
    if (running.settled) return;
    this.end(running, running.poisonous || fate === "harmful" ? "reject" : "ack", code);
  }

  /** Emits an event of a request. */
  emit(type: RequestEvent, { messageId }: RunningRequest): void {
    this.#host.emit({ type, queue: this.#procedure.queue, messageId });
  }

  /**
   * Ends a request.
   *
   * @param code How it ended; absent if another server gets it.
   */
  end(running: RunningRequest, settlement: Settlement, code: RpcCode | "ok" | undefined): void {
    running.end();
    this.#host.settle(running, settlement);
    if (code === undefined) return;
    running.figures?.ended(code, running.executed);
    if (!this.#host.listens) return;
    const { queue } = this.#procedure;
    const { method, messageId, error, redelivered, executed, arrivedAt, answeredAt } = running;
    const duration = (answeredAt ?? performance.now()) - arrivedAt;
    this.#host.emit({ type: "handled", queue, method, messageId, code, error, duration, redelivered, executed });
  }
}
