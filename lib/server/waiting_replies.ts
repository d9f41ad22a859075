/** A reply, as far as it is known here. */
export interface WaitingReply {
  readonly body: Uint8Array;
  /** When it is not worth sending any more, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** Takes its request off the queue; absent if that is done already. */
  readonly take?: (() => unknown) | undefined;
}

/** Beyond so many replies, or so many bytes of them, the requests of further ones stay in the queue. */
export const MAX_COUNT = 10_000;
export const MAX_BYTES = 16 * 1024 * 1024;
/** What a reply takes besides its body, in bytes. */
const OVERHEAD_BYTES = 500;
/** How often it is checked whose deadline has passed, in ms. */
const CHECK_MS = 500;

/**
 * Replies that cannot be sent now, in order. Those whose deadline passes are handed out. Counts those whose requests are
 * off the queue: a request that is still on it is one of the broker's, and their number is limited by the prefetch.
 *
 * @typeParam Item What holds a reply.
 */
export class WaitingReplies<Item> {
  readonly #replyOf: (item: Item) => WaitingReply;
  readonly #expired: (item: Item) => void;
  /** How many bytes each one counts as. */
  readonly #items = new Map<Item, number>();
  #count = 0;
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @param expired Called with one whose deadline has passed, again and again until it is deleted. */
  constructor(replyOf: (item: Item) => WaitingReply, expired: (item: Item) => void) {
    this.#replyOf = replyOf;
    this.#expired = expired;
  }

  /** How many there are. */
  get size(): number {
    return this.#items.size;
  }

  /** How many bytes those take whose requests are off the queue. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the request of a further reply, with a body of so many bytes, should stay in the queue. */
  isFull(bytes: number): boolean {
    return this.#count > 0 && (this.#count >= MAX_COUNT || this.#bytes + OVERHEAD_BYTES + bytes > MAX_BYTES);
  }

  /** Adds one, unless it is there. */
  add(item: Item): void {
    if (this.#items.has(item)) return;
    this.#enter(item);
    if (!this.#closed) this.#timer ??= this.#arm();
  }

  /** Counts one anew whose reply has changed, if it is there. */
  update(item: Item): void {
    if (!this.#items.has(item)) return;
    this.#leave(item);
    this.#enter(item);
  }

  /** Removes one, if it is there. */
  delete(item: Item): void {
    this.#leave(item);
    this.#items.delete(item);
  }

  /** Those whose requests are off the queue, oldest first. */
  *taken(): Generator<Item> {
    for (const [item, bytes] of this.#items) if (bytes > 0) yield item;
  }

  /** All of them, oldest first. */
  [Symbol.iterator](): IterableIterator<Item> {
    return this.#items.keys();
  }

  /** Watches no deadlines any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #enter(item: Item): void {
    const { body, take } = this.#replyOf(item);
    const bytes = take === undefined ? OVERHEAD_BYTES + body.length : 0;
    this.#items.set(item, bytes);
    this.#bytes += bytes;
    if (bytes > 0) this.#count++;
  }

  #leave(item: Item): void {
    const bytes = this.#items.get(item) ?? 0;
    this.#bytes -= bytes;
    if (bytes > 0) this.#count--;
  }

  #arm(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#check(), CHECK_MS);
    timer.unref();
    return timer;
  }

  #check(): void {
    const now = performance.now();
    for (const item of this.#items.keys()) {
      if (this.#replyOf(item).deadline <= now) this.#expired(item);
    }
    this.#timer = this.#closed || this.#items.size === 0 ? undefined : this.#arm();
  }
}
