import { CONNECT_TIMEOUT_MS } from "../connection/connect_options.ts";
import type { AmqpChannel } from "../connection/amqp_channel.ts";
import type { Connection } from "../connection/connection.ts";
import type { RpcError } from "../contract/errors.ts";
import type { Delivery } from "../wire/message.ts";

/** What happens to replies. */
export interface ReplyListener {
  /** A reply has come, to whatever. */
  replied(reply: Delivery): void;
  /** Replies can be sent to this address from now on. */
  opened(): void;
  /** No reply comes any more to what was sent so far. */
  repliesLost(error: RpcError): void;
}

/** Consumes a queue of replies on a channel, and closes the channel when the queue is deleted: it is then opened again. */
export function consumeReplies(listener: Pick<ReplyListener, "replied">, channel: AmqpChannel) {
  return {
    delivered: (reply: Delivery) => listener.replied(reply),
    consumerCanceled: () => void channel.close().catch(() => {}),
  };
}

/** The client's own exclusive queue, named by the broker; declared again under a new name whenever it is lost. */
export class ReplyQueue {
  readonly #listener: ReplyListener;
  #name: string | undefined;

  constructor(listener: ReplyListener) {
    this.#listener = listener;
  }

  /** Its name, while it is consumed. */
  get name(): string | undefined {
    return this.#name;
  }

  /** Declares and consumes it. */
  async open(connection: Connection, patience: number = CONNECT_TIMEOUT_MS): Promise<void> {
    let declared: string | undefined;
    await connection.keep({
      action: "open a reply queue",
      setup: async (channel) => {
        channel.listen(consumeReplies(this.#listener, channel));
        const { queue } = await channel.assertQueue("", { exclusive: true, durable: false });
        await channel.consume(queue, { noAck: true });
        declared = queue;
      },
      opened: () => {
        this.#name = declared;
        this.#listener.opened();
      },
      lost: (error) => {
        this.#name = undefined;
        this.#listener.repliesLost(error);
      },
    }, patience);
  }
}
