import type { Channel } from "../connection/channel.ts";
import type { AckBatcher } from "./ack_batcher.ts";

/**
 * A consumer that the broker has ended because one of its requests was not acknowledged within the consumer timeout, as
 * RabbitMQ does from 4.3 on (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout). Its channel stays open
 * until its other requests are acknowledged, so that the broker does not give them to anybody else.
 */
export class FormerConsumer {
  readonly #channel: Channel;
  readonly #consumerTag: string;
  readonly #acks: AckBatcher;
  #canceling: Promise<void> | undefined;

  constructor(channel: Channel, consumerTag: string, acks: AckBatcher) {
    this.#channel = channel;
    this.#consumerTag = consumerTag;
    this.#acks = acks;
    acks.retire(() => void this.#end());
  }

  /** The broker goes on with the consumer once all that it took back is acknowledged nevertheless; this prevents it. */
  cancel(): Promise<void> {
    return this.#canceling ??= this.#channel.cancel(this.#consumerTag).catch(() => {});
  }

  /** Calls `closed` when its channel is closed. */
  onClosed(closed: () => void): void {
    this.#channel.onClosed(closed);
  }

  /** Closes its channel: what is not settled goes back to the queue. */
  close(): void {
    this.#channel.close().catch(() => {});
  }

  /** Acknowledges finished requests at once. */
  flush(): void {
    this.#acks.flush();
  }

  async #end(): Promise<void> {
    await this.cancel();
    // Something may have been delivered before the consumer was canceled.
    if (this.#acks.unsettled === 0) await this.#channel.close().catch(() => {});
  }
}
