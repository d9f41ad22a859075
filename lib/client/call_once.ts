import { RpcError, withOutcome } from "../contract/errors.ts";
import type { InterceptedCall, Next } from "../contract/interceptor.ts";
import type { AnyProcedure } from "../contract/procedure.ts";

/**
 * The innermost function of a client's interceptors: makes the call, and makes it again only if that cannot run the
 * handler twice.
 *
 * @param make Makes the call once.
 */
export function callOnce({ queue, idempotent }: AnyProcedure, make: (call: InterceptedCall) => Promise<unknown>): Next {
  let mayCall = true;
  let mayHaveRun = false;
  return async (call) => {
    if (!mayCall) {
      const text = `Cannot call "${queue}" again: it is not idempotent, and the last attempt may have run`;
      throw new RpcError("failed_precondition", text, { outcome: "unknown" });
    }
    mayCall = idempotent === true;
    try {
      return await make(call);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (error.outcome !== "not_executed") mayHaveRun = true;
      else mayCall = true;
      // The outcome is that of all attempts.
      throw mayHaveRun && error.outcome === "not_executed" ? withOutcome(error, "unknown") : error;
    }
  };
}
