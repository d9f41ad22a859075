/** Something that ends at a time. */
export interface Expiring {
  /** When, on the clock of `performance.now()`. */
  readonly deadline: number;
}

interface Line {
  readonly items: Set<Expiring>;
  timer: ReturnType<typeof setTimeout>;
}

/**
 * Many deadlines on few timers: whatever lasts equally long ends in the order
 * in which it began, so that each duration needs one timer alone.
 *
 * @typeParam Item What expires.
 */
export class Deadlines<Item extends Expiring> {
  readonly #lines = new Map<number, Line>();
  readonly #expire: (item: Item) => void;

  /** @param expire Runs once for each item that is still there at its deadline. */
  constructor(expire: (item: Item) => void) {
    this.#expire = expire;
  }

  /** How many items wait. */
  get size(): number {
    let size = 0;
    for (const { items } of this.#lines.values()) size += items.size;
    return size;
  }

  /** Adds an item that ends `duration` ms after now, as its `deadline` says. */
  add(item: Item, duration: number): void {
    const line = this.#lines.get(duration);
    if (line !== undefined) {
      line.items.add(item);
      return;
    }
    this.#lines.set(duration, { items: new Set([item]), timer: this.#arm(duration, duration) });
  }

  /** Takes an item out that was added with `duration`. */
  delete(item: Item, duration: number): void {
    const line = this.#lines.get(duration);
    if (line === undefined || !line.items.delete(item) || line.items.size > 0) return;
    clearTimeout(line.timer);
    this.#lines.delete(duration);
  }

  /** Forgets all items. */
  clear(): void {
    for (const { timer } of this.#lines.values()) clearTimeout(timer);
    this.#lines.clear();
  }

  #arm(duration: number, delay: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#check(duration), Math.max(0, Math.ceil(delay)));
  }

  #check(duration: number): void {
    const line = this.#lines.get(duration);
    if (line === undefined) return;
    const now = performance.now();
    for (const item of line.items as Set<Item>) {
      if (item.deadline > now) {
        line.timer = this.#arm(duration, item.deadline - now);
        return;
      }
      line.items.delete(item);
      this.#expire(item);
    }
    if (this.#lines.get(duration) === line && line.items.size === 0) this.#lines.delete(duration);
  }
}
