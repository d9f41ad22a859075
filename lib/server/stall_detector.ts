const INTERVAL_MS = 100;
/** A timer that is later than this, in ms, was held up. */
const LATE_MS = 2 * INTERVAL_MS;
/** For how long after a stall the socket may still give what arrived during it, in ms. */
const BACKLOG_MS = 100;

/**
 * Notices when this process was stalled, because it was stopped or a handler
 * blocked it: what it reads right afterwards may have arrived at any time
 * since the stall began.
 */
export class StallDetector {
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastTick = 0;
  #stallBegan = 0;
  #stallEnded = -Infinity;

  /** Starts watching; it keeps no process alive. */
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
