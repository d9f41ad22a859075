import type { AckBatcher } from "./ack_batcher.ts";
import { type RpcCode, RpcError } from "../contract/errors.ts";
import { emitTo } from "../events/event_listener.ts";
import type { Headers } from "../contract/headers.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import { isSendable } from "../contract/headers.ts";
import type { ByteString } from "../wire/byte_string.ts";
import type { Delivery } from "../wire/message.ts";
import { readStringHeaders } from "../wire/string_headers.ts";
import { messageIdOf, type RequestMeta } from "../wire/request_message.ts";
import type { MethodFigures } from "./method_figures.ts";

/** The reason of a signal that is aborted at the deadline. */
export function deadlineError(): RpcError {
  return new RpcError("deadline_exceeded", "The caller's deadline has passed");
}

/** What takes requests in, and is to know how they end. */
export interface Intake {
  /** Starts it, refuses it, or keeps it until a handler is free. */
  arrived(running: RunningRequest): void;
  /** The handler has ended. */
  handled(running: RunningRequest): void;
  /** The delivery was acknowledged, rejected or left. */
  settled(running: RunningRequest): void;
  /** Its signal was aborted. */
  aborted(running: RunningRequest): void;
}

/** Where and when a request arrived; times are on the clock of `performance.now()`. */
export interface Arrival {
  readonly acks: AckBatcher;
  readonly intake: Intake;
  readonly arrivedAt: number;
  /** Earlier than `arrivedAt` by the time that this process may have been stalled before it read the request. */
  readonly arrivedAfter: number;
  /** How long it had waited at least, in ms. */
  readonly waited: number;
}

/** What a request's context needs from its server. */
export interface ContextHost {
  /** The queue that is served. */
  readonly queue: string;
  /** The names of the headers that nested calls send too. */
  readonly propagate: readonly string[];
  callerAlive(replyTo: ByteString): Promise<boolean>;
  /** Whether the waits of a caller's requests are known, and not only a lower bound of them. */
  knowsWaits(replyTo: ByteString): boolean;
}

/** One request that is delivered and not answered yet. */
export class RunningRequest {
  /** The first delivery. */
  readonly delivery: Delivery;
  readonly meta: RequestMeta;
  /** Where its last delivery is acknowledged. */
  acks: AckBatcher;
  /** The tag of its last delivery. */
  deliveryTag: number;
  /** How often it was delivered before, by the count of the broker or of this server, whichever is larger. */
  earlierDeliveries: number;
  /** What it was taken in by. */
  readonly intake: Intake;
  /** Whether it has one of the handlers that may run at once. */
  holdsHandler = false;
  /** How long it had waited at least when it arrived, in ms. */
  readonly waited: number;
  /** When its caller stops waiting, at the latest, on the clock of `performance.now()`. */
  readonly endsAt: number;
  /** The same, if the broker's clock was never set: nothing ends by it, but it may be refused. */
  readonly likelyEndsAt: number;
  /** Earlier than `endsAt` by the time that this process may have been stalled before it read the request. */
  readonly endsAtTheEarliest: number;
  /** Whether its runner has it. */
  started = false;
  /** Whether it has its answer, or will get none. */
  finished = false;
  /** Whether its delivery is acknowledged, rejected or left to the broker. */
  settled = false;
  /** Whether its handler was started. */
  executed = false;
  /** When its handler, or the interceptors around it, was called, on the clock of `performance.now()`. */
  startedAt = 0;
  /** Whether it was delivered too often to be run again. */
  poisonous = false;
  /** When its answer was ready, on the clock of `performance.now()`; absent if it has none yet. */
  answeredAt: number | undefined;
  /** The error that it is answered with. */
  error: RpcError | undefined;
  /** When it arrived, on the clock of `performance.now()`. */
  readonly arrivedAt: number;
  /** Where it is counted. */
  figures: MethodFigures | undefined;
  /** The method that it is for; absent for a procedure with a queue of its own. */
  method: string | undefined;
  readonly #host: ContextHost;
  #answerListeners: ((code: RpcCode | "ok") => void)[] | undefined;
  #headers: Headers | undefined;
  #replyHeaders: Record<string, string> | undefined;
  #controller: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #aborted: RpcError | undefined;
  #ended = false;

