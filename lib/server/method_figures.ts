import { DurationHistogram } from "../contract/duration_histogram.ts";
import type { RpcCode, RpcError } from "../contract/errors.ts";
import type { LastError, MethodInfo } from "../contract/server_info.ts";

/** The longest id of an error that is told, in UTF-16 code units; those of this library have 36. */
const MAX_ID = 64;

/** Counts the requests of one method and the durations of its handler; a request costs a few additions. */
export class MethodFigures {
  #ok = 0;
  #refused = 0;
  #handled = 0;
  #processingTime = 0;
  readonly #errors = new Map<RpcCode, number>();
  #lastError: { readonly code: RpcCode; readonly id: string | undefined; readonly at: number } | undefined;
  readonly #durations = new DurationHistogram({ decays: true });

  /** A request has ended. */
  ended(code: RpcCode | "ok", executed: boolean): void {
    if (!executed) this.#refused++;
    if (code === "ok") this.#ok++;
    else this.#errors.set(code, 1 + (this.#errors.get(code) ?? 0));
  }

  /**
   * A request is answered with an error. Neither its text nor the request's id is kept: whoever asks for the figures need
   * not be the caller, and with the id of one call could cancel others of the same caller.
   */
  failed({ code, id }: RpcError): void {
    this.#lastError = { code, id: id?.slice(0, MAX_ID), at: performance.now() };
  }

  /** A handler has ended, after `ms`; `now` is on the clock of `performance.now()`. */
  handled(ms: number, now: number): void {
    this.#handled++;
    this.#processingTime += ms;
    this.#durations.add(ms, now);
  }

  /** The figures so far. */
  describe(name: string | undefined): MethodInfo {
    const codes: Partial<Record<RpcCode | "ok", number>> = this.#ok > 0 ? { ok: this.#ok } : {};
    let requests = this.#ok;
    for (const [code, count] of this.#errors) {
      codes[code] = count;
      requests += count;
    }
    return {
      name,
      requests,
      codes,
      refused: this.#refused,
      handled: this.#handled,
      processingTime: round(this.#processingTime),
      p50: rounded(this.#durations.percentile(0.5)),
      p99: rounded(this.#durations.percentile(0.99)),
      lastError: this.#describeLastError(),
    };
  }

  #describeLastError(): LastError | undefined {
    if (this.#lastError === undefined) return undefined;
    const { code, id, at } = this.#lastError;
    return { code, id, ago: Math.round(performance.now() - at) };
  }
}

/** To microseconds. */
function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : round(ms);
}
