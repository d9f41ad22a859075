import type { RpcOutcome } from "../contract/errors.ts";
import type { Headers } from "../contract/headers.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import type { HeaderList } from "../wire/message.ts";
import { callId, type CallIds } from "./call_ids.ts";

function nothing(): void {}

/** What a call may have besides its request. */
export interface PendingCallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly headers?: HeaderList | undefined;
  readonly onReplyHeaders?: ((headers: Headers) => void) | undefined;
  readonly messageId?: string | undefined;
  readonly priority?: number | undefined;
}

/** One call that has not ended. */
export class PendingCall {
  /** Its number among the calls of its client, from 1. */
  readonly number: number;
  readonly procedure: AnyProcedure;
  /** The random part of its id. */
  readonly prefix: string;
  /** The encoded request; empty when it will not be sent again. */
  body: Uint8Array;
  /** How many bytes the request has. */
  readonly size: number;
  /** How long it may take, in ms. */
  readonly timeout: number;
  /** When it expires, on the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  readonly headers: HeaderList | undefined;
  readonly priority: number | undefined;
  /** Called with the headers of the reply. */
  readonly onReplyHeaders: ((headers: Headers) => void) | undefined;
  /** How often the request was written to the socket. */
  attempts = 0;
  /** Whether it is written and not known to be lost. */
  inFlight = false;
  /** Whether the caller has stopped waiting, or has its answer. */
  over = false;
  /** Whether an answer has come, which may still have to be validated. */
  answered = false;
  /** Whether the broker refused the request when it was last written. */
  refused = false;
  /** The timer of the next attempt. */
  retryTimer: ReturnType<typeof setTimeout> | undefined;
  resolve: (value: unknown) => void = nothing;
  readonly #messageId: string | undefined;

  constructor(
    ids: CallIds,
    procedure: AnyProcedure,
    body: Uint8Array,
    timeout: number,
    { signal, headers, onReplyHeaders, messageId, priority }: PendingCallOptions,
  ) {
    this.number = ids.next();
    this.prefix = ids.prefixOf(procedure.queue);
    this.procedure = procedure;
    this.body = body;
    this.size = body.length;
    this.timeout = timeout;
    this.deadline = performance.now() + timeout;
    this.signal = signal;
    this.headers = headers;
    this.priority = priority;
    this.onReplyHeaders = onReplyHeaders;
    this.#messageId = messageId;
  }

  /** The call's identity on the wire. */
  get id(): string {
    return callId(this.prefix, this.number);
  }

  /** The call's identity over all attempts, also those of interceptors. */
  get messageId(): string {
    return this.#messageId ?? this.id;
  }

  /** The outcome if the call ends now, without an answer. */
  get outcome(): RpcOutcome {
    return this.attempts === 0 ? "not_executed" : "unknown";
  }

  /** The outcome if the last attempt is known not to have run. */
  get outcomeIfLastDidNotRun(): RpcOutcome {
    return this.attempts <= 1 ? "not_executed" : "unknown";
  }
}
