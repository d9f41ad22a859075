import type { RequestContext } from "./request_context.ts";
import type { Headers } from "./headers.ts";

/** One call, as interceptors see it: on the client before it is encoded, on the server after it was decoded. */
export interface InterceptedCall {
  /** Where it is intercepted. */
  readonly side: "client" | "server";
  /** The queue of the procedure or service. */
  readonly queue: string;
  /** The method of a service; absent for a procedure with a queue of its own. */
  readonly method: string | undefined;
  /** The request, as the client gave it or the server decoded it. */
  readonly request: unknown;
  /** The headers of the request. */
  readonly headers: Headers;
  /** Aborted when the caller does not wait any more; on the client absent if the caller gave none. */
  readonly signal: AbortSignal | undefined;
  /** When the caller stops waiting; absent for a client that sets no expiration. */
  readonly deadline: Date | undefined;
  /** What the handler is given; on the server alone. */
  readonly context: RequestContext | undefined;
}

/** Goes on with a call, and gives its reply. */
export type Next = (call: InterceptedCall) => Promise<unknown>;

/**
 * Runs around every call of a client, or every request of a server, in layers: the first of a list is the outermost.
 * It may change the call that it passes to `next`, answer by itself, throw an `RpcError`, and sees the reply or the
 * error. A client's may call `next` again, where the procedure is idempotent or the last attempt did not run.
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
  /** For the type checker alone. */
  readonly adds?: Added;
}

/** What a list of interceptors adds to the context, all together. */
export type AddedBy<List extends readonly Interceptor[]> = [List[number]] extends [never] ? object : (
  { [Index in keyof List]: List[Index] extends Interceptor<infer Added> ? (added: Added) => void : never }[number]
) extends (added: infer All) => void ? All & object
: never;

/**
 * An interceptor for servers that adds values to the context of handlers, or refuses a request by throwing an
 * `RpcError`: the handler then does not run, and the caller gets `not_executed`.
 *
 * @param give Called with each request; gives what to add.
 *
 * @example
 * ```ts
 * import { provide, RpcError } from "@rabbitmq-rpc/rpc";
 *
 * const auth = provide(({ headers }) => {
 *   if (headers["authorization"] !== "Bearer secret") throw new RpcError("unauthenticated", "Cannot tell who calls");
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

/** Puts interceptors around what answers, the first outermost. */
export function compose(interceptors: readonly Interceptor[], answer: Next): Next {
  return interceptors.reduceRight<Next>((next, interceptor) => interceptor(next), answer);
}

/** Refuses what is no list of interceptors. */
export function checkInterceptors(interceptors: unknown): void {
  if (!Array.isArray(interceptors) || interceptors.some((interceptor) => typeof interceptor !== "function")) {
    throw new TypeError("Cannot connect: 'interceptors' must be a list of functions");
  }
}
