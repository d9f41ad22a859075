const INTERVAL_MS = 100;
/** If the timer is later than this, in ms, the process was stalled. */
const LATE_MS = 2 * INTERVAL_MS;
/** How long after a stall the socket may still deliver what arrived during it, in ms. */
export const BACKLOG_MS = 100;

/**
 * Detects when this process was stalled, because it was stopped or a handler
 * blocked it: what it reads right afterwards may have arrived at any time
 * since the stall began.
 */
export class StallDetector {
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastTick = 0;
  #stallBegan = 0;
  #stallEnded = -Infinity;

  /** Starts watching; does not keep the process alive. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#lastTick = performance.now();
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The earliest time at which what is read now may have arrived, on the clock of `performance.now()`. */
  arrivedAfter(): number {
    const now = performance.now();
    if (now - this.#lastTick > LATE_MS) this.#tick();
    return now - this.#stallEnded < BACKLOG_MS ? this.#stallBegan : now;
  }

  #tick(): void {
    const now = performance.now();
    if (now - this.#lastTick > LATE_MS) {
      this.#stallBegan = this.#lastTick;
      this.#stallEnded = now;
    }
    this.#lastTick = now;
  }
}
