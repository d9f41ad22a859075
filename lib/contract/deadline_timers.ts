/** Something that ends at a time. */
export interface Expiring {
  /** When, on the clock of `performance.now()`. */
  readonly deadline: number;
}

interface Line {
  readonly items: Set<Expiring>;
  timer: ReturnType<typeof setTimeout>;
  /** Whether it is kept though nothing waits. */
  idle: boolean;
}

/** How many timers are kept for durations that nothing waits for now: to set and clear one costs 30 us. */
const MAX_IDLE = 8;

/**
 * Many deadlines on few timers: whatever lasts equally long ends in the order
 * in which it began, so that each duration needs one timer alone.
 *
 * @typeParam Item What expires.
 */
export class DeadlineTimers<Item extends Expiring> {
  readonly #lines = new Map<number, Line>();
  readonly #expire: (item: Item) => void;
  /** How many lines have no items. */
  #idle = 0;

  /** @param expire Runs once for each item that is still there at its deadline. */
  constructor(expire: (item: Item) => void) {
    this.#expire = expire;
  }

  /** Adds an item that ends `duration` ms after now, as its `deadline` says. */
  add(item: Item, duration: number): void {
    const line = this.#lines.get(duration);
    if (line !== undefined) {
      this.#setIdle(line, false);
      line.items.add(item);
      return;
    }
    this.#lines.set(duration, { items: new Set([item]), timer: this.#arm(duration, duration), idle: false });
  }

  /** Takes an item out that was added with `duration`. */
  delete(item: Item, duration: number): void {
    const line = this.#lines.get(duration);
    if (line === undefined || !line.items.delete(item) || line.items.size > 0) return;
    if (this.#idle < MAX_IDLE) {
      this.#setIdle(line, true);
    } else {
      clearTimeout(line.timer);
      this.#lines.delete(duration);
    }
  }

  /** Forgets all items. */
  clear(): void {
    for (const { timer } of this.#lines.values()) clearTimeout(timer);
    this.#lines.clear();
    this.#idle = 0;
  }

  #arm(duration: number, delay: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#check(duration), Math.max(0, Math.ceil(delay)));
    // What waits for an answer keeps the process alive by its socket; an idle timer must not.
    timer.unref();
    return timer;
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
    if (this.#lines.get(duration) !== line) return;
    this.#setIdle(line, false);
    this.#lines.delete(duration);
  }

  #setIdle(line: Line, idle: boolean): void {
    if (line.idle === idle) return;
    line.idle = idle;
    this.#idle += idle ? 1 : -1;
  }
}
