import process from "node:process";
import { setDrawing } from "./standard_error.ts";
import { truncate, widthOf } from "./table.ts";
import { formatCount, formatDuration, formatRate } from "./units.ts";

/** How far a run of calls is. */
export interface ProgressState {
  /** How many calls have ended. */
  readonly done: number;
  /** How many of them failed. */
  readonly failed: number;
  /** How many there will be; absent as long as that is not known. */
  readonly total: number | undefined;
  /** How long the run has lasted, in ms. */
  readonly elapsed: number;
  /** How many calls end in a second, at the moment. */
  readonly rate: number;
}

const BAR = { most: 40, least: 6 };

/** The bar as one line, at most `width` wide: what matters least is left out first. */
export function progressLine({ done, failed, total, elapsed, rate }: ProgressState, width: number): string {
  const count = total === undefined ? `${formatCount(done)} calls` : `${formatCount(done)}/${formatCount(total)}`;
  const failures = failed === 0 ? "" : `${formatCount(failed)} failed`;
  if (total === undefined) {
    const parts = [count, failures, formatRate(rate), formatDuration(Math.floor(elapsed / 1_000) * 1_000)];
    return truncate(parts.filter((part) => part !== "").join("  "), width);
  }
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const eta = done >= total || rate <= 0 ? "" : `ETA ${formatDuration(Math.max(1_000, 1_000 * (total - done) / rate))}`;
  const optional = [failures, formatRate(rate), eta].filter((part) => part !== "");
  for (; optional.length > 0; optional.pop()) {
    const text = [`${Math.floor(100 * share)}%`, count, ...optional].join("  ");
    const room = width - widthOf(text) - 1;
    if (room >= BAR.least) return `${bar(share, Math.min(room, BAR.most))} ${text}`;
  }
  return truncate(`${Math.floor(100 * share)}%  ${count}`, width);
}

function bar(share: number, width: number): string {
  const full = Math.floor(share * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** How often the bar is drawn, in ms. */
const REDRAW_MS = 100;
/** The rate is that of about so long, in ms. */
const RATE_MS = 2_000;

/** Draws a text over the one before. */
interface Draw {
  (text: string): void;
  clear(): void;
}

/** A bar on standard error, which follows a run of calls. */
export class Progress implements Disposable {
  readonly #draw: Draw;
  readonly #startedAt = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;
  #done = 0;
  #failed = 0;
  #total: number | undefined;
  #rate = 0;
  #last = { at: this.#startedAt, done: 0 };

  private constructor(draw: Draw, total: number | undefined) {
    this.#draw = draw;
    this.#total = total;
    setDrawing(draw);
    this.#timer = setInterval(() => this.#redraw(), REDRAW_MS);
  }

  /**
   * Shows a bar, if standard error is a terminal and standard output is none: what is printed to a terminal is progress
   * enough, and would run through the bar.
   *
   * @returns Undefined if there is none.
   */
  static async show(total: number | undefined): Promise<Progress | undefined> {
    if (!Deno.stderr.isTerminal() || Deno.stdout.isTerminal() || (total ?? 2) < 2) return undefined;
    // Loaded only where it is used. It must not hide the cursor: what it uses for that ends the process on Ctrl-C.
    const { createLogUpdate } = await import("log-update");
    return new Progress(createLogUpdate(process.stderr, { showCursor: true }), total);
  }

  /** A call has ended. */
  ended(failed: boolean): void {
    this.#done++;
    if (failed) this.#failed++;
  }

  /** The number of calls is known from now on. */
  set total(total: number) {
    this.#total = total;
  }

  /** Removes the bar. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    setDrawing(undefined);
    this.#draw.clear();
  }

  #redraw(): void {
    const now = performance.now();
    const took = now - this.#last.at;
    const current = 1_000 * (this.#done - this.#last.done) / took;
    const weight = Math.min(1, took / Math.min(RATE_MS, now - this.#startedAt));
    this.#rate += weight * (current - this.#rate);
    this.#last = { at: now, done: this.#done };
    this.#draw(progressLine(
      {
        done: this.#done,
        failed: this.#failed,
        total: this.#total,
        elapsed: now - this.#startedAt,
        rate: this.#rate,
      },
      (process.stderr.columns ?? 80) - 1,
    ));
  }
}
