import type { RpcCode } from "../contract/errors.ts";
import { LogThrottle } from "../connection/log_throttle.ts";
import { printable, printableError } from "../contract/printable.ts";
import { type ConnectionEvent, logConnectionEvent } from "../connection/connection_event.ts";

/** What happens to a server, besides its replies. */
export type ServerEvent =
  | ConnectionEvent
  /** The queue exists with other arguments than asked for, and is used unchanged. */
  | { readonly type: "adopted_queue"; readonly queue: string; readonly reason: string }
  /** The queue was deleted, or the broker ended the consumer; it is declared and consumed again. */
  | { readonly type: "consumer_canceled"; readonly queue: string }
  /** A request that cannot be answered to anybody: rejected, without requeue. */
  | { readonly type: "rejected_request"; readonly queue: string; readonly reason: string }
  /** A request whose caller had stopped waiting before it was started, or before it had ended; it gets no reply. */
  | { readonly type: "expired_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request that may have expired while this process was stalled: requeued, so that the broker applies the expiration. */
  | { readonly type: "returned_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request that its caller took back; its handler was stopped, or not started. */
  | { readonly type: "canceled_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request has ended, with `code` and after `duration` ms since it arrived. */
  | {
    readonly type: "handled";
    readonly queue: string;
    readonly method: string | undefined;
    readonly messageId: string | undefined;
    readonly code: RpcCode | "ok";
    readonly duration: number;
    readonly redelivered: boolean;
  }
  /** A handler threw something else than an `RpcError`; the caller got `internal` and `id`. */
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
  /** A reply was given up, for the reason given. */
  | {
    readonly type: "reply_dropped";
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly reason: string;
  };

const log = new LogThrottle();

/** Writes the events that a person should know to stderr. */
export function logServerEvent(event: ServerEvent): void {
  switch (event.type) {
    case "handler_error":
      return log.write(
        printable(`${event.type} ${event.queue}`),
        `${printable(`Handler for "${event.queue}" threw, caller got id ${event.id}:`)} ${printableError(event.error)}`,
      );
    case "adopted_queue":
      return say(
        event,
        `Queue "${event.queue}" already exists with other settings; using it unchanged (${event.reason})`,
      );
    case "rejected_request":
      return say(event, `Rejected a request from "${event.queue}": ${event.reason}`);
    case "reply_dropped":
      return say(event, `Dropped a reply for "${event.queue}": ${event.reason}`);
    case "consumer_canceled":
      return say(event, `Queue "${event.queue}" was deleted, or its consumer ended; declaring it again`);
    case "expired_request":
    case "returned_request":
    case "canceled_request":
    case "caller_left":
    case "handled":
      return;
    default:
      logConnectionEvent(event);
  }
}

function say({ type, queue }: { readonly type: string; readonly queue: string }, line: string): void {
  log.write(printable(`${type} ${queue}`), printable(line));
}
