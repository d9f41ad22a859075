import type { Confirm } from "../wire/message.ts";

/**
 * What was published on a channel and is not confirmed yet, by the delivery tags that the broker confirms it with
 * (https://www.rabbitmq.com/docs/confirms).
 *
 * @typeParam Item What was published.
 */
export class PublisherConfirms<Item> {
  readonly #settled: (item: Item, refused: boolean) => void;
  /** In the order of their tags. */
  readonly #unconfirmed = new Map<number, Item>();
  #lastTag = 0;
  /** When the broker last confirmed something, or when an item was added while none was unconfirmed. */
  #progressAt = 0;

  /** @param settled Called once for each item that the broker has confirmed or refused. */
  constructor(settled: (item: Item, refused: boolean) => void) {
    this.#settled = settled;
  }

  /** Starts again for a new channel, whose tags start at 1. */
  reset(): void {
    this.#lastTag = 0;
    this.#unconfirmed.clear();
  }

  /** Adds what was just published. */
  add(item: Item): void {
    if (this.#unconfirmed.size === 0) this.#progressAt = performance.now();
    this.#unconfirmed.set(++this.#lastTag, item);
  }

  /** Settles what the broker confirms; unknown tags are ignored. */
  confirm({ deliveryTag, multiple, nack }: Confirm): void {
    this.#progressAt = performance.now();
    if (!multiple) {
      this.#settle(deliveryTag, nack);
      return;
    }
    for (const tag of this.#unconfirmed.keys()) {
      if (tag > deliveryTag) return;
      this.#settle(tag, nack);
    }
  }

  /** Removes and returns all that is unconfirmed, oldest first; for a channel that is lost. */
  takeAll(): Item[] {
    const items = Array.from(this.#unconfirmed.values());
    this.#unconfirmed.clear();
    return items;
  }

  /** For how long the broker has confirmed nothing although something is unconfirmed, in ms. */
  get silence(): number {
    return this.#unconfirmed.size === 0 ? 0 : performance.now() - this.#progressAt;
  }

  #settle(tag: number, refused: boolean): void {
    const item = this.#unconfirmed.get(tag);
    if (item === undefined || !this.#unconfirmed.delete(tag)) return;
    this.#settled(item, refused);
  }
}
