/** How many lines of one kind are written in one interval. */
const MAX_LINES = 5;
/** In ms. */
const INTERVAL_MS = 10_000;
/** How many kinds are counted separately; beyond that the oldest is forgotten. */
const MAX_KINDS = 1_000;

interface Kind {
  since: number;
  lines: number;
}

/** Writes lines to stderr, at most 5 of one kind in 10 s, because peers can cause any number of them. */
export class LogThrottle {
  readonly #kinds = new Map<string, Kind>();
  readonly #write: (line: string) => void;

  /** @param write Writes one line. */
  constructor(write: (line: string) => void = (line) => console.error(line)) {
    this.#write = write;
  }

  /** Writes a line of a kind, or only counts it if there were too many. Both texts must be printable. */
  write(kind: string, line: string): void {
    const now = performance.now();
    let known = this.#kinds.get(kind);
    if (known === undefined || now - known.since > INTERVAL_MS) {
      const left = (known?.lines ?? 0) - MAX_LINES;
      if (left > 0) this.#write(`(and ${left} more like this: ${kind})`);
      known = { since: now, lines: 0 };
      this.#kinds.delete(kind);
      this.#kinds.set(kind, known);
      const [oldest] = this.#kinds.keys();
      if (oldest !== undefined && this.#kinds.size > MAX_KINDS) this.#kinds.delete(oldest);
    }
    if (++known.lines <= MAX_LINES) this.#write(line);
  }
}
