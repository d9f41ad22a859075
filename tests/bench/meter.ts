import process from "node:process";

/** What a process has used since it began. */
export interface Usage {
  /** CPU time of all its threads, in seconds. */
  readonly cpu: number;
  /** The memory that it holds, in bytes. */
  readonly rss: number;
  /** The most memory that it has held, in bytes. */
  readonly peakRss: number;
  /** How many files and sockets it has open; 0 where the system does not say. */
  readonly handles: number;
}

/** What a client measured. */
export interface Measured {
  readonly calls: number;
  readonly callsPerSecond: number;
  /** In ms. */
  readonly p50: number;
  /** In ms. */
  readonly p99: number;
}

/** What this process has used. */
export function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpu: (user + system) / 1e6, rss: process.memoryUsage.rss(), peakRss: peakRss(), handles: handles() };
}

function handles(): number {
  try {
    return Array.from(Deno.readDirSync("/proc/self/fd")).length;
  } catch {
    return 0;
  }
}

function peakRss(): number {
  try {
    // Not getrusage: its peak counts the parent's memory at the fork.
    const status = Deno.readTextFileSync("/proc/self/status");
    return Number(status.match(/VmHWM:\s*(\d+) kB/)?.[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

/** The value below which a part of all sorted values lies. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

/** What a meter is made of. */
export interface MeterOptions {
  /** How many calls end before the window opens; as many as are in flight, so that all that count began alike. */
  readonly skip: number;
  /** In ms. */
  readonly window: number;
  /** Hears when the window opens. */
  readonly opened?: () => void;
  /** Hears when the window closes. */
  readonly closed?: () => void;
}

/** Counts the calls that end within a window. */
export class Meter {
  /** Whether the window has closed, so that no further call is wanted. */
  over = false;
  readonly #options: MeterOptions;
  readonly #latencies: number[] = [];
  #skipped = 0;
  #opened = 0;
  #closed = 0;

  constructor(options: MeterOptions) {
    this.#options = options;
  }

  /** Notes the end of a call that began at `startedAt`, on the clock of `performance.now()`. */
  count(startedAt: number): void {
    if (this.over) return;
    const now = performance.now();
    const { skip, window, opened, closed } = this.#options;
    if (this.#opened === 0) {
      if (++this.#skipped < skip) return;
      this.#opened = now;
      opened?.();
      return;
    }
    this.#latencies.push(now - startedAt);
    // Many calls in flight end in waves: one wave at the least.
    if (this.#latencies.length < skip || now - this.#opened < window) return;
    this.#closed = now;
    this.over = true;
    closed?.();
  }

  /** What was measured, after the window has closed. */
  get measured(): Measured {
    const sorted = this.#latencies.sort((a, b) => a - b);
    return {
      calls: sorted.length,
      callsPerSecond: sorted.length / (this.#closed - this.#opened) * 1000,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
    };
  }
}
