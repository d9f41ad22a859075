import { type ConnectionEvent, logConnectionEvent } from "./connection_event.ts";
import type { RpcCode, RpcOutcome } from "../contract/errors.ts";

/** The events of a client and its calls. */
export type ClientEvent =
  | ConnectionEvent
  /** A reply came that no call waits for: it is late, a duplicate, or has an unknown correlation id. */
  | { readonly type: "late_reply"; readonly correlationId: string | undefined }
  /** A call has ended, after `duration` ms and `attempts` writes of its request; `outcome` is absent if it has a result. */
  | {
    readonly type: "called";
    readonly queue: string;
    readonly method: string | undefined;
    /** The call's identity; absent if it ended before it had one. */
    readonly id: string | undefined;
    readonly code: RpcCode | "ok";
    readonly outcome: RpcOutcome | undefined;
    readonly duration: number;
    readonly attempts: number;
  };

/** Writes important events to stderr: those of the connection. */
export function logClientEvent(event: ClientEvent): void {
  if (event.type !== "late_reply" && event.type !== "called") logConnectionEvent(event);
}
