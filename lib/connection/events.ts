import type { RpcError } from "../contract/errors.ts";

/** What a connection tells its owner. */
export type ConnectionEvent =
  /** A broker has taken the connection; `host` is its `host:port`. */
  | { readonly type: "connected"; readonly host: string }
  /** The connection is gone; it is made again. */
  | { readonly type: "disconnected"; readonly error: RpcError }
  /** The broker has closed a channel, for the reason given; it is opened again. */
  | { readonly type: "channel_lost"; readonly error: RpcError }
  /** What `error` says failed, a connection or a channel, is tried again after `delay` ms; `attempt` begins at 1. */
  | { readonly type: "retrying"; readonly attempt: number; readonly delay: number; readonly error: RpcError }
  /** The broker has stopped to read what is published, for a memory or disk alarm. */
  | { readonly type: "blocked"; readonly reason: string }
  /** The broker reads again. */
  | { readonly type: "unblocked" };

/** What a client tells about itself, besides how its calls end. */
export type ClientEvent =
  | ConnectionEvent
  /** A reply came that no call waits for: late, a duplicate, or a stranger's. */
  | { readonly type: "late_reply"; readonly correlationId: string | undefined };

/** What a server tells about itself, besides its replies. */
export type ServerEvent =
  | ConnectionEvent
  /** The queue exists with other arguments than asked for, and is used as it is. */
  | { readonly type: "adopted_queue"; readonly queue: string; readonly reason: string }
  /** The queue was deleted, or the broker ended the consumer; it is declared and consumed again. */
  | { readonly type: "consumer_canceled"; readonly queue: string }
  /** A request that nobody could be answered for: rejected, without requeue. */
  | { readonly type: "rejected_request"; readonly queue: string; readonly reason: string }
  /** A request whose caller had stopped to wait before it was started, or before it had ended; it gets no reply. */
  | { readonly type: "expired_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request that may have expired while this process stood still: given back to the broker, which knows. */
  | { readonly type: "returned_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A request that its caller took back; its handler was stopped, or not started. */
  | { readonly type: "canceled_request"; readonly queue: string; readonly messageId: string | undefined }
  /** A handler threw something else than an `RpcError`; the caller got `internal` and `id`. */
  | { readonly type: "handler_error"; readonly queue: string; readonly id: string; readonly error: unknown }
  /** The reply queue was gone: the caller has left. */
  | { readonly type: "caller_left"; readonly queue: string; readonly messageId: string | undefined }
  /** A reply could not be sent until its caller's deadline, for the reason given. */
  | {
    readonly type: "reply_dropped";
    readonly queue: string;
    readonly messageId: string | undefined;
    readonly reason: string;
  };

/** The events a person wants to read where nobody listens: by default they go to stderr. */
export function logEvent(event: ClientEvent | ServerEvent): void {
  switch (event.type) {
    case "handler_error":
      return console.error(`Handler for "${event.queue}" threw, caller got id ${event.id}:`, event.error);
    case "disconnected":
      return console.error(`Disconnected: ${event.error.message}`);
    case "channel_lost":
      return console.error(`Channel closed by the broker: ${event.error.message}`);
    case "retrying":
      // The first and every tenth: enough to know that it goes on, and why.
      if (event.attempt % 10 !== 1) return;
      return console.error(`Trying again in ${Math.ceil(event.delay)} ms (${event.attempt}): ${event.error.message}`);
    case "adopted_queue":
      return console.error(`Queue "${event.queue}" is used as it is: ${event.reason}`);
    case "rejected_request":
      return console.error(`Rejected a request from "${event.queue}": ${event.reason}`);
    case "reply_dropped":
      return console.error(`Dropped a reply for "${event.queue}": ${event.reason}`);
    case "consumer_canceled":
      return console.error(`Queue "${event.queue}" was deleted, or its consumer ended; declaring it again`);
    case "blocked":
      return console.error(`Blocked by the broker: ${event.reason}`);
    case "unblocked":
      return console.error("No longer blocked by the broker");
    default:
  }
}

/** Calls a listener; what it throws is its own affair, and must not close a channel. */
export function emitTo<Event>(listener: (event: Event) => void, event: Event): void {
  try {
    listener(event);
  } catch (error) {
    console.error("The onEvent listener threw:", error);
  }
}

/** Refuses a listener that cannot be called. */
export function checkListener(listener: unknown): void {
  if (typeof listener !== "function") throw new TypeError("Cannot connect: 'onEvent' must be a function of the event");
}
