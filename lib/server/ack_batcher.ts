import type { Channel, Message } from "amqplib";

/**
 * Acknowledges the deliveries of one channel, with one frame for all that
 * ended in the same turn where their order allows it.
 */
export class AckBatcher {
  readonly #channel: Channel;
  /** Ended and beyond the first that has not, so covered by no multiple ack yet. */
  readonly #ended = new Set<number>();
  #turn: Message[] = [];
  #closed = false;
  /** How many deliveries the broker has not been told of. */
  #open = 0;
  #held = false;
  #whenOpen: { readonly count: number; readonly notify: () => void } | undefined;
  /** Every delivery up to this one has ended. */
  #upTo = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.on("close", () => this.#closed = true);
  }

  /** Counts a delivery. */
  delivered(): void {
    this.#open++;
    if (this.#whenOpen !== undefined && this.#open >= this.#whenOpen.count) this.#whenOpen.notify();
  }

  /** Keeps acks back until `release`; resolves when so many deliveries are open that the broker sends no more. */
  hold(prefetch: number): Promise<void> {
    this.#held = true;
    return new Promise((notify) => {
      if (this.#open >= prefetch || this.#closed) notify();
      else this.#whenOpen = { count: prefetch, notify };
    });
  }

  /** Sends the acks that were kept back, and all later ones. */
  release(): void {
    this.#held = false;
    this.flush();
  }

  /** Acknowledges a delivery; one of a channel that is gone is the next channel's. */
  ack(message: Message): void {
    if (this.#closed) return;
    if (this.#turn.length === 0) queueMicrotask(() => this.flush());
    this.#turn.push(message);
    this.#ended.add(message.fields.deliveryTag);
  }

  /** Rejects a delivery: to the dead-letter exchange, or back to the queue. */
  reject(message: Message, requeue: boolean): void {
    this.#open--;
    this.#send(() => this.#channel.nack(message, false, requeue));
    this.#ended.add(message.fields.deliveryTag);
  }

  /** Acknowledges what waits for the end of the turn. */
  flush(): void {
    const turn = this.#turn;
    if (turn.length === 0 || this.#closed || this.#held) return;
    this.#open -= turn.length;
    this.#turn = [];
    while (this.#ended.delete(this.#upTo + 1)) this.#upTo++;
    let last: Message | undefined;
    for (const message of turn) {
      const { deliveryTag } = message.fields;
      if (deliveryTag > this.#upTo) this.#send(() => this.#channel.ack(message));
      else if (last === undefined || deliveryTag > last.fields.deliveryTag) last = message;
    }
    const upTo = last;
    if (upTo !== undefined) this.#send(() => this.#channel.ack(upTo, true));
  }

  /** A channel that closes refuses from then on, and says that it is closed only later. */
  #send(write: () => void): void {
    if (this.#closed) return;
    try {
      write();
    } catch {
      this.#closed = true;
    }
  }
}
