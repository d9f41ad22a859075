import type { RpcError } from "../rpc.ts";
import { OUTCOMES } from "./call_report.ts";
import { describeFailure } from "./client_flags.ts";
import { formatCount } from "./units.ts";

/** How many failures that are alike are printed, each on a line of its own. */
const EACH = 3;
/** How often it is said at most how many more there were, in ms. */
const INTERVAL_MS = 10_000;

/** Failures with one code and one outcome. */
interface Alike {
  printed: number;
  /** When it may be said next how many were left out. */
  due: number;
  leftOut: LeftOut | undefined;
}

interface LeftOut {
  readonly first: number;
  last: number;
  count: number;
  readonly error: RpcError;
}

/**
 * Prints why the calls of one run failed. Of failures that are alike it prints the first three, and how many more there
 * were: every 10 s, and when it is disposed of.
 */
export class FailureReport implements Disposable {
  readonly #alike = new Map<string, Alike>();
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /**
   * A call has failed.
   *
   * @param number Which one of the run it was, from 1 on.
   */
  add(number: number, error: RpcError): void {
    const key = `${error.code} ${error.outcome}`;
    let alike = this.#alike.get(key);
    if (alike === undefined) this.#alike.set(key, alike = { printed: 0, due: 0, leftOut: undefined });
    if (alike.printed < EACH) {
      alike.printed++;
      this.#print(`Call ${number}: ${describeFailure(error)}`);
      if (alike.printed === EACH) alike.due = performance.now() + INTERVAL_MS;
      return;
    }
    alike.leftOut ??= { first: number, last: number, count: 0, error };
    alike.leftOut.last = number;
    alike.leftOut.count++;
    if (performance.now() >= alike.due) this.#flush(alike);
  }

  /** Says how many were left out. */
  [Symbol.dispose](): void {
    for (const alike of this.#alike.values()) this.#flush(alike);
  }

  #flush(alike: Alike): void {
    if (alike.leftOut === undefined) return;
    const { first, last, count, error } = alike.leftOut;
    alike.leftOut = undefined;
    alike.due = performance.now() + INTERVAL_MS;
    this.#print(
      count === 1
        ? `Call ${first}: ${describeFailure(error)}`
        : `Calls ${first} to ${last}: ${formatCount(count)} more ${error.code} (${OUTCOMES[error.outcome]})`,
    );
  }
}
