/**
 * How often properties are tried.
 *
 * @module
 */

/** `deno test tests/unit` is to take two seconds: all cases are tried by `deno task test`, which has every permission. */
const SHARE = Deno.permissions.querySync({ name: "run" }).state === "granted" ? 1 : 0.02;

/** So many runs of a property; a fiftieth where not all is permitted. */
export function runs(count: number): { readonly numRuns: number } {
  return { numRuns: Math.ceil(count * SHARE) };
}
