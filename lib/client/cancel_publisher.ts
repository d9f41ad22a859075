import { settlesWithin } from "../contract/deadline.ts";
import type { Channel } from "../connection/channel.ts";
import type { Connection } from "../connection/connection.ts";
import { clockAnswer } from "../wire/clock_message.ts";
import { cancelMessage } from "../wire/control_message.ts";
import type { Properties, Publish } from "../wire/message.ts";
import type { PendingCall } from "./pending_call.ts";

/** How long no cancel is sent after the broker refused one because no server listens for cancels, in ms. */
const PAUSE_MS = 1_000;
/** How long a close waits for cancels that were just asked for, in ms. */
const CLOSE_TIMEOUT_MS = 100;

/** Publishes control messages: cancels, for calls whose caller has stopped waiting, and answers of the clock; best effort. */
export class CancelPublisher {
  readonly #connection: Connection;
  /** Calls whose cancel is sent when the broker reads again. */
  readonly #waiting = new Set<PendingCall>();
  #channel: Promise<Channel> | undefined;
  #pausedUntil = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Cancels a call at the servers, if its request was ever written. */
  cancel(call: PendingCall): void {
    if (call.attempts === 0) return;
    if (this.#connection.blocked !== undefined) this.#waiting.add(call);
    else if (performance.now() >= this.#pausedUntil) {
      this.#publish(() => cancelMessage(call.procedure.queue, call.id, call.timeout));
    }
  }

  /** Answers a server that asks for the time on this client's clock; a late answer would be of no use. */
  tellClock(question: Properties): void {
    if (this.#connection.blocked === undefined) this.#publish(() => clockAnswer(question, performance.now()));
  }

  /** Sends the cancels that waited for the end of an alarm. */
  flush(): void {
    const waiting = Array.from(this.#waiting);
    this.#waiting.clear();
    for (const call of waiting) this.cancel(call);
  }

  /** Closes the channel, so that the cancels that were just published are written. */
  async close(): Promise<void> {
    this.#waiting.clear();
    if (this.#channel === undefined) return;
    await settlesWithin(this.#channel.then((channel) => channel.close()), CLOSE_TIMEOUT_MS);
  }

  /** @param make Makes the message when the channel is open. */
  #publish(make: () => Publish): void {
    const opening = this.#channel ??= this.#open();
    opening.then((channel) => channel.publish(make()))
      .catch(() => this.#forget(opening));
  }

  /** Own channel, because publishing to a missing exchange closes it; servers of this library create the exchange. */
  #open(): Promise<Channel> {
    const opening = this.#connection.channel("cancel a call").then((channel) => {
      channel.onClosed((refusal) => {
        this.#forget(opening);
        if (refusal !== undefined) this.#pausedUntil = performance.now() + PAUSE_MS;
      });
      return channel;
    });
    return opening;
  }

  /** A newer channel stays. */
  #forget(opening: Promise<Channel>): void {
    if (this.#channel === opening) this.#channel = undefined;
  }
}
