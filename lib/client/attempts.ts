import { RpcError, type RpcOutcome, withOutcome } from "../contract/errors.ts";
import type { InterceptedCall, Next } from "../contract/interceptor.ts";
import type { AnyProcedure } from "../contract/procedure.ts";

/** The attempts of one call that has interceptors: each time that the innermost of them calls `next`. */
export class Attempts {
  /** How many were begun. */
  made = 0;
  /** How many have not ended. */
  inFlight = 0;
  /** Called when none is in flight any more. */
  onIdle: (() => void) | undefined;
  readonly #procedure: AnyProcedure;
  readonly #make: (call: InterceptedCall) => Promise<unknown>;
  #mayMake = true;
  #executed = false;
  #mayHaveRun = false;

  /** @param make Makes one attempt. */
  constructor(procedure: AnyProcedure, make: (call: InterceptedCall) => Promise<unknown>) {
    this.#procedure = procedure;
    this.#make = make;
  }

  /** The outcome of all of them together, if the call ends now. */
  get outcome(): RpcOutcome {
    if (this.#executed) return "executed";
    return this.#mayHaveRun || this.inFlight > 0 ? "unknown" : "not_executed";
  }

  /** What the interceptors end in: makes an attempt, the second only if it cannot run the handler twice. */
  readonly next: Next = async (call) => {
    const { queue, idempotent } = this.#procedure;
    if (!this.#mayMake) {
      const text = `Cannot call "${queue}" again: it is not idempotent, and the last attempt may have run`;
      throw new RpcError("failed_precondition", text, { outcome: "unknown" });
    }
    this.#mayMake = idempotent === true;
    this.made++;
    this.inFlight++;
    try {
      const reply = await this.#make(call);
      this.#executed = true;
      return reply;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (error.outcome === "executed") this.#executed = true;
      if (error.outcome !== "not_executed") this.#mayHaveRun = true;
      else this.#mayMake = true;
      // The outcome is that of all attempts.
      throw this.#mayHaveRun && error.outcome === "not_executed" ? withOutcome(error, "unknown") : error;
    } finally {
      if (--this.inFlight === 0) this.onIdle?.();
    }
  };
}
