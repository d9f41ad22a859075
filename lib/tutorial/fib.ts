import { bigint, integer } from "../contract/decimal_codecs.ts";
import { RpcError } from "../contract/errors.ts";
import { type Procedure, procedure } from "../contract/procedure.ts";

/** The largest `n` that {@linkcode fib} computes; fib(100,000) has 20,899 digits. */
export const MAX_N = 100_000;

/**
 * The procedure of RabbitMQ's tutorial six: a decimal number in, its Fibonacci
 * number out, over `rpc_queue`.
 */
export const fibonacci: Procedure<number, number, bigint, bigint> = procedure({
  queue: "rpc_queue",
  request: integer({ min: 0, max: MAX_N }),
  reply: bigint(),
  idempotent: true,
});

/**
 * Computes the `n`th Fibonacci number exactly, by fast doubling: F(2k) and
 * F(2k+1) follow from F(k) and F(k+1).
 *
 * @param n An integer from 0 to {@linkcode MAX_N}.
 * @returns The number, `0n` for 0 and `1n` for 1.
 * @throws {RpcError} `out_of_range` if `n` is anything else.
 */
export function fib(n: number): bigint {
  if (!Number.isInteger(n) || n < 0 || n > MAX_N) {
    throw new RpcError("out_of_range", `Cannot compute fib(${n}): 'n' must be an integer between 0 and ${MAX_N}`);
  }
  let a = 0n; // F(k)
  let b = 1n; // F(k + 1)
  for (let bit = 31 - Math.clz32(n); bit >= 0; bit--) {
    const even = a * (2n * b - a);
    const odd = a * a + b * b;
    [a, b] = (n >> bit) & 1 ? [odd, even + odd] : [even, odd];
  }
  return a;
}
