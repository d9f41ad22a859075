import type { RpcError } from "../contract/errors.ts";
import { LogThrottle } from "./log_throttle.ts";
import { printable } from "../contract/printable.ts";

/** The events of a connection. */
export type ConnectionEvent =
  /** A broker has accepted the connection; `host` is its `host:port`. */
  | { readonly type: "connected"; readonly host: string }
  /** The connection is lost; it will be opened again. */
  | { readonly type: "disconnected"; readonly error: RpcError }
  /** The broker has closed a channel, for the reason given; it will be opened again. */
  | { readonly type: "channel_lost"; readonly error: RpcError }
  /** A connection or channel could not be opened, see `error`; attempt `attempt`, from 1, follows in `delay` ms. */
  | { readonly type: "retrying"; readonly attempt: number; readonly delay: number; readonly error: RpcError }
  /** The broker has stopped reading what is published, because of a memory or disk alarm. */
  | { readonly type: "blocked"; readonly reason: string }
  /** The broker reads again. */
  | { readonly type: "unblocked" };

const log = new LogThrottle();

/** Writes important events to stderr. */
export function logConnectionEvent(event: ConnectionEvent): void {
  const line = lineOf(event);
  if (line !== undefined) log.write(event.type, printable(line));
}

function lineOf(event: ConnectionEvent): string | undefined {
  switch (event.type) {
    case "disconnected":
      return event.error.message;
    case "channel_lost":
      return `Channel closed by the broker: ${event.error.message}`;
    case "retrying": {
      const { attempt, delay, error } = event;
      // Only the first attempt and every tenth after it, so that a long outage does not fill the log.
      const told = attempt % 10 === 1;
      return told ? `Retrying in ${(delay / 1_000).toFixed(1)} s (attempt ${attempt}): ${error.message}` : undefined;
    }
    case "blocked":
      return `Blocked by the broker: ${event.reason}`;
    case "unblocked":
      return "No longer blocked by the broker";
    default:
      return undefined;
  }
}
