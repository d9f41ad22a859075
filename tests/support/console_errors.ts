/** What is written to `console.error` until it is disposed of, instead of to stderr. */
export interface ConsoleErrors extends Disposable {
  /** The arguments of each call. */
  readonly calls: readonly (readonly unknown[])[];
  /** Each call as a line of text. */
  readonly lines: readonly string[];
}

/** Catches what is written to `console.error`. */
export function consoleErrors(): ConsoleErrors {
  const { error } = console;
  const calls: unknown[][] = [];
  console.error = (...values: unknown[]) => calls.push(values);
  return {
    calls,
    get lines() {
      return calls.map((values) =>
        values.map((value) => typeof value === "string" ? value : Deno.inspect(value)).join(" ")
      );
    },
    [Symbol.dispose]: () => console.error = error,
  };
}
