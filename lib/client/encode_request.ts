import { type Codec, encodeBody } from "../contract/codec.ts";
import { RpcError, withOutcome } from "../contract/errors.ts";
import type { AnyProcedure } from "../contract/procedure.ts";

/**
 * Encodes the request of a call.
 *
 * @throws {RpcError} If the value cannot be encoded; the outcome is `not_executed`.
 */
export function encodeRequest({ queue, request }: AnyProcedure, value: unknown): Uint8Array {
  try {
    return encodeBody(request as Codec<unknown, unknown>, value, "request");
  } catch (error) {
    if (error instanceof RpcError) throw withOutcome(error, "not_executed");
    const reason = error instanceof Error ? error.message : String(error);
    const text = `Cannot encode the request of "${queue}": ${reason}`;
    throw new RpcError("invalid_argument", text, { outcome: "not_executed", cause: error });
  }
}
