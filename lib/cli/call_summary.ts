import { DurationHistogram } from "../contract/duration_histogram.ts";
import type { RpcCode } from "../contract/errors.ts";
import { formatCount, formatDuration, formatRate, plural } from "./units.ts";

/** Counts the calls of one run, and says in the end what was done. */
export class CallSummary {
  readonly #counts = new Map<RpcCode | "ok", number>();
  readonly #durations = new DurationHistogram();
  readonly #startedAt: number;

  /** @param startedAt When the run began, on the clock of `performance.now()`. */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** A call has ended, after `ms`. */
  ended(code: RpcCode | "ok", ms: number): void {
    this.#counts.set(code, 1 + (this.#counts.get(code) ?? 0));
    this.#durations.add(ms);
  }

  /** How many calls have ended. */
  get calls(): number {
    return Array.from(this.#counts.values()).reduce((sum, count) => sum + count, 0);
  }

  /** The codes of the calls that failed. */
  get failures(): readonly RpcCode[] {
    return Array.from(this.#counts.keys()).filter((code) => code !== "ok");
  }

  /** One line: how many calls, how long they took, and how they ended. */
  describe(now: number): string {
    const { calls } = this;
    const elapsed = now - this.#startedAt;
    const [p50 = 0, p99 = 0] = [this.#durations.percentile(0.5), this.#durations.percentile(0.99)];
    const ended = Array.from(this.#counts).sort(([, a], [, b]) => b - a).map(([code, count]) => {
      return `${formatCount(count)} ${code}`;
    });
    if (calls === 0) return "0 calls";
    return `${plural(calls, "call")} in ${formatDuration(elapsed)}: ${ended.join(", ")}; ` +
      `${formatRate(1_000 * calls / elapsed)}, p50 ${formatDuration(p50)}, p99 ${formatDuration(p99)}`;
  }
}
