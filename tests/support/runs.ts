/**
 * How often properties are tried.
 *
 * @module
 */

/** Set by `deno task test`, which tries all cases; `deno test` is to be quick. */
export const THOROUGH = "TEST_THOROUGH";

function isThorough(): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: THOROUGH });
  return state === "granted" && Deno.env.get(THOROUGH) === "1";
}

const SHARE = isThorough() ? 1 : 0.02;

/** So many runs of a property; a fiftieth where nobody asks for all of them. */
export function runs(count: number): { readonly numRuns: number } {
  return { numRuns: Math.ceil(count * SHARE) };
}
