import process from "node:process";

/** The exit code of a process that is ended by a signal; that of shells for SIGINT. */
export const INTERRUPTED = 130;

/** A terminal and a task runner may each pass on the same Ctrl-C, within this time, in ms. */
const SAME_SIGNAL_MS = 500;

let first: { readonly name: string; readonly at: number } | undefined;

/** A promise of the next signal. */
export interface ComingSignal extends Promise<void> {
  /** Stops waiting for it. */
  cancel(): void;
}

/** Resolves at the next SIGINT or SIGTERM; the same one again within half a second counts as one. */
export function nextSignal(): ComingSignal {
  const { promise, resolve } = Promise.withResolvers<void>();
  const names = ["SIGINT", "SIGTERM"] as const;
  const listen = (name: string): void => {
    const at = performance.now();
    if (first !== undefined && first.name === name && at - first.at <= SAME_SIGNAL_MS) return;
    first = { name, at };
    cancel();
    resolve();
  };
  const cancel = (): void => {
    for (const name of names) process.off(name, listen);
  };
  for (const name of names) process.on(name, listen);
  return Object.assign(promise, { cancel });
}

/** Ends the process. */
export function exit(code: number): never {
  return process.exit(code);
}
