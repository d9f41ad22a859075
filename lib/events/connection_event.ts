import type { RpcError } from "../contract/errors.ts";

/**
 * The events of a connection; `host` is the broker's `host:port`, durations are in ms.
 *
 * - `connected`: a broker has accepted the connection; after a loss, `downtime` is how long there was none.
 * - `disconnected`: the connection is lost; it will be opened again.
 * - `channel_lost`: the broker has closed a channel, for the reason given; it will be opened again.
 * - `retrying`: a connection or channel could not be opened, see `error`; attempt `attempt`, from 1, follows in `delay`
 *   ms.
 * - `blocked`: the broker has stopped reading what is published, because of a memory or disk alarm.
 * - `unblocked`: the broker reads again, after `duration` ms.
 */
export type ConnectionEvent =
  | { readonly type: "connected"; readonly host: string; readonly downtime?: number }
  | { readonly type: "disconnected"; readonly host: string; readonly error: RpcError }
  | { readonly type: "channel_lost"; readonly host: string; readonly error: RpcError }
  | { readonly type: "retrying"; readonly attempt: number; readonly delay: number; readonly error: RpcError }
  | { readonly type: "blocked"; readonly host: string; readonly reason: string }
  | { readonly type: "unblocked"; readonly host: string; readonly duration: number };
