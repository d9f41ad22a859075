import type { ConnectionStatus } from "../connection/connection_status.ts";

/** How a client is: {@linkcode RpcClient.status}. */
export type ClientStatus =
  | ConnectionStatus
  /** It was closed, and waits for `pending` calls to end. */
  | { readonly state: "draining"; readonly since: Date; readonly pending: number }
  /** It is closed. */
  | { readonly state: "closed"; readonly since: Date };
