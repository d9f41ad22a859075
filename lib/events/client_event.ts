import type { RpcCode, RpcOutcome } from "../contract/errors.ts";
import type { ConnectionEvent } from "./connection_event.ts";

/**
 * The events of a client and its calls, beside those of its connection.
 *
 * - `late_reply`: a reply came that no call waits for: it is late, a duplicate, or has an unknown correlation id.
 * - `priority_ignored`: calls to this queue have a priority, which has no effect, for the reason given; emitted once for
 *   each queue.
 * - `called`: a call has ended, after `duration` ms and `attempts` writes of its request. `outcome` and `error` are
 *   absent if it has a result. `id` is its correlation id, `messageId` its identity, which the server's events have too;
 *   both are absent if it ended before it had one. Where interceptors make several attempts, each is an event.
 */
export type ClientEvent =
  | ConnectionEvent
  | { readonly type: "late_reply"; readonly correlationId: string | undefined }
  | { readonly type: "priority_ignored"; readonly queue: string; readonly reason: string }
  | {
    readonly type: "called";
    readonly queue: string;
    readonly method: string | undefined;
    readonly id: string | undefined;
    readonly messageId: string | undefined;
    readonly code: RpcCode | "ok";
    readonly outcome: RpcOutcome | undefined;
    readonly error: Error | undefined;
    readonly duration: number;
    readonly attempts: number;
  };
