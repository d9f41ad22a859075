import type { RpcCode } from "../contract/errors.ts";
import { printable, printableError } from "../contract/printable.ts";
import type { ClientEvent } from "./client_event.ts";
import type { ServerEvent } from "./server_event.ts";

/** How important a line of the log is; from the least to the most. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Any event of a client or a server. */
export type RpcEvent = ClientEvent | ServerEvent;

/** What one line of the log says; the fields that are absent do not apply. All texts are printable and bounded. */
export interface LogRecord {
  readonly level: LogLevel;
  /** What happened, for machines: the type of the event. */
  readonly event: string;
  /** What happened, for people. */
  readonly message: string;
  /** More, by the names that the log gives it. */
  readonly fields: LogFields;
  /** Where an error was thrown, one frame or cause a line. */
  readonly stack?: readonly string[];
}

/** The fields of a record; their order is that in which they are written. */
export interface LogFields {
  readonly host?: string;
  readonly queue?: string | undefined;
  readonly method?: string | undefined;
  readonly message_id?: string | undefined;
  readonly correlation_id?: string | undefined;
  readonly code?: string;
  readonly outcome?: string | undefined;
  readonly error_id?: string | undefined;
  readonly attempt?: number;
  readonly attempts?: number;
  readonly redelivered?: boolean;
  readonly duration_ms?: number;
  readonly delay_ms?: number;
  readonly left_out?: number;
}

/**
 * The levels. The end of a trouble has the level of the trouble, so that who reads about it also reads that it is over.
 */
const LEVELS: Readonly<Record<Exclude<RpcEvent["type"], "called" | "handled">, LogLevel>> = {
  connected: "info",
  disconnected: "warn",
  channel_lost: "warn",
  retrying: "warn",
  blocked: "warn",
  unblocked: "warn",
  late_reply: "debug",
  priority_ignored: "warn",
  adopted_queue: "warn",
  consumer_canceled: "warn",
  consumer_timeout: "warn",
  rejected_request: "warn",
  overloaded: "warn",
  expired_request: "debug",
  returned_request: "warn",
  redelivered_request: "info",
  loop_blocked: "warn",
  worker_lost: "warn",
  canceled_request: "debug",
  handler_error: "error",
  caller_left: "info",
  reply_dropped: "warn",
};

/** Codes that tell a caller about its request; all others tell an operator about a system. */
const ANSWERS: ReadonlySet<RpcCode | "ok"> = new Set<RpcCode>([
  "canceled",
  "invalid_argument",
  "not_found",
  "already_exists",
  "permission_denied",
  "failed_precondition",
  "out_of_range",
  "unauthenticated",
]);

/** The level of an event. */
export function levelOf(event: RpcEvent): LogLevel {
  const { type } = event;
  if (type === "called" || type === "handled") {
    return event.code === "ok" ? "debug" : ANSWERS.has(event.code) ? "info" : "warn";
  }
  return type === "connected" && event.downtime !== undefined ? "warn" : LEVELS[type];
}

