import type { ConfirmChannel } from "amqplib";

/**
 * What was published on a channel and is not confirmed yet, by the delivery
 * tags that the broker confirms it with (https://www.rabbitmq.com/docs/confirms).
 *
 * @typeParam Item What was published.
 */
export class PublisherConfirms<Item> {
  readonly #settled: (item: Item, refused: boolean) => void;
  readonly #open = new Map<number, Item>();
  #lastTag = 0;
  #confirmedUpTo = 0;
  /** When the broker confirmed something last, or when there was nothing left to confirm. */
  #progressAt = 0;

  /** @param settled Hears of each item once, when the broker has it, or has refused it. */
  constructor(settled: (item: Item, refused: boolean) => void) {
    this.#settled = settled;
  }

  /** Follows a new channel, whose tags begin at 1. */
  follow(channel: ConfirmChannel): void {
    this.#lastTag = this.#confirmedUpTo = 0;
    channel.on("ack", ({ deliveryTag, multiple }) => this.#settle(deliveryTag, multiple, false));
    channel.on("nack", ({ deliveryTag, multiple }) => this.#settle(deliveryTag, multiple, true));
  }

  /** Notes what was just published. */
  add(item: Item): void {
    if (this.#open.size === 0) this.#progressAt = performance.now();
    this.#open.set(++this.#lastTag, item);
  }

  /** All that is not confirmed, the oldest first. */
  values(): Iterable<Item> {
    return this.#open.values();
  }

  /** Gives what a lost channel leaves unconfirmed, and forgets it. */
  takeAll(): Item[] {
    const items = Array.from(this.#open.values());
    this.#open.clear();
    return items;
  }

  /** For how long the broker has confirmed nothing though there was something to confirm, in ms. */
  get silence(): number {
    return this.#open.size === 0 ? 0 : performance.now() - this.#progressAt;
  }

  #settle(tag: number, multiple: boolean, refused: boolean): void {
    this.#progressAt = performance.now();
    for (let at = multiple ? this.#confirmedUpTo + 1 : tag; at <= tag; at++) {
      const item = this.#open.get(at);
      if (item === undefined) continue;
      this.#open.delete(at);
      this.#settled(item, refused);
    }
    if (multiple) this.#confirmedUpTo = tag;
  }
}
