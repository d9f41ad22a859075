import { parseArgs } from "@std/cli/parse-args";
import config from "../../deno.json" with { type: "json" };
import { RpcError } from "../contract/errors.ts";
import { defaultUrl, parseHosts } from "../connection/broker_url.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import { printable } from "../contract/printable.ts";
import { errorJson } from "./call_report.ts";
import { OutputError } from "./output.ts";

/** Exit codes; only `rpc` tells `noServer` and `timeout` from `failed`. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  noBroker: 3,
  noServer: 4,
  timeout: 5,
  interrupted: 130,
  brokenPipe: 141,
} as const;

/** The command line is not valid; the message says what is expected. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A parsed command line. */
export interface Args {
  /** The values of the flags that were given. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** The values of the flags that may be given several times. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  /** The switches that were given. */
  readonly switches: ReadonlySet<string>;
  /** The arguments that are not flags, as they were typed. */
  readonly operands: readonly string[];
}

/** More about the flags of {@linkcode parseCommandLine}. */
export interface FlagOptions {
  /** The flags that take a value and may be given several times. */
  readonly lists?: readonly string[];
  /** The short names of flags, such as `H` for `header`. */
  readonly short?: Readonly<Record<string, string>>;
}

/** Marks an operand that looks like a flag to parse-args: a negative number. */
const NEGATIVE = "\0";

/** A short flag and the value attached to it: parse-args would read -Ha:1 as several flags, and -Ha=1:2 as another value. */
function separate(argument: string, short: Readonly<Record<string, string>>): string[] {
  const flag = /^-[^-]./.test(argument) ? argument.slice(1, 2) : "";
  if (!Object.hasOwn(short, flag)) return [argument];
  return [`--${short[flag]}=${argument.slice(argument[2] === "=" ? 3 : 2)}`];
}

/** The arguments that may be flags: those behind `--` are operands. */
function flagsOf(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end === -1 ? argv : argv.slice(0, end);
}

/** Whether errors are to be told as JSON too, whatever else is wrong with the command line. */
export function wantsJson(argv: readonly string[]): boolean {
  return flagsOf(argv).some((argument, at, flags) => {
    return /^(?:--json|-o=?json|--output=json)$/.test(argument) ||
      (/^(?:-o|--output)$/.test(argument) && flags[at + 1] === "json");
  });
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
  { lists = [], short = {} }: FlagOptions = {},
): Args {
  const known = [...switched, "help", "version"];
  const flags = flagsOf(argv);
  const overloaded = flags.find((argument) => known.some((flag) => argument.startsWith(`--${flag}=`)));
  if (overloaded !== undefined) throw new UsageError(`Unexpected value in "${overloaded}": this flag takes none`);
  const separated = flags.flatMap((argument) => separate(argument, short));
  const marked = [...separated, ...argv.slice(flags.length)].map((argument) => {
    return /^-\.?\d/.test(argument) ? NEGATIVE + argument : argument;
  });
  const parsed: Record<string, unknown> = parseArgs(marked, {
    string: ["_", ...valued, ...lists],
    boolean: known,
    collect: [...lists],
    alias: { h: "help", ...short },
    unknown: (argument: string) => {
      if (!argument.startsWith("-") || argument === "-") return true;
      throw new UsageError(`Unknown flag "${argument}": want one of --${[...valued, ...lists, ...known].join(", --")}`);
    },
  });
  const unmarked = (text: string): string => text.startsWith(NEGATIVE) ? text.slice(1) : text;
  const values: Record<string, string | undefined> = {};
  for (const flag of valued) {
    const value = parsed[flag];
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") {
      throw new UsageError(`Missing value: --${flag} needs a value after it`);
    }
    values[flag] = unmarked(value);
  }
  const operands = (parsed["_"] as string[]).map(unmarked);
  const collected = lists.map((flag) => [flag, (parsed[flag] as string[] | undefined ?? []).map(unmarked)]);
  const switches = new Set(known.filter((flag) => parsed[flag] === true));
  return { values, lists: Object.fromEntries(collected), switches, operands };
}

/**
 * Reads a duration such as `500ms`, `5s` or `2m`.
 *
 * @returns Milliseconds, from 1 to 2,147,483,647.
 * @throws {UsageError} If it is not a duration, or out of these bounds.
 */
export function parseDuration(text: string, flag: string): number {
  const [, number, unit] = text.match(/^(\d{1,10})(ms|s|m)$/) ?? [];
  const ms = Number(number) * (unit === "ms" ? 1 : unit === "s" ? 1_000 : 60_000);
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms;
  const wanted = "a whole number of ms, s or m, such as 500ms, 5s or 2m, at most 35791m";
  throw new UsageError(`Invalid value "${text}" for --${flag}: want ${wanted}`);
}

/**
 * Reads a whole number.
 *
 * @throws {UsageError} If it is none, or out of its bounds.
 */
export function parseWhole(text: string, flag: string, min: number, max: number): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`Invalid value "${text}" for --${flag}: want a whole number from ${min} to ${max}`);
}

