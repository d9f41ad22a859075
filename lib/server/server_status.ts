import { type ConnectionStatus, StateClock } from "../connection/connection_status.ts";
import type { Consumer } from "./consumer.ts";

/** How a queue that a server serves is. */
export interface QueueStatus {
  /** Its name. */
  readonly queue: string;
  /** Whether its requests are being received; not while its channel or the connection is lost, or it is being stopped. */
  readonly consuming: boolean;
  /** How many of its requests are accepted and not answered yet. */
  readonly pending: number;
}

/**
 * How a server is: {@linkcode RpcServer.status}. It is as its connection, or:
 *
 * - `serving`: it is connected, and receives the requests of all its queues.
 * - `draining`: it was closed, and finishes the requests that it has accepted.
 * - `closed`: it is closed.
 *
 * `queues` is what it serves.
 */
export type ServerStatus =
  & (
    | ConnectionStatus
    | { readonly state: "serving"; readonly since: Date; readonly host: string }
    | { readonly state: "draining"; readonly since: Date }
    | { readonly state: "closed"; readonly since: Date }
  )
  & {
    readonly queues: readonly QueueStatus[];
  };

/** How the server's parts are. */
export interface ServerParts {
  readonly connection: ConnectionStatus;
  readonly consumers: Iterable<Consumer>;
  readonly closing: "draining" | "closed" | undefined;
}

/** Knows how a server is, and since when. */
export class ServerStatusClock {
  readonly #clock = new StateClock();

  /** The status now; called at each change, so that it is known when that came. */
  read({ connection, consumers, closing }: ServerParts): ServerStatus {
    const all = Array.from(consumers);
    const queues = Object.freeze(all.map(({ queue, consuming, size }) => {
      return Object.freeze({ queue, consuming, pending: size });
    }));
    if (closing !== undefined) return Object.freeze({ state: closing, since: this.#clock.since(closing), queues });
    const wanted = all.filter(({ stopped }) => !stopped);
    const serves = wanted.length > 0 && wanted.every(({ consuming }) => consuming);
    const { state } = connection;
    if (state !== "connected" || !serves) {
      return Object.freeze({ ...connection, since: this.#clock.since(state), queues });
    }
    return Object.freeze({ state: "serving", since: this.#clock.since("serving"), host: connection.host, queues });
  }
}
