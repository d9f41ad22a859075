import { DeadlineTimers } from "../contract/deadline_timers.ts";
import { CallIds, numberOfCall } from "./call_ids.ts";
import type { PendingCall } from "./pending_call.ts";

/** What happens to calls that nobody answers. */
export interface PendingListener {
  /** The deadline has passed; the call is out of the table, not settled. */
  expired(call: PendingCall): void;
  /** The caller's signal was aborted; the call is out of the table, not settled. */
  aborted(call: PendingCall): void;
  /** The call is out of the table, for whatever reason. */
  left(call: PendingCall): void;
  /** The call is settled: in an error, or else in its result. */
  settled(call: PendingCall, error: Error | undefined): void;
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
  get(id: string): PendingCall | undefined {
    const call = this.#calls.get(numberOfCall(id));
    return call !== undefined && id.startsWith(call.prefix) ? call : undefined;
  }

  /** Takes a call out of the table, so that no answer reaches it; it must be settled next. */
  take(call: PendingCall): void {
    if (this.#detach(call)) this.#unsettled.add(call);
  }

  /** Ends a call in its result; false if it has ended. */
  resolve(call: PendingCall, value: unknown): boolean {
    if (!this.#end(call)) return false;
    call.resolve(value);
    this.#listener.settled(call, undefined);
    return true;
  }

  /** Ends a call in an error; false if it has ended. */
  reject(call: PendingCall, error: Error): boolean {
    if (!this.#end(call)) return false;
    call.reject(error);
    this.#listener.settled(call, error);
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
    this.#listener.left(call);
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
