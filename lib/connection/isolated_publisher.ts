import { RpcError } from "../contract/errors.ts";
import type { Publish } from "../wire/message.ts";
import { toRpcError } from "./broker_error.ts";
import type { Connection } from "./connection.ts";

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
   * @param stillWanted Called just before the message is published; if it returns false, the message counts as nacked.
   * @throws {RpcError} `unavailable` if the connection is lost, or else why the broker closed the channel.
   */
  publish(message: Publish, stillWanted: () => boolean): Promise<PublishFate> {
    const published = this.#last.then(() => stillWanted() ? this.#publish(message) : "nacked");
    this.#last = published.catch(() => {});
    return published;
  }

  async #publish(message: Publish): Promise<PublishFate> {
    const channel = await this.#connection.channel(this.#action, true);
    const { promise, resolve, reject } = Promise.withResolvers<PublishFate>();
    // Nobody awaits it if the message cannot be encoded.
    promise.catch(() => {});
    let returned = false;
    channel.onClosed((refusal) => {
      const lost = new RpcError("unavailable", `Cannot ${this.#action}: the connection was lost`);
      reject(refusal === undefined ? lost : toRpcError(refusal, this.#action));
    });
    channel.listen({
      returned: () => returned = true,
      confirmed: ({ nack }) => resolve(nack ? "nacked" : returned ? "returned" : "confirmed"),
    });
    try {
      channel.publish(message);
      return await promise;
    } finally {
      channel.close().catch(() => {});
    }
  }
}
