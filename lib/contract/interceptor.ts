import type { RpcCode } from "./errors.ts";
import type { Headers } from "./headers.ts";
import type { ParentContext, RequestContext } from "./request_context.ts";

/** One call as interceptors get it: on the client before it is encoded, on the server after it is decoded. */
export interface InterceptedCall {
  /** The side on which it is intercepted. */
  readonly side: "client" | "server";
  /** The queue of the procedure or service. */
  readonly queue: string;
  /** The method of a service; absent for a procedure with a queue of its own. */
  readonly method: string | undefined;
  /** The request: the value that the caller passed, or that the server decoded. */
  readonly request: unknown;
  /** The headers of the request. */
  readonly headers: Headers;
  /** Aborted when the caller stops waiting; on the client, absent if the caller passed none. */
  readonly signal: AbortSignal | undefined;
  /** When the caller stops waiting; absent for a client that sets no expiration. */
  readonly deadline: Date | undefined;
  /** The call's identity, the same in every retry; on the server, absent for clients that send none. */
  readonly messageId: string | undefined;
  /** The correlation id of the request; on the server only, absent for clients that send none. */
  readonly correlationId: string | undefined;
  /** The `host:port` of the broker, as its URL names it; absent while there is no connection. */
  readonly broker: string | undefined;
  /** The option `parent` of the call: the context of the request whose handler makes it; on the client only. */
  readonly parent: ParentContext | undefined;
  /** The handler's context; on the server only. */
  readonly context: RequestContext | undefined;
  /** When the request arrived, on the clock of `performance.now()`; on the server only. */
  readonly arrivedAt: number | undefined;
  /**
   * Adds a function that is called when the request is answered, with the code that its caller gets: `"ok"` for a
   * result, `internal` for an exception or for a result that cannot be encoded. On the server only.
   */
  readonly onAnswer: ((listener: (code: RpcCode | "ok") => void) => void) | undefined;
}

/** Continues with a call, and returns its reply. */
export type Next = (call: InterceptedCall) => Promise<unknown>;

/**
 * Runs around every call of a client, or every request of a server, in layers: the first of a list is the outermost.
 * It may change the call that it passes to `next`, return a reply of its own, or throw an `RpcError`, and it gets the
 * reply or the error. On a client it may call `next` again if the procedure is idempotent or the last attempt did not
 * run.
 *
 * If it throws anything but an `RpcError`, the caller gets `internal`: on a client with the exception as `cause`, on a
 * server with the id of the event `handler_error`. A client ends a call at its deadline or signal, whatever its
 * interceptors wait for.
 *
 * @typeParam Added What it adds to the context of handlers; see {@linkcode provide}.
 *
 * @example Measure every call
 * ```ts
 * import type { Interceptor } from "@rabbitmq-rpc/rpc";
 *
 * const timing: Interceptor = (next) => async (call) => {
 *   const start = performance.now();
 *   try {
 *     return await next(call);
 *   } finally {
 *     console.log(call.queue, call.method, performance.now() - start);
 *   }
 * };
 * ```
 */
export interface Interceptor<Added extends object = object> {
  (next: Next): Next;
  /**
   * Asked at every call: if it returns `false` for all interceptors of a client or server, the call is made as if there
   * were none, which costs nothing.
   *
   * @default {() => true}
   */
  readonly enabled?: () => boolean;
  /**
   * Called with the events that the option `onEvent` gets too: a `ClientEvent` or a `ServerEvent`. What it throws is
   * logged and ignored.
   */
  onEvent?(event: { readonly type: string }): void;
  /** For the type checker only. */
  readonly adds?: Added;
}

/** The type of all that a list of interceptors adds to the context. */
export type AddedBy<List extends readonly Interceptor[]> = [List[number]] extends [never] ? object : (
  { [Index in keyof List]: List[Index] extends Interceptor<infer Added> ? (added: Added) => void : never }[number]
) extends (added: infer All) => void ? All & object
: never;

/**
 * An interceptor for servers that adds values to the context of handlers, or refuses a request by throwing an
 * `RpcError`. The handler then does not run, and the caller gets this error with the outcome `not_executed`, or `unknown`
 * if the request was redelivered.
 *
 * @param give Called with each request; returns what to add, or a promise of it.
 * @returns The interceptor, for the server's option `interceptors`.
 *
 * @example
 * ```ts
 * import { provide, RpcError } from "@rabbitmq-rpc/rpc";
 *
 * const auth = provide(({ headers }) => {
 *   if (headers["authorization"] !== "Bearer secret") throw new RpcError("unauthenticated", "Invalid token");
 *   return { user: "alice" };
 * });
 * // RpcServer.connect(url, { interceptors: [auth] }): handlers see context.user
 * ```
 */
export function provide<Added extends object>(
  give: (call: InterceptedCall) => Added | Promise<Added>,
): Interceptor<Added> {
  return (next) => async (call) => {
    const added = await give(call);
    if (call.context !== undefined) Object.assign(call.context, added);
    return await next(call);
  };
}

/** Combines interceptors with the innermost function; the first interceptor is the outermost. */
export function compose(interceptors: readonly Interceptor[], answer: Next): Next {
  return interceptors.reduceRight<Next>((next, interceptor) => interceptor(next), answer);
}

/** Whether at least one interceptor wants the next call; one whose `enabled` throws does. */
export function anyEnabled(interceptors: readonly Interceptor[]): boolean {
  try {
    for (const { enabled } of interceptors) {
      if (enabled === undefined || enabled()) return true;
    }
    return false;
  } catch {
    return true;
  }
}

/** Refuses a value that is not a list of interceptors. */
export function checkInterceptors(interceptors: unknown): void {
  if (!Array.isArray(interceptors) || interceptors.some((interceptor) => typeof interceptor !== "function")) {
    throw new TypeError("Cannot connect: 'interceptors' must be a list of functions");
  }
}
