/** The bounds of the wait before another attempt, in ms. */
export interface Backoff {
  readonly min: number;
  readonly max: number;
}

/**
 * How long to wait before another attempt, in ms: exponential backoff with full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param attempt How many attempts have already failed, from 0.
 */
export function backoffDelay(attempt: number, { min, max }: Backoff): number {
  return Math.random() * Math.min(max, min * 2 ** Math.min(attempt, 30));
}
