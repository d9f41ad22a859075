/** Each doubling has eight buckets, as in an HDR histogram: a percentile is right within 6.3 %. */
const BITS = 3;
const PER_DOUBLING = 1 << BITS;
/** The longest duration that has a bucket of its own, in us: 35 minutes. */
const MAX_US = 2 ** 31 - 1;

/** The bucket of a duration, without a logarithm; those below 8 us are 1 us wide. */
function bucketOf(us: number): number {
  if (us < PER_DOUBLING) return us;
  const shift = 31 - Math.clz32(us) - BITS;
  return shift * PER_DOUBLING + (us >> shift);
}

/** The middle of a bucket, in us. */
function middleOf(bucket: number): number {
  if (bucket < PER_DOUBLING) return bucket + 0.5;
  const shift = Math.floor(bucket / PER_DOUBLING) - 1;
  return (bucket - shift * PER_DOUBLING + 0.5) * 2 ** shift;
}

const BUCKETS = bucketOf(MAX_US) + 1;
/** How long a sample takes to count half. */
const HALF_LIFE_MS = 10_000;

/** Options of a {@linkcode DurationHistogram}. */
export interface HistogramOptions {
  /**
   * Whether older samples count less, by half for every ten seconds in which new ones came; the percentiles are then
   * those of about the last half minute.
   *
   * @default {false}
   */
  readonly decays?: boolean;
}

/** Counts durations in fixed buckets: percentiles of any number of them in 2 KiB. */
export class DurationHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  readonly #decays: boolean;
  #decayAt = 0;

  constructor({ decays = false }: HistogramOptions = {}) {
    this.#decays = decays;
  }

  /**
   * Counts a duration.
   *
   * @param ms The duration, in ms; one below 0 counts as 0.
   * @param now The time on the clock of `performance.now()`; used if the samples decay.
   */
  add(ms: number, now = 0): void {
    if (this.#decays && now >= this.#decayAt) this.#decay(now);
    const index = bucketOf(ms > 0 ? Math.min(ms * 1_000, MAX_US) | 0 : 0);
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /**
   * The duration that a share of all samples did not exceed, in ms.
   *
   * @param share From 0 to 1: 0.5 for the median.
   * @returns Undefined if there are no samples.
   */
  percentile(share: number): number | undefined {
    let total = 0;
    for (const count of this.#counts) total += count;
    if (total === 0) return undefined;
    const wanted = share * total;
    let seen = 0;
    let last = 0;
    for (const [index, count] of this.#counts.entries()) {
      if (count === 0) continue;
      last = index;
      seen += count;
      if (seen >= wanted) break;
    }
    return middleOf(last) / 1_000;
  }

  /** In steps: a sample costs no more than an addition most of the time. */
  #decay(now: number): void {
    const periods = this.#decayAt === 0 ? 0 : 1 + Math.floor((now - this.#decayAt) / HALF_LIFE_MS);
    this.#decayAt = now + HALF_LIFE_MS;
    if (periods === 0) return;
    const share = 0.5 ** Math.min(periods, 60);
    for (let index = 0; index < BUCKETS; index++) this.#counts[index] = (this.#counts[index] as number) * share;
  }
}
