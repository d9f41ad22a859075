import type { Codec } from "./codec.ts";
import { type RpcCode, RpcError } from "./errors.ts";
import type { ErrorMap } from "./procedure.ts";

/** The type of the details that a handler passes. */
export type DetailsIn<Of> = Of extends Codec<infer In, unknown> ? In : never;

/** The type of the details that a caller gets. */
export type DetailsOut<Of> = Of extends Codec<never, infer Out> ? Out : never;

/**
 * An error whose details have the type that its code was declared with, if the handler has thrown it (`executed`): the
 * library itself refuses calls with the same codes, and with details of its own.
 */
export type TypedRpcError<Errors extends ErrorMap> =
  | {
    [Code in keyof Errors & RpcCode]: RpcError & {
      readonly code: Code;
      readonly outcome: "executed";
      readonly details: DetailsOut<Errors[Code]>;
    };
  }[keyof Errors & RpcCode]
  | (RpcError & { readonly outcome: "not_executed" | "unknown" })
  | (RpcError & { readonly code: Exclude<RpcCode, keyof Errors> });

/**
 * Whether an error is an `RpcError`.
 *
 * @param error What was caught.
 */
export function isRpcError(error: unknown): error is RpcError;
/**
 * Whether an error is an `RpcError` that a call of the procedure rejected with: code and outcome then determine the type
 * of the details.
 *
 * @param error What was caught.
 * @param procedure The procedure that was called, or the method of a service.
 *
 * @example
 * ```ts
 * import { integer, isRpcError, json, procedure, RpcError } from "@rabbitmq-rpc/rpc";
 * import { z } from "zod";
 *
 * const missing = json(z.object({ id: z.number() }));
 * const find = procedure({ queue: "find", request: integer(), reply: json(), errors: { not_found: missing } });
 *
 * const error: unknown = new RpcError("not_found", "No user 7", { outcome: "executed", details: { id: 7 } });
 * if (isRpcError(error, find) && error.code === "not_found" && error.outcome === "executed") {
 *   console.assert(error.details.id === 7);
 * }
 * ```
 */
export function isRpcError<Errors extends ErrorMap>(
  error: unknown,
  procedure: { readonly errors: Errors },
): error is TypedRpcError<Errors>;
export function isRpcError(error: unknown): error is RpcError {
  return error instanceof RpcError;
}

const encoder = new TextEncoder();

/** What `context.error` creates: an error with details, whose text names the code if there is no other. */
export function errorWithDetails(
  code: RpcCode,
  details: unknown,
  message = `The request was refused: ${code}`,
): RpcError {
  return new RpcError(code, message, { details });
}

/**
 * Checks the details of a declared error.
 *
 * @returns The error with the details as their codec decodes them; the same error if its code is not declared.
 * @throws {RpcError} If the codec refuses the details.
 */
export function decodeDetails(errors: ErrorMap, error: RpcError): RpcError | Promise<RpcError> {
  const codec = Object.hasOwn(errors, error.code) ? errors[error.code] : undefined;
  if (codec === undefined) return error;
  // Undefined has no JSON form, so the codec gets null.
  const details = codec.decode(encoder.encode(JSON.stringify(error.details) ?? "null"));
  return details instanceof Promise ? details.then((out) => withDetails(error, out)) : withDetails(error, details);
}

function withDetails(error: RpcError, details: unknown): RpcError {
  const { code, message, outcome, id, cause } = error;
  return new RpcError(code, message, { outcome, details, cause, ...(id === undefined ? {} : { id }) });
}
