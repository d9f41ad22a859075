/**
 * How a connection is. `since` is when that began, on this computer's clock; `host` is the broker's `host:port`.
 *
 * - `connected`: there is a connection.
 * - `blocked`: there is one, but the broker accepts no messages, for the reason given: a memory or disk alarm.
 * - `connecting`: it is lost, and being opened again; `reason` is why the last attempt failed, or why it was lost.
 */
export type ConnectionStatus =
  | { readonly state: "connected"; readonly since: Date; readonly host: string }
  | { readonly state: "blocked"; readonly since: Date; readonly host: string; readonly reason: string }
  | { readonly state: "connecting"; readonly since: Date; readonly reason: string };

/** Remembers since when a state has lasted. */
export class StateClock {
  #state: string | undefined;
  #since = 0;

  /** Notes the state that there is now; returns since when there has been no other. */
  since(state: string): Date {
    if (state !== this.#state) {
      this.#state = state;
      this.#since = Date.now();
    }
    return new Date(this.#since);
  }
}
