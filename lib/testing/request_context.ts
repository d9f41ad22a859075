import type { RpcCode, RpcError } from "../contract/errors.ts";
import { checkHeaders, type Headers } from "../contract/headers.ts";
import type { ErrorMap } from "../contract/procedure.ts";
import type { RequestContext } from "../contract/request_context.ts";
import { errorWithDetails } from "../contract/typed_error.ts";

/** Options of {@linkcode requestContext}: what the handler is to see. */
export type RequestContextOptions = Partial<Omit<RequestContext, "error" | "replyHeaders">>;

/** What of a procedure or method its context depends on. */
export interface ContextSource<Errors extends ErrorMap> {
  /** Its name among the methods of a service; absent for a procedure with a queue of its own. */
  readonly method: string | undefined;
  /** The codecs of the details of its errors. */
  readonly errors: Errors;
}

/**
 * Creates the context of a request, for tests that call a handler without a client or a server. By default, it is that
 * of a first delivery without headers and without a deadline, whose signal is never aborted.
 *
 * A plain object: add what interceptors provide with `{ ...requestContext(...), user: "alice" }`. The headers that the
 * handler sets are in its `replyHeaders` afterwards. The details of `error` are not validated here, and the signal is not
 * aborted at `deadline`: both are the work of a server, see {@linkcode memory}.
 *
 * @typeParam Errors The errors that the procedure declares.
 * @param of The procedure or method that the handler is for.
 * @param options What the handler is to see.
 * @returns The context.
 * @throws {TypeError | RangeError} If a client could not send the headers.
 *
 * @example
 * ```ts
 * import { type Handler, integer, procedure, type RequestContext, text } from "@rabbitmq-rpc/rpc";
 * import { requestContext } from "@rabbitmq-rpc/rpc/testing";
 *
 * const greet = procedure({ queue: "greet", request: integer(), reply: text() });
 *
 * const handler: Handler<number, string> = (id, { headers, replyHeaders }) => {
 *   replyHeaders["served-by"] = "a";
 *   return `Hello, ${headers["tenant"]} ${id}!`;
 * };
 *
 * const context: RequestContext = requestContext(greet, { headers: { tenant: "acme" } });
 * console.assert(await handler(7, context) === "Hello, acme 7!");
 * console.assert(context.replyHeaders["served-by"] === "a");
 * ```
 */
export function requestContext<Errors extends ErrorMap>(
  of: ContextSource<Errors>,
  options: RequestContextOptions = {},
): RequestContext<Errors> {
  return {
    signal: new AbortController().signal,
    deadline: undefined,
    redelivered: false,
    deliveryCount: undefined,
    messageId: crypto.randomUUID(),
    method: of.method,
    callerAlive: () => Promise.resolve(true),
    ...options,
    headers: frozen(options.headers),
    propagated: frozen(options.propagated),
    replyHeaders: {},
    error: (code: RpcCode, details: unknown, message?: string): RpcError => errorWithDetails(code, details, message),
  };
}

/** As a server reads them: frozen, and without a prototype. */
function frozen(headers: Headers = {}): Headers {
  const entries = checkHeaders(headers, "create a context");
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(entries)));
}
