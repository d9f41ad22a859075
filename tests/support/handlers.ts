/**
 * What handlers of tests do: they wait.
 *
 * @module
 */

/** Waits `ms`, or until the signal is aborted, and then throws its reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const timer = setTimeout(() => end(resolve), ms);
    const onAbort = (): void => end(() => reject(signal?.reason));
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
  });
}

/** Resolves with the reason when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.resolve(signal.reason);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason), { once: true }));
}

/** A handler that goes on when the test says so. */
export interface Gated {
  /** Gives the double of `n` once it is released. */
  readonly handler: (n: number) => Promise<number>;
  /** Settles when a request has reached the handler. */
  readonly started: Promise<void>;
  /** Lets all requests go on, those to come too. */
  readonly release: () => void;
}

/** A handler that waits for its release. */
export function gated(): Gated {
  const started = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  return {
    handler: async (n) => {
      started.resolve();
      await release.promise;
      return 2 * n;
    },
    started: started.promise,
    release: release.resolve,
  };
}

/** A handler that counts how many requests it works on at once. */
export interface Counted extends Gated {
  /** How many are with the handler now. */
  readonly running: number;
  /** How many were at once, at the most. */
  readonly most: number;
}

/** A handler that waits for its release, and counts. */
export function counted(): Counted {
  const gate = gated();
  let running = 0;
  let most = 0;
  return {
    ...gate,
    async handler(n) {
      most = Math.max(most, ++running);
      const result = await gate.handler(n);
      running--;
      return result;
    },
    get running() {
      return running;
    },
    get most() {
      return most;
    },
  };
}
