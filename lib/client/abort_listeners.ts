/** A call that may have a signal. */
export interface Abortable {
  readonly signal: AbortSignal | undefined;
}

interface Listening<Call> {
  readonly calls: Set<Call>;
  readonly listener: () => void;
}

/**
 * Listens to the signals of calls, once to each: an `EventTarget` searches its list whenever a listener is added or
 * removed, which takes seconds where ten thousand calls share one signal.
 *
 * @typeParam Call What has the signals.
 */
export class AbortListeners<Call extends Abortable> {
  readonly #listening = new Map<AbortSignal, Listening<Call>>();
  readonly #aborted: (call: Call) => void;

  /** @param aborted Called with each call whose signal is aborted. */
  constructor(aborted: (call: Call) => void) {
    this.#aborted = aborted;
  }

  /** Listens to the signal of a call, if it has one. */
  add(call: Call): void {
    const { signal } = call;
    if (signal === undefined) return;
    let listening = this.#listening.get(signal);
    if (listening === undefined) {
      const calls = new Set<Call>();
      const listener = (): void => {
        for (const aborted of Array.from(calls)) this.#aborted(aborted);
      };
      listening = { calls, listener };
      this.#listening.set(signal, listening);
      signal.addEventListener("abort", listener);
    }
    listening.calls.add(call);
  }

  /** Stops listening for a call. */
  delete(call: Call): void {
    const { signal } = call;
    const listening = signal === undefined ? undefined : this.#listening.get(signal);
    if (signal === undefined || listening === undefined) return;
    listening.calls.delete(call);
    if (listening.calls.size > 0) return;
    this.#listening.delete(signal);
    signal.removeEventListener("abort", listening.listener);
  }
}
