/**
 * Preloaded by `deno task test`: a `console.assert` that is wrong, as in the examples of the documentation, fails the
 * test. By itself it only prints.
 *
 * @module
 */

console.assert = (condition?: boolean, ...data: unknown[]): void => {
  if (!condition) throw new Error(`console.assert failed${data.length > 0 ? `: ${data.map(String).join(" ")}` : ""}`);
};
