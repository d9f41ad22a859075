/**
 * Fib as RabbitMQ's tutorial computes it: its time grows by the golden ratio with every n. What takes long runs in
 * worker processes of the server; see `deno task server --naive --workers 2`.
 *
 * @module
 */

import { workerHandlers } from "../worker.ts";
import type { fibonacci } from "./fib.ts";

/** Up to this n, naive fib takes less than 1 ms. */
export const QUICK_N = 20;

/** The Fibonacci number F(n), recursively. */
export function naiveFib(n: number): bigint {
  return BigInt(recurse(n));
}

/** With numbers: none is reached above 2^53, which F(79) would be. */
function recurse(n: number): number {
  return n < 2 ? n : recurse(n - 1) + recurse(n - 2);
}

export default workerHandlers<typeof fibonacci>((n) => naiveFib(n));
