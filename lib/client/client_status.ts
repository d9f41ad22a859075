import type { ConnectionStatus } from "../connection/connection_status.ts";

/**
 * How a client is: {@linkcode RpcClient.status}. It is as its connection, until it is closed:
 *
 * - `draining`: it was closed, and waits for `pending` calls to end.
 * - `closed`: it is closed.
 */
export type ClientStatus =
  | ConnectionStatus
  | { readonly state: "draining"; readonly since: Date; readonly pending: number }
  | { readonly state: "closed"; readonly since: Date };
