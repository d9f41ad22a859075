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
  /** When the broker confirmed something last, or when there was nothing left to confirm. */
  #progressAt = 0;

  /** @param settled Called once for each item that the broker has taken or refused. */
  constructor(settled: (item: Item, refused: boolean) => void) {
    this.#settled = settled;
  }

  /** Begins anew for a new channel, whose tags begin at 1. */
  reset(): void {
    this.#lastTag = 0;
    this.#unconfirmed.clear();
  }

  /** Notes what was just published. */
  add(item: Item): void {
    if (this.#unconfirmed.size === 0) this.#progressAt = performance.now();
    this.#unconfirmed.set(++this.#lastTag, item);
  }

  /** Settles what the broker confirms; tags that are not known are ignored. */
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

  /** Gives what a lost channel leaves unconfirmed, oldest first, and forgets it. */
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
