import { assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../../lib/contract/errors.ts";
import { fib, fibonacci, MAX_N } from "../../../lib/tutorial/fib.ts";

Deno.test("fib() is exact for every n, by the definition", () => {
  let [a, b] = [0n, 1n];
  for (let n = 0; n <= 2_000; n++) {
    assertEquals(fib(n), a);
    [a, b] = [b, a + b];
  }
});

Deno.test("fib() is exact at its upper bound", () => {
  const digits = String(fib(MAX_N));
  assertEquals(digits.length, 20_899);
  // Cassini's identity ties the three largest together: F(n-1) F(n+1) - F(n)^2 = (-1)^n.
  const [p, q, r] = [fib(MAX_N - 2), fib(MAX_N - 1), fib(MAX_N)];
  assertEquals(p + q, r);
  assertEquals(p * r - q * q, -1n);
});

for (const n of [-1, MAX_N + 1, 3.5, NaN, Infinity]) {
  Deno.test(`fib(${n}) is out_of_range`, () => {
    const text = `Cannot compute fib(${n}): 'n' must be an integer between 0 and 100000`;
    assertEquals(assertThrows(() => fib(n), RpcError, text).code, "out_of_range");
  });
}

Deno.test("fibonacci is the procedure of the tutorial", () => {
  const { queue, idempotent, queueType, request, reply } = fibonacci;
  assertEquals({ queue, idempotent, queueType }, { queue: "rpc_queue", idempotent: true, queueType: "quorum" });
  assertEquals(new TextDecoder().decode(request.encode(30)), "30");
  assertEquals(new TextDecoder().decode(reply.encode(832040n)), "832040");
});

Deno.test("fibonacci takes requests from 0 to 100,000, and no others", () => {
  for (const n of [0, MAX_N]) assertEquals(fibonacci.request.decode(fibonacci.request.encode(n)), n);
  for (const n of [-1, MAX_N + 1]) {
    assertThrows(() => fibonacci.request.encode(n), RpcError, `${n}: must be between 0 and 100000`);
  }
});
