/** How fast the lower estimate rises to durations above it, and the upper one falls to those below it. */
const FORGET = 0.02;
/** How fast the upper estimate rises to a longer duration. */
const LEARN = 0.5;

/** How long the handler of one method takes: the shortest and, but for a few, the longest of its latest durations. */
export class ServiceTime {
  #least = 0;
  #most = 0;
  #known = false;

  /** About the shortest of the latest durations, in ms; 0 if none is known. */
  get least(): number {
    return this.#least;
  }

  /** About the longest of the latest durations, but for a few, in ms; 0 if nothing is known. */
  get most(): number {
    return this.#most;
  }

  /** A handler has ended by itself. */
  ended(duration: number): void {
    if (!this.#known) {
      this.#known = true;
      this.#least = duration;
      this.#most = Math.max(this.#most, duration);
      return;
    }
    this.#least = duration < this.#least ? duration : this.#least + FORGET * (duration - this.#least);
    this.#most += (duration > this.#most ? LEARN : FORGET) * (duration - this.#most);
  }

  /** A handler was aborted after that time, so it would have taken longer. */
  aborted(duration: number): void {
    if (duration > this.#most) this.#most = this.#known ? this.#most + LEARN * (duration - this.#most) : duration;
  }
}
