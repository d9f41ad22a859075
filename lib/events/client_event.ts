import type { RpcCode, RpcOutcome } from "../contract/errors.ts";
import type { ConnectionEvent } from "./connection_event.ts";

/** The events of a client and its calls. */
export type ClientEvent =
  | ConnectionEvent
  /** A reply came that no call waits for: it is late, a duplicate, or has an unknown correlation id. */
  | { readonly type: "late_reply"; readonly correlationId: string | undefined }
  /** Calls to this queue have a priority, which has no effect, for the reason given; emitted once for each queue. */
  | { readonly type: "priority_ignored"; readonly queue: string; readonly reason: string }
  /**
   * A call has ended, after `duration` ms and `attempts` writes of its request; `outcome` and `error` are absent if it
   * has a result.
   */
  | {
    readonly type: "called";
    readonly queue: string;
    readonly method: string | undefined;
    /** The call's correlation id; absent if it ended before it had one. */
    readonly id: string | undefined;
    /** The call's identity, which the server's events have too; absent if it ended before it had one. */
    readonly messageId: string | undefined;
    readonly code: RpcCode | "ok";
    readonly outcome: RpcOutcome | undefined;
    readonly error: Error | undefined;
    readonly duration: number;
    readonly attempts: number;
  };
