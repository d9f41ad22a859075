/** So many in one interval are a flood. */
export const FLOOD = 1_000;
/** In ms. */
const INTERVAL_MS = 10_000;

/** Counts what peers can cause any number of, where single ones are not worth a line. */
export class FloodWatch {
  #count = 0;
  #until = -Infinity;

  /** Counts one more; returns whether this one makes it a flood, once in each interval. */
  count(): boolean {
    const now = performance.now();
    if (now >= this.#until) {
      this.#count = 0;
      this.#until = now + INTERVAL_MS;
    }
    return ++this.#count === FLOOD;
  }
}
