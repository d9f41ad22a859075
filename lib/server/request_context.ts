import type { AckBatcher } from "./ack_batcher.ts";
import { type RpcCode, RpcError } from "../contract/errors.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import type { ByteString } from "../wire/byte_string.ts";
import type { Delivery } from "../wire/message.ts";
import { messageIdOf, type RequestMeta } from "../wire/request_message.ts";

/** What a handler is told about its request. */
export interface RequestContext {
  /**
   * Aborted when nobody waits any more: at the deadline, when the caller took
   * the call back, or when the server shuts down and its `drainTimeout` has passed.
   * Its reason is an `RpcError`.
   */
  readonly signal: AbortSignal;
  /** Until when the caller waits at the most; absent for a client that sets no expiration. */
  readonly deadline: Date | undefined;
  /** Whether the request may have been delivered before. */
  readonly redelivered: boolean;
  /** How often it was delivered before; counted by quorum queues alone. */
  readonly deliveryCount: number | undefined;
  /** The call's identity, the same over every retry of it; absent for plain clients. */
  readonly messageId: string | undefined;
  /**
   * Asks the broker whether the caller is still there, before expensive work.
   * One round trip; `true` if the broker cannot be asked.
   */
  callerAlive(): Promise<boolean>;
}

/** Why a handler's signal aborts when its caller has stopped waiting. */
export function deadlineError(): RpcError {
  return new RpcError("deadline_exceeded", "The caller's deadline has passed");
}

/** One request that has been delivered and not been answered. */
export class RunningRequest implements RequestContext {
  readonly delivery: Delivery;
  readonly meta: RequestMeta;
  readonly acks: AckBatcher;
  /** When its caller stops waiting, at the latest, on the clock of `performance.now()`. */
  readonly endsAt: number;
  /** Earlier than `endsAt` by as long as this process may have been stalled before it read the request. */
  readonly endsAtTheEarliest: number;
  /** Whether it was delivered too often to be run again. */
  poisonous = false;
  /** Another request with the same correlation id, which was delivered before this one. */
  sameId: RunningRequest | undefined;
  readonly #askCaller: (replyTo: ByteString) => Promise<boolean>;
  #controller: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #aborted: RpcError | undefined;
  #ended = false;

  constructor(
    delivery: Delivery,
    meta: RequestMeta,
    acks: AckBatcher,
    arrivedAfter: number,
    askCaller: (replyTo: ByteString) => Promise<boolean>,
  ) {
    this.delivery = delivery;
    this.meta = meta;
    this.acks = acks;
    this.endsAt = performance.now() + (meta.expiration ?? Infinity);
    this.endsAtTheEarliest = arrivedAfter + (meta.expiration ?? Infinity);
    this.#askCaller = askCaller;
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
        // A timer drops the fraction, but nobody is to be told early.
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

  get messageId(): string | undefined {
    return messageIdOf(this.meta);
  }

  /** Bound, so that a handler may destructure its context. */
  get callerAlive(): () => Promise<boolean> {
    return () => this.#askCaller(this.meta.replyTo);
  }

  /** Tells the handler to stop. */
  abort(reason: RpcError): void {
    if (this.#ended || this.#aborted !== undefined) return;
    this.#aborted = reason;
    clearTimeout(this.#timer);
    this.#controller?.abort(reason);
  }

  /** The handler has ended: nothing is left to stop. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
