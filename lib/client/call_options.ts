import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { checkHeaders, type Headers } from "../contract/headers.ts";
import type { ParentContext } from "../contract/request_context.ts";
import { checkInteger } from "../contract/validate.ts";
import type { HeaderList } from "../wire/message.ts";

/** Options of {@linkcode RpcClient.call}. */
export interface CallOptions {
  /**
   * How long the call may take, in ms, from 1 to 2,147,483,647.
   *
   * @default {the client's timeout, 30_000}
   */
  readonly timeout?: number;
  /** If it is aborted, the call rejects with `canceled`, and the server is asked to stop the work (best effort). */
  readonly signal?: AbortSignal;
  /**
   * Rejects with `unavailable` before publishing if nobody consumes the queue;
   * takes one more round trip. No guarantee: a server may leave a moment later.
   *
   * @default {false}
   */
  readonly failFast?: boolean;
  /**
   * The headers of the request: names in lower case, values in printable ASCII,
   * at most 64 headers and 8 KiB in all; names that start with `x-` or `rpc-`
   * are reserved.
   *
   * @default {no headers}
   */
  readonly headers?: Headers;
  /**
   * Servers get waiting requests with a higher priority first, from 0 to 255;
   * the queue's highest counts in place of a higher one
   * (https://www.rabbitmq.com/docs/priority). Quorum queues have 32 priorities,
   * 0 to 31, from RabbitMQ 4.3 on, where 4 counts in place of none, and two from
   * 4.0 on, 5 and higher before the others, which still get a share; classic
   * queues have those up to the procedure's `maxPriority`. On other queues it
   * has no effect: the event `priority_ignored` says so, once for each queue.
   */
  readonly priority?: number | undefined;
  /** Called with the headers of the reply, if it has any, before the call ends. What it throws is logged and ignored. */
  readonly onReplyHeaders?: (headers: Headers) => void;
  /**
   * The context of the request whose handler makes this call: the call then
   * ends at the earlier of the two deadlines or when either signal is aborted,
   * and has the headers that the server's `propagate` option names.
   */
  readonly parent?: ParentContext;
}

/** The options of a call, checked and merged with those of its parent. */
export interface ReadyCallOptions {
  /** In ms; 0 or less if the parent's deadline has passed. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly failFast: boolean;
  readonly headers: HeaderList | undefined;
  readonly priority: number | undefined;
  readonly onReplyHeaders: ((headers: Headers) => void) | undefined;
  readonly parent: ParentContext | undefined;
  /** The call's identity over several attempts; that of the attempt if absent. */
  readonly messageId?: string;
}

/**
 * Checks the options of a call.
 *
 * @param defaultTimeout The client's, in ms.
 * @throws {TypeError | RangeError} If an option is not valid.
 */
export function checkCallOptions(options: CallOptions, defaultTimeout: number): ReadyCallOptions {
  const { timeout = defaultTimeout, signal, failFast = false, headers, priority, onReplyHeaders, parent } = options;
  checkInteger(timeout, "timeout", "call", 1, MAX_TIMEOUT_MS);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Cannot call: 'signal' must be an AbortSignal");
  }
  if (typeof failFast !== "boolean") throw new TypeError("Cannot call: 'failFast' must be true or false");
  if (priority !== undefined) checkInteger(priority, "priority", "call", 0, 255);
  if (onReplyHeaders !== undefined && typeof onReplyHeaders !== "function") {
    throw new TypeError("Cannot call: 'onReplyHeaders' must be a function of the headers");
  }
  if (parent === undefined) {
    const list = headers === undefined ? undefined : checkHeaders(headers, "call");
    return { timeout, signal, failFast, headers: list, priority, onReplyHeaders, parent };
  }
  const left = parent.deadline === undefined ? Infinity : parent.deadline.getTime() - Date.now();
  return {
    timeout: Math.min(timeout, left),
    signal: signal === undefined ? parent.signal : AbortSignal.any([signal, parent.signal]),
    failFast,
    headers: checkHeaders({ ...parent.propagated, ...headers }, "call"),
    priority,
    onReplyHeaders,
    parent,
  };
}

/** The error of a call whose parent's deadline has passed before it began. */
export function parentExpired(queue: string): RpcError {
  const text = `Cannot call "${queue}": the deadline of the request that it is made for has passed`;
  return new RpcError("deadline_exceeded", text, { outcome: "not_executed" });
}
