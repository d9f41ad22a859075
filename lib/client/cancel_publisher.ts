import type { Channel } from "amqplib";
import type { Connection } from "../connection/connection.ts";
import { settlesWithin } from "../connection/handshake.ts";
import type { PendingCall } from "./pending_calls.ts";
import { CANCEL_EXCHANGE, cancelProperties, toBuffer } from "../wire/protocol.ts";

/** How long no cancel is sent after it turned out that no server listens for them, in ms. */
const PAUSE_MS = 1_000;
/** How long a close waits for cancels that were just asked for, in ms. */
const CLOSE_TIMEOUT_MS = 100;
const EMPTY = new Uint8Array();

/** Tells servers of calls that nobody waits for any more; best effort. */
export class CancelPublisher {
  readonly #connection: Connection;
  /** Calls whose cancel waits until the broker reads again. */
  readonly #waiting = new Set<PendingCall>();
  #channel: Promise<Channel> | undefined;
  #pausedUntil = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Takes a call back, if it was ever sent. */
  cancel(call: PendingCall): void {
    if (call.attempts === 0) return;
    if (this.#connection.blocked !== undefined) this.#waiting.add(call);
    else if (performance.now() >= this.#pausedUntil) this.#publish(call);
  }

  /** Sends what waited for the end of an alarm. */
  flush(): void {
    const waiting = Array.from(this.#waiting);
    this.#waiting.clear();
    for (const call of waiting) this.cancel(call);
  }

  /** Lets what was just published leave. */
  async close(): Promise<void> {
    this.#waiting.clear();
    if (this.#channel === undefined) return;
    await settlesWithin(this.#channel.then((channel) => channel.close()), CLOSE_TIMEOUT_MS);
  }

  #publish({ procedure, id, timeout }: PendingCall): void {
    // Of its own: where no server of ours runs the exchange is missing, which closes the channel.
    this.#channel ??= this.#connection.channel("cancel a call", (refusal) => {
      this.#channel = undefined;
      if (refusal !== undefined) this.#pausedUntil = performance.now() + PAUSE_MS;
    });
    this.#channel.then((channel) => {
      channel.publish(CANCEL_EXCHANGE, procedure.queue, toBuffer(EMPTY), cancelProperties(id, timeout));
    }).catch(() => this.#channel = undefined);
  }
}
