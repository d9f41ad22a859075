import type { RpcCode, RpcError } from "../contract/errors.ts";
import type { ConnectionEvent } from "./connection_event.ts";

/** The events of a server and its requests. */
export type ServerEvent =
  | ConnectionEvent
  /** The queue exists with other arguments than asked for, and is used unchanged. */
  | { readonly type: "adopted_queue"; readonly queue: string; readonly reason: string }
  /** The queue was deleted, or the broker ended the consumer; it is declared and consumed again. */
  | { readonly type: "consumer_canceled"; readonly queue: string }
  /**
   * The broker ended the consumer because a request was not answered within its consumer timeout: it delivers that one
   * again, before RabbitMQ 4.3 also the others that are in progress. Handlers continue, and the queue is consumed again.
   * The event has the request that has been in progress for the longest time, so far `duration` ms.
   */
  | {
    readonly type: "consumer_timeout";
    readonly queue: string;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
    readonly duration: number;
  }
  /** A request without an accepted `reply_to`: it was rejected, without requeue. */
  | { readonly type: "rejected_request"; readonly queue: string; readonly reason: string }
  /**
   * Requests were refused with `resource_exhausted`, for the reason given, because they had too little time left: `refused`
   * of them since this was last reported. Reported for the first one, and then every 10 s while there are more.
   */
  | { readonly type: "overloaded"; readonly queue: string; readonly refused: number; readonly reason: string }
  /** A request whose caller stopped waiting before it was started, or before it ended; it gets no reply. */
  | { readonly type: "expired_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request that may have expired while this process was stalled: requeued, so that the broker applies the expiration. */
  | { readonly type: "returned_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request that its caller canceled; its handler's signal was aborted, or it was not started. */
  | { readonly type: "canceled_request"; readonly queue: string; readonly messageId: string | undefined }
  /**
   * A request was delivered again, because the channel of its ack was lost, while this server is still running it or
   * after it has ended; it is not run again.
   */
  | {
    readonly type: "redelivered_request";
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly state: "running" | "ended";
  }
  /**
   * The event loop stood still for `duration` ms: a handler computed for that long without a pause, or the process was
   * stopped. Nothing else was done meanwhile, and a connection is lost after about twice its heartbeat. The request is
   * the one whose handler ran then, as far as that is known.
   */
  | {
    readonly type: "loop_blocked";
    readonly duration: number;
    readonly queue: string | undefined;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
  }
  /** A process that runs the handlers of a module has ended by itself, or cannot be started again; it is replaced. */
  | { readonly type: "worker_lost"; readonly queue: string; readonly error: Error }
  /**
   * A request has ended with `code`; it was answered `duration` ms after it arrived, without its handler if not
   * `executed`; `error` is what its caller got, if it got one.
   */
  | {
    readonly type: "handled";
    readonly queue: string;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
    readonly code: RpcCode | "ok";
    readonly error: RpcError | undefined;
    readonly duration: number;
    readonly redelivered: boolean;
    readonly executed: boolean;
  }
  /** A handler threw something other than an `RpcError`, or its result is not valid; the caller got `internal`, `id`. */
  | {
    readonly type: "handler_error";
    readonly queue: string;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
    readonly id: string;
    readonly error: unknown;
  }
  /** The reply queue was gone: the caller has left. */
  | { readonly type: "caller_left"; readonly queue: string; readonly messageId: string | undefined }
  /** A reply was dropped, for the reason given. */
  | {
    readonly type: "reply_dropped";
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly reason: string;
  };
