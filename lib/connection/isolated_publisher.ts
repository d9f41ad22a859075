import { settlesWithin } from "../contract/deadline.ts";
import { RpcError, type RpcOutcome } from "../contract/errors.ts";
import type { Publish } from "../wire/message.ts";
import { toRpcError } from "./broker_error.ts";
import type { Connection } from "./connection.ts";

/** How long the broker may take to confirm a message, in ms. */
const CONFIRM_TIMEOUT_MS = 5_000;

/** What the broker did with a message. */
export type PublishFate = "confirmed" | "nacked" | "returned";

/**
 * Publishes messages one at a time, each on a channel of its own. Messages that were unconfirmed when the broker closed a
 * channel or the connection are sent again this way: if that happens once more, it is known which message was the cause,
 * and no other message is lost with it.
 */
export class IsolatedPublisher {
  readonly #connection: Connection;
  readonly #action: string;
  #last: Promise<unknown> = Promise.resolve();

  /** @param action What is published, as in "Cannot publish a reply". */
  constructor(connection: Connection, action: string) {
    this.#connection = connection;
    this.#action = action;
  }

  /**
   * Publishes a message when all earlier ones are settled, and waits for the broker's answer.
   *
   * @param make Called just before the message is published; if it returns undefined, it counts as nacked.
   * @throws {RpcError} `unavailable` if the connection is lost or the broker does not answer, with the outcome
   *   `not_executed` if nothing was written; or else why the broker closed the channel.
   */
  publish(make: () => Publish | undefined): Promise<PublishFate> {
    const published = this.#last.then(() => this.#publish(make));
    this.#last = published.catch(() => {});
    return published;
  }

  async #publish(make: () => Publish | undefined): Promise<PublishFate> {
    if (this.#connection.blocked !== undefined) throw this.#unavailable("the broker is blocked", "not_executed");
    const channel = await this.#connection.channel(this.#action, true);
    const { promise, resolve, reject } = Promise.withResolvers<PublishFate>();
    // Nobody awaits it if the message cannot be encoded.
    promise.catch(() => {});
    let returned = false;
    channel.onClosed((refusal) => {
      const lost = this.#unavailable("the connection was lost", "unknown");
      reject(refusal === undefined ? lost : toRpcError(refusal, this.#action));
    });
    channel.listen({
      returned: () => returned = true,
      confirmed: ({ nack }) => resolve(nack ? "nacked" : returned ? "returned" : "confirmed"),
    });
    try {
      const message = make();
      if (message === undefined) return "nacked";
      channel.publish(message);
      // One message that is never confirmed must not keep all others waiting.
      if (!await settlesWithin(promise, CONFIRM_TIMEOUT_MS)) {
        throw this.#unavailable(`the broker did not confirm it within ${CONFIRM_TIMEOUT_MS} ms`, "unknown");
      }
      return await promise;
    } finally {
      channel.close().catch(() => {});
    }
  }

  #unavailable(why: string, outcome: RpcOutcome): RpcError {
    return new RpcError("unavailable", `Cannot ${this.#action}: ${why}`, { outcome });
  }
}