/**
 * Turns a TypeError or RangeError of `check` into a UsageError.
 *
 * @throws {UsageError} Instead of a TypeError or RangeError.
 */
export function asUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

/** The flags that name a broker; each takes a value. */
export const URL_FLAGS = ["url", "url-file"] as const;

/** How the help describes them. */
export const URL_HELP = `  --url URL           the broker; default AMQP_URL, else amqp://guest:guest@localhost:5672
  --url-file FILE     read the URL from a file, since others can see a command line and the password in it`;

/** @throws {UsageError} If the file cannot be read. */
function readUrl(file: string): string {
  try {
    return Deno.readTextFileSync(file).trim();
  } catch (error) {
    const hint = error instanceof Deno.errors.NotCapable ? `; allow it with --allow-read=${file}` : "";
    throw new UsageError(`Cannot read the file of --url-file "${file}"${hint}: ${(error as Error).message}`);
  }
}

/**
 * The broker's URL: that of the flags, else of the environment, else the default.
 *
 * @throws {UsageError} If it is not an AMQP URL; the message says where it comes from, without its password.
 */
export function brokerUrl({ values }: Args): string {
  const { url: flag, "url-file": file } = values;
  if (flag !== undefined && file !== undefined) throw new UsageError("Give --url or --url-file, not both");
  const url = flag ?? (file === undefined ? asUsage(defaultUrl) : readUrl(file));
  const { protocol, host } = URL.canParse(url) ? new URL(url) : { protocol: "", host: "" };
  if (/^amqps?:$/.test(protocol) && host !== "") {
    asUsage(() => parseHosts(url));
    return url;
  }
  // What a file or a variable holds may be the password alone, so only the scheme and host of a URL are shown.
  const found = flag === undefined && !url.includes("://")
    ? "it does not begin with amqp:// or amqps://"
    : /^[\w.-]+(:\d+)?$/.test(url)
    ? `did you mean amqp://${url}?`
    : protocol === ""
    ? "its value is not a URL"
    : `got ${protocol}//${host}`;
  const source = flag !== undefined
    ? "value for --url"
    : file !== undefined
    ? `URL in the file "${file}"`
    : "AMQP_URL in the environment";
  throw new UsageError(
    `Invalid ${source}: ` +
      `want amqp://user:password@host:5672/vhost, or amqps:// for TLS, with special characters percent-encoded; ${found}`,
  );
}

/** What to do if no broker runs on this computer. */
function brokerHint(error: RpcError, url: string): string {
  const { hostname, port } = new URL(url);
  const refused = (error.cause as { code?: unknown } | undefined)?.code === "ECONNREFUSED";
  if (!refused || !/^(localhost|127\..*|\[::1\])$/.test(hostname)) return "";
  const at = port === "" || port === "5672" ? "" : ` --port ${port}`;
  return `; start one with: deno task broker${at}`;
}

/** Prints why there is no connection, and what to do, with `json` as JSON; returns the exit code. */
export function reportNoBroker(error: unknown, url: string, json = false): number {
  if (!(error instanceof RpcError)) throw error;
  const { code, outcome } = error;
  const message = `${error.message}${brokerHint(error, url)}`;
  if (json) console.log(errorJson({ code, outcome, message }));
  else console.error(printable(message));
  return EXIT.noBroker;
}

/** A terminal and the task runner may each pass on the same Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/** Returns a signal that is aborted by the first SIGINT or SIGTERM; a second one exits immediately. */
export function untilSignal(): AbortSignal {
  const controller = new AbortController();
  let first: { readonly name: string; readonly at: number } | undefined;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => {
      const at = performance.now();
      if (first !== undefined && (first.name !== name || at - first.at > SAME_SIGNAL_MS)) Deno.exit(EXIT.interrupted);
      first ??= { name, at };
      controller.abort();
    });
  }
  return controller.signal;
}

/** The versions of what runs: this library, Deno, and the library that speaks AMQP. */
function versions(): string {
  const amqplib = config.imports.amqplib.replace("npm:amqplib@", "");
  return `@rabbitmq-rpc/rpc ${config.version}, Deno ${Deno.version.deno}, amqplib ${amqplib}`;
}

/**
 * Runs a script: prints help or versions if asked to, and sets the exit code.
 *
 * @param json Whether wrong usage is told as JSON, on stdout.
 */
export async function runScript(
  help: string,
  main: () => Promise<number>,
  args: () => Args,
  json = false,
): Promise<void> {
  try {
    const { switches } = args();
    if (switches.has("help")) console.log(help);
    else if (switches.has("version")) console.log(versions());
    else Deno.exitCode = await main();
  } catch (error) {
    if (error instanceof OutputError) {
      console.error(error.message);
      Deno.exitCode = EXIT.failed;
      return;
    }
    if (!(error instanceof UsageError)) throw error;
    if (json) console.log(errorJson({ code: "invalid_argument", outcome: "not_executed", message: error.message }));
    else console.error(`${error.message}\nTry --help`);
    Deno.exitCode = EXIT.usage;
  }
}
