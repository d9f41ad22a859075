import { isCallError, type RpcCode, RpcError } from "./errors.ts";
import type { Headers } from "./headers.ts";

/** What a server and its worker processes say to each other; every value must be one that can be cloned. */
export type ToWorker =
  /** Run a request. A worker gets the next one after it has answered. */
  | { readonly type: "run"; readonly request: unknown; readonly context: WorkerRequest }
  /** Abort the signal of the request that runs. */
  | { readonly type: "abort"; readonly error: WorkerError }
  /** The answer to `asksCallerAlive`. */
  | { readonly type: "callerAlive"; readonly id: number; readonly alive: boolean };

/** What a worker process says to its server. */
export type FromWorker =
  /** It waits for requests; its methods, none for a single handler. */
  | { readonly type: "ready"; readonly methods: readonly string[] | undefined }
  | { readonly type: "result"; readonly result: unknown; readonly headers: Readonly<Record<string, string>> }
  | { readonly type: "error"; readonly error: WorkerError; readonly headers: Readonly<Record<string, string>> }
  | { readonly type: "asksCallerAlive"; readonly id: number };

/** What a handler in a worker knows of its request. */
export interface WorkerRequest {
  /** How long its caller waits, in ms, when this is sent; a time of day would be wrong once the clock is set. */
  readonly left: number | undefined;
  readonly redelivered: boolean;
  readonly deliveryCount: number | undefined;
  readonly messageId: string | undefined;
  readonly method: string | undefined;
  readonly headers: Headers;
  readonly propagated: Headers;
}

/** An error on its way to another process. `code` is absent if it is not an `RpcError` for the caller. */
export interface WorkerError {
  readonly code: RpcCode | undefined;
  readonly details: unknown;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** The argument with which a worker process is started. */
export const WORKER_ARGUMENT = "rabbitmq-rpc-worker";

/** Takes an error apart, whatever was thrown. */
export function toWorkerError(error: unknown): WorkerError {
  if (!(error instanceof Error)) {
    return { code: undefined, details: undefined, name: "Error", message: textOf(error), stack: undefined };
  }
  const { name, message, stack } = error;
  // The error of a nested call is not one that the handler has chosen for its caller.
  const chosen = error instanceof RpcError && !isCallError(error);
  return {
    code: chosen ? error.code : undefined,
    details: chosen ? error.details : undefined,
    name: String(name),
    message: String(message),
    stack: typeof stack === "string" ? stack : undefined,
  };
}

/** Makes the error again. */
export function fromWorkerError({ code, details, name, message, stack }: WorkerError): Error {
  if (code !== undefined) return new RpcError(code, message, { details });
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "a value without a text was thrown";
  }
}
