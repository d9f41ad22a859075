/** The nth Fibonacci number, as decimal text. */
exports.fib = function fib(n) {
  let [a, b] = [0n, 1n];
  for (; n > 0; n--) [a, b] = [b, a + b];
  return String(a);
};
