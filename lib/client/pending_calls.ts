import { DeadlineTimers } from "../contract/deadline_timers.ts";
import { AbortListeners } from "./abort_listeners.ts";
import { CallIds, numberOfCall } from "./call_ids.ts";
import type { PendingCall } from "./pending_call.ts";
import { rejected } from "./rejected.ts";

/** Callbacks for calls that end without an answer, and for all that end. */
export interface PendingListener {
  /** The deadline has passed; the call is removed from the table, not settled. */
  expired(call: PendingCall): void;
  /** The caller's signal was aborted; the call is removed from the table, not settled. */
  aborted(call: PendingCall): void;
  /** The call was removed from the table, for any reason. */
  left(call: PendingCall): void;
  /** The call is settled: in an error, or else in its result. */
  settled(call: PendingCall, error: Error | undefined): void;
}

/**
 * The calls in progress: each settles exactly once, and then has neither a timer
 * nor an abort listener any more.
 */
export class PendingCalls {
  /** Gives each call its id. */
  readonly ids: CallIds = new CallIds();
  readonly #calls = new Map<number, PendingCall>();
  readonly #deadlines: DeadlineTimers<PendingCall>;
  readonly #listener: PendingListener;
  readonly #signals: AbortListeners<PendingCall>;
  readonly #unsettled = new Set<PendingCall>();
  #idle: (() => void)[] = [];

  constructor(listener: PendingListener) {
    this.#listener = listener;
    this.#signals = new AbortListeners((call) => {
      this.take(call);
      listener.aborted(call);
    });
    this.#deadlines = new DeadlineTimers((call) => {
      this.take(call);
      listener.expired(call);
    });
  }

  /** How many calls have not settled. */
  get size(): number {
    return this.#calls.size + this.#unsettled.size;
  }

  /** Adds a call; returns the promise that settles when the call ends. */
  add(call: PendingCall): Promise<unknown> {
    this.#calls.set(call.number, call);
    this.#deadlines.add(call, call.timeout);
    this.#signals.add(call);
    return new Promise((resolve) => call.resolve = resolve);
  }

  /** The call that waits for an answer to `id`. */
  get(id: string): PendingCall | undefined {
    const call = this.#calls.get(numberOfCall(id));
    return call !== undefined && id.startsWith(call.prefix) ? call : undefined;
  }

  /** Removes a call from the table, so that no answer reaches it; it must be settled later. */
  take(call: PendingCall): void {
    if (this.#detach(call)) this.#unsettled.add(call);
  }

  /** Resolves a call; false if it has ended before. */
  resolve(call: PendingCall, value: unknown): boolean {
    if (!this.#end(call)) return false;
    call.resolve(value);
    this.#listener.settled(call, undefined);
    return true;
  }

  /** Rejects a call; false if it has ended before. */
  reject(call: PendingCall, error: Error): boolean {
    if (!this.#end(call)) return false;
    call.resolve(rejected(error));
    this.#listener.settled(call, error);
    return true;
  }

  /** All calls that wait for an answer. */
  values(): Iterable<PendingCall> {
    return this.#calls.values();
  }

  /** Clears all timers; no call may be left. */
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
    this.#signals.delete(call);
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
