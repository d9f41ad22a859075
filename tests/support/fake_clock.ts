/** The clock and the timers, moved by the test: nothing waits, and nothing depends on how fast the machine is. */

interface Timer {
  at: number;
  readonly every: number | undefined;
  readonly run: () => void;
  ref: boolean;
}

/** More timers than this at one time are a loop. */
const MAX_RUNS = 1_000;

/**
 * Replaces `performance.now()` and the global timers until it is disposed of.
 *
 * Delays that real timers would change are refused: fractions, which they drop, and what is below zero.
 */
export class FakeClock implements Disposable {
  /** The delay of every timer that was started, in order. */
  readonly delays: number[] = [];
  readonly #timers = new Set<Timer>();
  readonly #restore: () => void;
  #now: number;

  /** @param now What `performance.now()` gives at first. */
  constructor(now = 1_000) {
    this.#now = now;
    const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
    Object.defineProperty(performance, "now", { value: () => this.#now, configurable: true });
    const clear = (timer: unknown): void => {
      this.#timers.delete(timer as Timer);
    };
    Object.assign(globalThis, {
      setTimeout: (run: () => void, delay: number) => this.#start(run, delay, undefined),
      setInterval: (run: () => void, delay: number) => this.#start(run, delay, delay),
      clearTimeout: clear,
      clearInterval: clear,
    });
    this.#restore = () => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
      Reflect.deleteProperty(performance, "now");
    };
  }

  /** What `performance.now()` gives. */
  get now(): number {
    return this.#now;
  }

  /** How many timers are running. */
  get timers(): number {
    return this.#timers.size;
  }

  /** How many of them keep the process alive. */
  get refs(): number {
    return Array.from(this.#timers).filter(({ ref }) => ref).length;
  }

  /** Moves time on, and runs each timer at its time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let runs = 0;; runs++) {
      const [next] = Array.from(this.#timers).filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      if (runs >= MAX_RUNS) throw new Error(`Cannot move time on: ${MAX_RUNS} timers ran and there are more`);
      this.#now = Math.max(this.#now, next.at);
      if (next.every === undefined) this.#timers.delete(next);
      else next.at = this.#now + next.every;
      next.run();
    }
    this.#now = end;
  }

  /** Moves time on while the process stands still: no timer runs. */
  stall(ms: number): void {
    this.#now += ms;
  }

  [Symbol.dispose](): void {
    this.#restore();
  }

  #start(run: () => void, delay: number, every: number | undefined): Timer & { unref(): void } {
    if (!Number.isInteger(delay) || delay < 0) throw new RangeError(`A timer cannot run after ${delay} ms`);
    this.delays.push(delay);
    const timer = { at: this.#now + delay, every, run, ref: true, unref: () => void (timer.ref = false) };
    this.#timers.add(timer);
    return timer;
  }
}
