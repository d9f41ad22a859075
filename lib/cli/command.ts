import type { Args, FlagOptions } from "./command_line.ts";

/** One command of `rpc`. */
export interface Command {
  readonly name: string;
  /** What it does, in a few words. */
  readonly summary: string;
  readonly help: string;
  /** The flags that take a value. */
  readonly valued: readonly string[];
  /** The flags that take none. */
  readonly switched: readonly string[];
  readonly more?: FlagOptions;
  /**
   * Runs it.
   *
   * @param stop Aborted by the first Ctrl-C.
   * @returns The exit code.
   * @throws {UsageError} If an argument is not valid.
   */
  run(args: Args, stop: AbortSignal): Promise<number>;
}
