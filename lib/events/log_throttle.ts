/** How many lines of one kind are written in one interval, unless the kind says otherwise. */
const MAX_LINES = 5;
/** In ms. */
const INTERVAL_MS = 10_000;
/** How many kinds are counted separately; beyond that the oldest is forgotten. */
const MAX_KINDS = 1_000;
/** How often it is looked for kinds whose interval is over, in ms, at most. */
const SWEEP_MS = 1_000;

/** How many lines of a kind may be written. */
export interface Allowance {
  readonly lines?: number;
  /** In ms. */
  readonly interval?: number;
}

interface Kind<Line> {
  readonly until: number;
  readonly last: Line;
  left: number;
  leftOut: number;
}

/** Lets through so many lines of one kind in an interval, because peers can cause any number of them. */
export class LogThrottle<Line> {
  readonly #kinds = new Map<string, Kind<Line>>();
  readonly #leftOut: (line: Line, count: number) => void;
  #nextSweep = 0;

  /** @param leftOut Called when an interval is over in which lines like this one were left out. */
  constructor(leftOut: (line: Line, count: number) => void) {
    this.#leftOut = leftOut;
  }

  /** Whether a line of a kind may be written now; if not, it is counted. */
  admits(kind: string, line: Line, { lines = MAX_LINES, interval = INTERVAL_MS }: Allowance = {}): boolean {
    const now = performance.now();
    if (now >= this.#nextSweep) this.#sweep(now);
    let known = this.#kinds.get(kind);
    if (known === undefined || now >= known.until) {
      if (known !== undefined) this.#end(kind, known);
      known = { until: now + interval, last: line, left: lines, leftOut: 0 };
      this.#kinds.set(kind, known);
      const [oldest] = this.#kinds;
      if (oldest !== undefined && this.#kinds.size > MAX_KINDS) this.#end(...oldest);
    }
    if (known.left > 0) known.left--;
    else known.leftOut++;
    return known.leftOut === 0;
  }

  #sweep(now: number): void {
    this.#nextSweep = now + SWEEP_MS;
    for (const [kind, known] of this.#kinds) {
      if (now >= known.until) this.#end(kind, known);
    }
  }

  #end(kind: string, { last, leftOut }: Kind<Line>): void {
    this.#kinds.delete(kind);
    if (leftOut > 0) this.#leftOut(last, leftOut);
  }
}
