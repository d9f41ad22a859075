import { CONNECT_TIMEOUT_MS } from "../connection/connect_options.ts";
import type { Channel } from "../connection/channel.ts";
import type { Connection } from "../connection/connection.ts";
import type { RpcError } from "../contract/errors.ts";
import type { Delivery } from "../wire/message.ts";

/** Callbacks for replies. */
export interface ReplyListener {
  /** A reply has arrived; perhaps no call waits for it. */
  replied(reply: Delivery): void;
  /** The queue is open: replies can be sent to it from now on. */
  opened(): void;
  /** The queue is lost: requests sent so far will get no reply. */
  repliesLost(error: RpcError): void;
}

/** Callbacks of a channel that consumes replies. If the queue is deleted, the channel is closed, and so opened again. */
export function consumeReplies(listener: Pick<ReplyListener, "replied">, channel: Channel) {
  return {
    delivered: (reply: Delivery) => listener.replied(reply),
    consumerCanceled: () => void channel.close().catch(() => {}),
  };
}

/** The client's own exclusive queue, named by the broker; declared again with a new name whenever it is lost. */
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
