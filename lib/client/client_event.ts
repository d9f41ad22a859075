import { type ConnectionEvent, logConnectionEvent } from "../connection/connection_event.ts";

/** What happens to a client, besides how its calls end. */
export type ClientEvent =
  | ConnectionEvent
  /** A reply came that no call waits for: late, a duplicate, or a stranger's. */
  | { readonly type: "late_reply"; readonly correlationId: string | undefined };

/** Writes the events that a person should know to stderr: what happens to the connection. */
export function logClientEvent(event: ClientEvent): void {
  if (event.type !== "late_reply") logConnectionEvent(event);
}
