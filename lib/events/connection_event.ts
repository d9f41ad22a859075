import type { RpcError } from "../contract/errors.ts";

/** The events of a connection; `host` is the broker's `host:port`, durations are in ms. */
export type ConnectionEvent =
  /** A broker has accepted the connection; after a loss, `downtime` is how long there was none. */
  | { readonly type: "connected"; readonly host: string; readonly downtime?: number }
  /** The connection is lost; it will be opened again. */
  | { readonly type: "disconnected"; readonly host: string; readonly error: RpcError }
  /** The broker has closed a channel, for the reason given; it will be opened again. */
  | { readonly type: "channel_lost"; readonly host: string; readonly error: RpcError }
  /** A connection or channel could not be opened, see `error`; attempt `attempt`, from 1, follows in `delay` ms. */
  | { readonly type: "retrying"; readonly attempt: number; readonly delay: number; readonly error: RpcError }
  /** The broker has stopped reading what is published, because of a memory or disk alarm. */
  | { readonly type: "blocked"; readonly host: string; readonly reason: string }
  /** The broker reads again, after `duration` ms. */
  | { readonly type: "unblocked"; readonly host: string; readonly duration: number };
