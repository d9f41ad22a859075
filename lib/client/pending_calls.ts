import { DeadlineTimers } from "../contract/deadline_timers.ts";
import type { RpcOutcome } from "../contract/errors.ts";
import type { Procedure } from "../contract/procedure.ts";

/** A procedure of whatever types; its codecs are used on values of its own alone. */
export type AnyProcedure = Procedure<never, unknown, never, unknown>;

/** One call that has not ended. */
export class PendingCall {
  /** Its place among the calls of its client. */
  readonly number: number;
  readonly procedure: AnyProcedure;
  /** The request, until it cannot be needed again. */
  body: Uint8Array;
  /** How long it may take, in ms. */
  readonly timeout: number;
  /** When it ends, on the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  /** How often the request was written to the socket. */
  attempts = 0;
  /** Whether it is written and not known to be lost. */
  inFlight = false;
  /** Whether nobody waits for it any more. */
  over = false;
  /** Whether an answer has come, which may still have to be validated. */
  answered = false;
  /** Whether the broker did not take it when it was written last. */
  refused = false;
  /** Waits to be written again, after the broker refused it. */
  retryTimer: ReturnType<typeof setTimeout> | undefined;
  resolve: (value: unknown) => void = nothing;
  reject: (error: unknown) => void = nothing;
  onAbort: (() => void) | undefined;
  readonly #ids: CallIds;

  constructor(
    ids: CallIds,
    procedure: AnyProcedure,
    body: Uint8Array,
    timeout: number,
    signal: AbortSignal | undefined,
  ) {
    this.#ids = ids;
    this.number = ids.next();
    this.procedure = procedure;
    this.body = body;
    this.timeout = timeout;
    this.deadline = performance.now() + timeout;
    this.signal = signal;
  }

  /** The call's identity on the wire. */
  get id(): string {
    return this.#ids.idOf(this.number);
  }

  /** What is known of the work when the call ends without an answer. */
  get outcome(): RpcOutcome {
    return this.attempts === 0 ? "not_executed" : "unknown";
  }

  /** What is known of the work when something says that its last attempt did not run. */
  get outcomeIfLastDidNotRun(): RpcOutcome {
    return this.attempts <= 1 ? "not_executed" : "unknown";
  }
}

function nothing(): void {}

/**
 * The ids of one client's calls: UUIDs whose random part, which nobody else
 * guesses, is the client's, and whose last part counts its calls. To look a
 * number up takes an eighth of the time that a new random string takes.
 */
export class CallIds {
  readonly #prefix: string = crypto.randomUUID().slice(0, 24);
  #last = 0;

  next(): number {
    return ++this.#last;
  }

  idOf(number: number): string {
    return this.#prefix + number.toString(16).padStart(12, "0");
  }

  /** The number in an id of this client; NaN for all else. */
  numberOf(id: unknown): number {
    const own = typeof id === "string" && id.length === 36 && id.startsWith(this.#prefix);
    return own ? parseInt(id.slice(this.#prefix.length), 16) : NaN;
  }
}

/** What happens to calls that nobody answers. */
export interface PendingListener {
  /** The deadline has passed; the call is out of the table, not settled. */
  expired(call: PendingCall): void;
  /** The caller's signal was aborted; the call is out of the table, not settled. */
  aborted(call: PendingCall): void;
}

/**
 * The calls in progress: each settles exactly once, and leaves neither timer
 * nor abort listener behind.
 */
export class PendingCalls {
  /** Names the calls. */
  readonly ids: CallIds = new CallIds();
  readonly #calls = new Map<number, PendingCall>();
  readonly #deadlines: DeadlineTimers<PendingCall>;
  readonly #listener: PendingListener;
  readonly #unsettled = new Set<PendingCall>();
  #idle: (() => void)[] = [];

  constructor(listener: PendingListener) {
    this.#listener = listener;
    this.#deadlines = new DeadlineTimers((call) => {
      this.take(call);
      listener.expired(call);
    });
  }

  /** How many calls have not settled. */
  get size(): number {
    return this.#calls.size + this.#unsettled.size;
  }

  /** Adds a call; the promise is its one settlement. */
  add(call: PendingCall): Promise<unknown> {
    this.#calls.set(call.number, call);
    this.#deadlines.add(call, call.timeout);
    if (call.signal !== undefined) {
      call.onAbort = () => {
        this.take(call);
        this.#listener.aborted(call);
      };
      call.signal.addEventListener("abort", call.onAbort);
    }
    return new Promise((resolve, reject) => {
      call.resolve = resolve;
      call.reject = reject;
    });
  }

  /** The call that waits for an answer to `id`. */
  get(id: unknown): PendingCall | undefined {
    return this.#calls.get(this.ids.numberOf(id));
  }

  /** Takes a call out of the table, so that no answer reaches it; it must be settled next. */
  take(call: PendingCall): void {
    if (this.#detach(call)) this.#unsettled.add(call);
  }

  /** Ends a call in its result; false if it has ended. */
  resolve(call: PendingCall, value: unknown): boolean {
    if (!this.#end(call)) return false;
    call.resolve(value);
    return true;
  }

  /** Ends a call in an error; false if it has ended. */
  reject(call: PendingCall, error: Error): boolean {
    if (!this.#end(call)) return false;
    call.reject(error);
    return true;
  }

  /** All calls that wait for an answer. */
  values(): Iterable<PendingCall> {
    return this.#calls.values();
  }

  /** Leaves no timer behind; no call may be left. */
  close(): void {
    this.#deadlines.clear();
  }

  /** Resolves when no call is left. */
  idle(): Promise<void> {
    return this.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #detach(call: PendingCall): boolean {
    if (!this.#calls.delete(call.number)) return false;
    call.over = true;
    this.#deadlines.delete(call, call.timeout);
    clearTimeout(call.retryTimer);
    if (call.onAbort !== undefined) call.signal?.removeEventListener("abort", call.onAbort);
    return true;
  }

  #end(call: PendingCall): boolean {
    if (!this.#detach(call) && !this.#unsettled.delete(call)) return false;
    if (this.#idle.length > 0 && this.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
    return true;
  }
}
