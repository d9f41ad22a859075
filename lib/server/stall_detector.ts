const INTERVAL_MS = 100;
/** If the timer is later than this, in ms, the process was stalled. */
const LATE_MS = 2 * INTERVAL_MS;
/** How long after a stall the socket may still deliver what arrived during it, in ms. */
export const BACKLOG_MS = 100;

/** From this gap on, in ms, the event loop counts as blocked. */
export const BLOCKED_MS = 500;

/**
 * Detects when this process was stalled, because it was stopped or a handler
 * blocked it: what it reads right afterwards may have arrived at any time
 * since the stall began.
 */
export class StallDetector<Suspect = never> {
  readonly #blocked: (duration: number, suspect: Suspect | undefined) => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastTick = 0;
  #stallBegan = 0;
  #stallEnded = -Infinity;
  /** When the loop was last known to turn, or a handler to return. */
  #seenAt = 0;

  /** @param blocked Called when the loop stood still for a while, with whose handler ran, if that is known. */
  constructor(blocked: (duration: number, suspect: Suspect | undefined) => void) {
    this.#blocked = blocked;
  }

  /** Starts watching; does not keep the process alive. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#lastTick = this.#seenAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The earliest time at which what is read now may have arrived, on the clock of `performance.now()`. */
  arrivedAfter(now: number = performance.now()): number {
    if (now - this.#lastTick > LATE_MS) this.#tick();
    return now - this.#stallEnded < BACKLOG_MS ? this.#stallBegan : now;
  }

  /**
   * Called when a handler starts, returns or ends: if nothing was seen for long before `now`, the loop was blocked.
   *
   * @param suspect Whose handler has returned or ended.
   */
  seen(now: number, suspect?: Suspect): void {
    const gap = now - this.#seenAt;
    this.#seenAt = now;
    if (gap >= BLOCKED_MS && this.#timer !== undefined) this.#blocked(gap, suspect);
  }

  #tick(): void {
    const now = performance.now();
    this.seen(now);
    if (now - this.#lastTick > LATE_MS) {
      this.#stallBegan = this.#lastTick;
      this.#stallEnded = now;
    }
    this.#lastTick = now;
  }
}
