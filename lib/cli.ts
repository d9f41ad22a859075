import { parseArgs } from "@std/cli/parse-args";
import config from "../deno.json" with { type: "json" };
import { RpcError } from "./errors.ts";
import { MAX_TIMEOUT_MS } from "./protocol.ts";

/** Exit codes of the two scripts. */
export const EXIT = { ok: 0, failed: 1, usage: 2, noBroker: 3, interrupted: 130 } as const;

/** What the user typed cannot be understood; the text says what is wanted. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** What the user typed. */
export interface Args {
  /** The values of the flags that were given. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** The switches that were given. */
  readonly switches: ReadonlySet<string>;
  /** All that is no flag, as it was typed. */
  readonly operands: readonly string[];
}

/**
 * Parses a command line; `--help` and `--version` are always known.
 *
 * @param argv The arguments.
 * @param valued The flags that take a value.
 * @param switched The flags that take none.
 * @throws {UsageError} For an unknown flag or a missing value.
 */
export function parseCommandLine(
  argv: readonly string[],
  valued: readonly string[],
  switched: readonly string[] = [],
): Args {
  const known = [...switched, "help", "version"];
  const parsed: Record<string, unknown> = parseArgs([...argv], {
    string: ["_", ...valued],
    boolean: known,
    unknown: (argument: string) => {
      // parse-args takes "-5" for a flag: it is an operand, and a wrong one.
      if (!argument.startsWith("-") || /^-\.?\d/.test(argument)) return true;
      throw new UsageError(`Unknown flag "${argument}": want one of --${[...valued, ...known].join(", --")}`);
    },
  });
  const values: Record<string, string | undefined> = {};
  for (const flag of valued) {
    const value = parsed[flag];
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") throw new UsageError(`Missing value: --${flag} needs one`);
    values[flag] = value;
  }
  const negative = argv.filter((argument) => /^-\.?\d/.test(argument));
  const operands = [...negative, ...(parsed["_"] as string[])];
  return { values, switches: new Set(known.filter((flag) => parsed[flag] === true)), operands };
}

/**
 * Reads a duration such as `500ms`, `5s` or `2m`.
 *
 * @returns Milliseconds, from 1 to 2,147,483,647.
 * @throws {UsageError} If it is none.
 */
export function parseDuration(text: string, flag: string): number {
  const [, number, unit] = text.match(/^(\d{1,10})(ms|s|m)$/) ?? [];
  const ms = Number(number) * (unit === "ms" ? 1 : unit === "s" ? 1_000 : 60_000);
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms;
  throw new UsageError(`Invalid value "${text}" for --${flag}: want a duration such as 500ms, 5s or 2m`);
}

/**
 * Runs a script: prints help or version where asked, and ends in an exit code
 * that says what happened.
 */
export async function runScript(help: string, main: () => Promise<number>, args: () => Args): Promise<void> {
  try {
    const { switches } = args();
    if (switches.has("help")) console.log(help);
    else if (switches.has("version")) console.log(config.version);
    else Deno.exitCode = await main();
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\nTry --help`);
      Deno.exitCode = EXIT.usage;
    } else if (error instanceof TypeError || error instanceof RangeError) {
      console.error(error.message);
      Deno.exitCode = EXIT.usage;
    } else if (error instanceof RpcError) {
      const hint = error.code === "unavailable" ? "; start one with: deno task broker" : "";
      console.error(`${error.message}${hint}`);
      Deno.exitCode = EXIT.noBroker;
    } else {
      throw error;
    }
  }
}