function seconds(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function tenths(ms: number): number {
  return Math.round(10 * ms) / 10;
}

/** The record of an event. */
export function recordOf(event: RpcEvent): LogRecord {
  const { message, fields, stack, name = event.type } = describe(event);
  const printed = Object.entries(fields).filter(([, value]) => value !== undefined).map(([key, value]) => {
    return [key, typeof value === "string" ? printable(value) : value];
  });
  return {
    level: levelOf(event),
    event: name,
    message: printable(message),
    fields: Object.fromEntries(printed),
    ...(stack === undefined ? {} : { stack }),
  };
}

interface Description {
  readonly message: string;
  readonly fields: LogFields;
  readonly stack?: readonly string[];
  /** The event's name, if it is not its type. */
  readonly name?: string;
}

function describe(event: RpcEvent): Description {
  switch (event.type) {
    case "connected": {
      const { host, downtime } = event;
      if (downtime === undefined) return { message: "Connected", fields: { host } };
      const fields = { host, duration_ms: tenths(downtime) };
      return { message: `Reconnected after ${seconds(downtime)}`, fields, name: "reconnected" };
    }
    case "disconnected":
      return { message: event.error.message, fields: { host: event.host } };
    case "channel_lost":
      return { message: `The broker closed a channel: ${event.error.message}`, fields: { host: event.host } };
    case "retrying": {
      const { attempt, delay, error: { message, code } } = event;
      const fields = { code, attempt, delay_ms: tenths(delay) };
      return { message: `Retrying in ${seconds(delay)}: ${message}`, fields };
    }
    case "blocked":
      return { message: `The broker accepts no messages: ${event.reason}`, fields: { host: event.host } };
    case "unblocked": {
      const { host, duration } = event;
      return { message: "The broker accepts messages again", fields: { host, duration_ms: tenths(duration) } };
    }
    default:
      return describeCall(event);
  }
}

type CallEvent = Exclude<RpcEvent, { readonly type: ConnectionType }>;
type ConnectionType = "connected" | "disconnected" | "channel_lost" | "retrying" | "blocked" | "unblocked";

function describeCall(event: CallEvent): Description {
  switch (event.type) {
    case "loop_blocked": {
      const { queue, method, messageId, duration } = event;
      const message = queue === undefined
        ? "The event loop stood still; perhaps a handler blocked it"
        : "The event loop stood still while a handler ran; it must not compute for so long without a pause";
      return { message, fields: { queue, method, message_id: messageId, duration_ms: tenths(duration) } };
    }
    case "priority_ignored":
      return { message: `The priority of calls has no effect: ${event.reason}`, fields: { queue: event.queue } };
    case "late_reply":
      return { message: "A reply came that no call waits for", fields: { correlation_id: event.correlationId } };
    case "called": {
      const { queue, method, messageId, code, outcome, error, attempts, duration } = event;
      const error_id = (error as { id?: string } | undefined)?.id;
      const fields = { queue, method, message_id: messageId, code, outcome, error_id, attempts };
      const message = error === undefined ? "Call answered" : `Call failed: ${error.message}`;
      return { message, fields: { ...fields, duration_ms: tenths(duration) } };
    }
    case "handled": {
      const { queue, method, messageId, code, error, redelivered, duration } = event;
      const fields = {
        queue,
        method,
        message_id: messageId,
        code,
        outcome: error?.outcome,
        error_id: error?.id,
        ...(redelivered ? { redelivered } : {}),
      };
      const message = code === "ok"
        ? "Request answered"
        : `Request failed${error === undefined ? "" : `: ${error.message}`}`;
      return { message, fields: { ...fields, duration_ms: tenths(duration) } };
    }
    case "handler_error": {
      const { queue, method, messageId, id, error } = event;
      const [head = "", ...stack] = printableError(error).split("\n");
      return {
        message: `Handler threw ${head}`,
        fields: { queue, method, message_id: messageId, error_id: id },
        stack,
      };
    }
    default:
      return describeRequest(event);
  }
}

type RequestEvent = Exclude<
  CallEvent,
  { readonly type: "loop_blocked" | "late_reply" | "priority_ignored" | "called" | "handled" | "handler_error" }
>;

function describeRequest(event: RequestEvent): Description {
  const { queue } = event;
  switch (event.type) {
    case "adopted_queue": {
      const message = `The queue already exists with other settings; using it unchanged (${event.reason})`;
      return { message, fields: { queue } };
    }
    case "consumer_canceled":
      return { message: "The queue was deleted, or its consumer ended; declaring it again", fields: { queue } };
    case "consumer_timeout": {
      const { method, messageId, duration } = event;
      const message = `The broker took a request back that was not answered within its consumer timeout; the longest ` +
        `one has been in progress for ${seconds(duration)}. For longer work, set consumerTimeout`;
      return { message, fields: { queue, method, message_id: messageId, duration_ms: tenths(duration) } };
    }
    case "rejected_request":
      return { message: `Rejected a request: ${event.reason}`, fields: { queue } };
    case "overloaded": {
      const requests = event.refused === 1 ? "a request" : `${event.refused} requests`;
      return { message: `Overloaded, refused ${requests}: ${event.reason}`, fields: { queue } };
    }
    case "expired_request":
      return { message: "The request expired before it was answered", fields: { queue, message_id: event.messageId } };
    case "returned_request": {
      const message = "The process was stalled, and the request may have expired: returned it to the queue";
      return { message, fields: { queue, message_id: event.messageId } };
    }
    case "redelivered_request": {
      const state = event.state === "running" ? "is still running" : "has ended";
      const message = `The request was delivered again; it ${state}, and is not run again`;
      return { message, fields: { queue, message_id: event.messageId } };
    }
    case "worker_lost":
      return { message: `Lost a worker: ${event.error.message}`, fields: { queue } };
    case "canceled_request":
      return { message: "The caller canceled the request", fields: { queue, message_id: event.messageId } };
    case "caller_left":
      return { message: "The caller left before the reply", fields: { queue, message_id: event.messageId } };
    case "reply_dropped":
      return { message: `Dropped a reply: ${event.reason}`, fields: { queue, message_id: event.messageId } };
  }
}