  constructor(
    delivery: Delivery,
    meta: RequestMeta,
    { acks, intake, arrivedAt, arrivedAfter, waited }: Arrival,
    host: ContextHost,
  ) {
    this.delivery = delivery;
    this.meta = meta;
    this.acks = acks;
    this.deliveryTag = delivery.deliveryTag;
    this.earlierDeliveries = meta.deliveryCount ?? 0;
    this.intake = intake;
    this.arrivedAt = arrivedAt;
    this.waited = waited;
    const { expiration = Infinity, brokerTime } = meta;
    this.likelyEndsAt = arrivedAt - waited + expiration;
    this.endsAt = brokerTime === undefined ? this.likelyEndsAt : arrivedAt + expiration;
    this.endsAtTheEarliest = Math.min(arrivedAfter + expiration, this.endsAt);
    this.#host = host;
  }

  /** Takes over a redelivery of the same message: this one is acknowledged in place of the last. */
  attach(deliveryTag: number, { deliveryCount = 0 }: RequestMeta, acks: AckBatcher): void {
    this.acks.drop(this.deliveryTag);
    this.acks = acks;
    this.deliveryTag = deliveryTag;
    this.earlierDeliveries = Math.max(deliveryCount, this.earlierDeliveries + 1);
  }

  /** How long its caller waits in all, in ms; absent for plain clients. */
  get expiration(): number | undefined {
    return this.meta.expiration;
  }

  /** Whether its client sends its clock. */
  get clocked(): boolean {
    return this.meta.sentAt !== undefined;
  }

  /** Whether `waited` is about the true wait, and not only a lower bound of it. */
  get known(): boolean {
    return this.#host.knowsWaits(this.meta.replyTo);
  }

  /** Why it was aborted, if it was. */
  get whyAborted(): RpcCode | undefined {
    return this.#aborted?.code;
  }

  /** Created on first use: most handlers do not use it. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
      else if (this.endsAt !== Infinity && !this.#ended) {
        // Rounded up: a timer drops the fraction, and would abort the signal too early.
        const left = Math.min(Math.max(0, Math.ceil(this.endsAt - performance.now())), MAX_TIMEOUT_MS);
        this.#timer = setTimeout(() => {
          this.abort(deadlineError());
        }, left);
      }
    }
    return this.#controller.signal;
  }

  get deadline(): Date | undefined {
    return this.endsAt === Infinity ? undefined : new Date(Date.now() + this.endsAt - performance.now());
  }

  get redelivered(): boolean {
    return this.meta.redelivered;
  }

  get deliveryCount(): number | undefined {
    return this.meta.deliveryCount;
  }

  get headers(): Headers {
    return this.#headers ??= readStringHeaders(this.delivery.properties.headers);
  }

  get propagated(): Headers {
    const { headers } = this;
    const entries = this.#host.propagate.map((name) => [name, headers[name] ?? ""] as const);
    // A stranger's value may be one that cannot be sent on.
    return Object.fromEntries(entries.filter(([name, value]) => name in headers && isSendable(name, value)));
  }

  get replyHeaders(): Record<string, string> {
    return this.#replyHeaders ??= {};
  }

  /** The headers of the reply, if any were set. */
  get setReplyHeaders(): Record<string, string> | undefined {
    return this.#replyHeaders;
  }

  /** The queue that it came from. */
  get queue(): string {
    return this.#host.queue;
  }

  get messageId(): string | undefined {
    return messageIdOf(this.meta);
  }

  /** Asks the broker whether the caller is still there. */
  callerAlive(): Promise<boolean> {
    return this.#host.callerAlive(this.meta.replyTo);
  }

  /** Aborts the handler's signal. */
  abort(reason: RpcError): void {
    if (this.#ended || this.#aborted !== undefined) return;
    this.#aborted = reason;
    clearTimeout(this.#timer);
    this.#controller?.abort(reason);
    this.intake.aborted(this);
  }

  /** Adds a listener for the code of its answer. */
  onAnswer(listener: (code: RpcCode | "ok") => void): void {
    (this.#answerListeners ??= []).push(listener);
  }

  /** Its answer is ready: calls the listeners. */
  answered(code: RpcCode | "ok"): void {
    if (this.#answerListeners === undefined) return;
    for (const listener of this.#answerListeners.splice(0)) emitTo(listener, code);
  }

  /** Ends the request: its signal is not aborted any more. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
