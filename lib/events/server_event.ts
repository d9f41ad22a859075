import type { RpcCode, RpcError } from "../contract/errors.ts";
import type { ConnectionEvent } from "./connection_event.ts";

/**
 * The events of a server and its requests, beside those of its connection. Durations are in ms; `messageId` is the
 * call's identity, which the client's events have too.
 *
 * - `adopted_queue`: the queue exists with other arguments than asked for, and is used unchanged.
 * - `consumer_canceled`: the queue was deleted, or the broker ended the consumer; it is declared and consumed again.
 * - `consumer_timeout`: the broker ended the consumer because a request was not answered within its consumer timeout: it
 *   delivers that one again, before RabbitMQ 4.3 also the others that are in progress. Handlers continue, and the queue
 *   is consumed again. The event has the request that has been in progress for the longest time, so far `duration` ms.
 * - `rejected_request`: a request without an accepted `reply_to`: it was rejected, without requeue.
 * - `overloaded`: requests were refused with `resource_exhausted`, for the reason given, because they had too little time
 *   left: `refused` of them since this was last reported. Reported for the first one, and then every 10 s while there are
 *   more.
 * - `expired_request`: a request whose caller stopped waiting before it was started, or before it ended; it gets no
 *   reply.
 * - `returned_request`: a request that may have expired while this process was stalled: requeued, so that the broker
 *   applies the expiration.
 * - `canceled_request`: a request that its caller canceled; its handler's signal was aborted, or it was not started.
 * - `redelivered_request`: a request was delivered again, because the channel of its ack was lost, while this server is
 *   still running it or after it has ended; it is not run again.
 * - `loop_blocked`: the event loop stood still for `duration` ms: a handler computed for that long without a pause, or
 *   the process was stopped. Nothing else was done meanwhile, and a connection is lost after about twice its heartbeat.
 *   The request is the one whose handler ran then, as far as that is known.
 * - `worker_lost`: a process that runs the handlers of a module has ended by itself, or cannot be started again; it is
 *   replaced.
 * - `handled`: a request has ended with `code`; it was answered `duration` ms after it arrived, without its handler if
 *   not `executed`; `error` is what its caller got, if it got one.
 * - `handler_error`: a handler threw something other than an `RpcError`, or its result is not valid; the caller got
 *   `internal`, `id`.
 * - `caller_left`: the reply queue was gone: the caller has left. If that was known before, the request was not run.
 * - `reply_dropped`: a reply was dropped, for the reason given.
 */
export type ServerEvent =
  | ConnectionEvent
  | { readonly type: "adopted_queue"; readonly queue: string; readonly reason: string }
  | { readonly type: "consumer_canceled"; readonly queue: string }
  | {
    readonly type: "consumer_timeout";
    readonly queue: string;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
    readonly duration: number;
  }
  | { readonly type: "rejected_request"; readonly queue: string; readonly reason: string }
  | { readonly type: "overloaded"; readonly queue: string; readonly refused: number; readonly reason: string }
  | { readonly type: "expired_request"; readonly queue: string; readonly messageId: string | undefined }
  | { readonly type: "returned_request"; readonly queue: string; readonly messageId: string | undefined }
  | { readonly type: "canceled_request"; readonly queue: string; readonly messageId: string | undefined }
  | {
    readonly type: "redelivered_request";
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly state: "running" | "ended";
  }
  | {
    readonly type: "loop_blocked";
    readonly duration: number;
    readonly queue: string | undefined;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
  }
  | { readonly type: "worker_lost"; readonly queue: string; readonly error: Error }
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
  | {
    readonly type: "handler_error";
    readonly queue: string;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
    readonly id: string;
    readonly error: unknown;
  }
  | { readonly type: "caller_left"; readonly queue: string; readonly messageId: string | undefined }
  | {
    readonly type: "reply_dropped";
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly reason: string;
  };
