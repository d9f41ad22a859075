/** Something with a deadline. */
export interface Expiring {
  /** When it ends, in ms on the clock of `performance.now()`. */
  readonly deadline: number;
}

/** All items of one duration. */
interface Line {
  readonly items: Set<Expiring>;
  timer: ReturnType<typeof setTimeout>;
  /** Whether it is kept although it has no items. */
  idle: boolean;
}

/** How many timers of lines without items are kept, because setting and clearing a timer costs 30 us. */
const MAX_IDLE = 8;

/**
 * Many deadlines on few timers: equal durations expire in insertion order, so
 * one timer serves each duration.
 *
 * @typeParam Item What expires.
 */
export class DeadlineTimers<Item extends Expiring> {
  readonly #lines = new Map<number, Line>();
  readonly #expire: (item: Item) => void;
  /** How many lines have no items. */
  #idle = 0;

  /** @param expire Called once for each item that has not been deleted before its deadline. */
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

  /** Removes an item that was added with `duration`. */
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

  /** Removes all items. */
  clear(): void {
    for (const { timer } of this.#lines.values()) clearTimeout(timer);
    this.#lines.clear();
    this.#idle = 0;
  }

  #arm(duration: number, delay: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#check(duration), Math.max(0, Math.ceil(delay)));
    // The socket keeps the process alive while a call waits; an idle timer must not.
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
