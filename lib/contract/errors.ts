/**
 * What went wrong, in the status names of gRPC
 * (https://grpc.io/docs/guides/status-codes/), in snake_case. A handler may
 * throw any of them; the library itself uses these:
 *
 * - `unavailable`: no queue, no server, no connection, or this side is closed.
 * - `deadline_exceeded`: the call took longer than its timeout.
 * - `canceled`: the caller's signal was aborted, or its client was closed.
 * - `invalid_argument`, `out_of_range`: the request was refused before its handler ran.
 * - `unimplemented`: the service has no such method.
 * - `internal`: the handler failed; the server's log has the reason under the error's `id`.
 * - `data_loss`: the reply cannot be decoded.
 * - `resource_exhausted`: overload, a full queue, an alarm of the broker, or a body that is too large.
 * - `aborted`: the request would have to run once more than is allowed.
 * - `unauthenticated`, `permission_denied`, `not_found`, `already_exists`, `failed_precondition`: the broker or this
 *   side does not allow what was asked for.
 */
export type RpcCode =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

/**
 * Whether the handler ran, counting every attempt of the call:
 *
 * - `not_executed`: the handler did not run and will not.
 * - `executed`: the handler ran to completion.
 * - `unknown`: the handler may have run.
 */
export type RpcOutcome = "not_executed" | "executed" | "unknown";

/** Options of {@linkcode RpcError}. */
export interface RpcErrorOptions {
  /**
   * Whether the handler ran. On an error that a handler throws, the server
   * ignores it and sends `executed`.
   *
   * @default {"unknown"}
   */
  readonly outcome?: RpcOutcome;
  /** More about the error, as a JSON value; it is sent to the caller. */
  readonly details?: unknown;
  /** What caused the error; it is never sent. */
  readonly cause?: unknown;
  /** The id under which the server has logged an error whose text it does not send. */
  readonly id?: string;
}

const CODES: ReadonlySet<unknown> = new Set<RpcCode>([
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
]);
const OUTCOMES: ReadonlySet<unknown> = new Set<RpcOutcome>(["not_executed", "executed", "unknown"]);

/** Whether a value from the network is one of the codes. */
export function isRpcCode(value: unknown): value is RpcCode {
  return CODES.has(value);
}

/** Whether a value from the network is one of the outcomes. */
export function isRpcOutcome(value: unknown): value is RpcOutcome {
  return OUTCOMES.has(value);
}

/**
 * The error of this library. Every call that has no result rejects with it. A
 * handler throws it to choose the error that its caller gets.
 *
 * @example Throw one in a handler
 * ```ts
 * import { RpcError } from "@rabbitmq-rpc/rpc";
 *
 * function findUser(id: number): never {
 *   throw new RpcError("not_found", `Cannot find user ${id}`, { details: { id } });
 * }
 * ```
 */
export class RpcError extends Error {
  /** What went wrong. */
  readonly code: RpcCode;
  /** Whether the handler ran. */
  readonly outcome: RpcOutcome;
  /** More about the error, as a JSON value. */
  declare readonly details?: unknown;
  /** The id of the entry in the server's log that has the reason; set if `code` is `internal`. */
  declare readonly id?: string;

  /**
   * Creates an error.
   *
   * @param code What went wrong.
   * @param message What failed, with which value, and what to do.
   * @param options Outcome, details, cause.
   */
  constructor(code: RpcCode, message: string, options: RpcErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "RpcError";
    this.code = code;
    this.outcome = options.outcome ?? "unknown";
    if (options.details !== undefined) this.details = options.details;
    if (options.id !== undefined) this.id = options.id;
  }

  /** For `JSON.stringify`: name, code, outcome, message, details and id, without stack and cause. */
  toJSON(): { name: string; code: RpcCode; outcome: RpcOutcome; message: string; details?: unknown; id?: string } {
    const { name, code, outcome, message, details, id } = this;
    return {
      name,
      code,
      outcome,
      message,
      ...(details === undefined ? {} : { details }),
      ...(id === undefined ? {} : { id }),
    };
  }
}

const FROM_CALLS = new WeakSet<RpcError>();

/** Marks an error as one with which a call has rejected. */
export function markAsCallError(error: RpcError): void {
  FROM_CALLS.add(error);
}

/** Whether a call has rejected with this error: if a handler does not catch it, its own caller must not get it. */
export function isCallError(error: RpcError): boolean {
  return FROM_CALLS.has(error);
}

/** A copy of the error with another outcome. */
export function withOutcome(error: RpcError, outcome: RpcOutcome): RpcError {
  const { code, message, details, id } = error;
  return new RpcError(code, message, { outcome, details, cause: error, ...(id === undefined ? {} : { id }) });
}
