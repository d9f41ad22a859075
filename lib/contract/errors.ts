/**
 * What went wrong, in the status names of gRPC
 * (https://grpc.io/docs/guides/status-codes/), in snake_case.
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
 * What is known of the work, over every attempt of the call:
 *
 * - `not_executed`: the handler did not run and will not.
 * - `executed`: the handler ran to an answer.
 * - `unknown`: nobody can tell.
 */
export type RpcOutcome = "not_executed" | "executed" | "unknown";

/** Options of {@linkcode RpcError}. */
export interface RpcErrorOptions {
  /**
   * What is known of the work. A server ignores it on an error that a handler
   * throws: the outcome is set by the place that answers.
   *
   * @default {"unknown"}
   */
  readonly outcome?: RpcOutcome;
  /** More about the error, as a JSON value; it travels to the caller. */
  readonly details?: unknown;
  /** What caused it; it never travels. */
  readonly cause?: unknown;
  /** Names an entry in the server's log, where the server keeps the reason to itself. */
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
 * The one error of this library. Every call that does not end in its result
 * rejects with it. A handler throws it to choose what its caller sees.
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
  /** Whether the work was done. */
  readonly outcome: RpcOutcome;
  /** More about it, as a JSON value. */
  readonly details?: unknown;
  /** The entry in the server's log that says why, for `internal`. */
  readonly id?: string;

  /**
   * Creates an error.
   *
   * @param code What went wrong.
   * @param message What failed, with which value, and what to do, for a person.
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
}

/** The same error, with what this place knows of the work. */
export function withOutcome(error: RpcError, outcome: RpcOutcome): RpcError {
  const { code, message, details, id } = error;
  return new RpcError(code, message, { outcome, details, cause: error, ...(id === undefined ? {} : { id }) });
}
