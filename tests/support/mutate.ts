/**
 * `deno task mutate`: makes one small change at a time in source files and lists those that their unit tests do not
 * notice. Each is a missing test, dead code, or a change that makes no difference.
 *
 * @module
 */

import { join, parse, relative, resolve } from "node:path";
import { parseArgs } from "@std/cli/parse-args";
import { interruption } from "./broker.ts";
import { runScript, SetupError } from "./install.ts";
import { type FileResult, runMutants, type Target } from "./mutation_run.ts";

const HELP = `Make one small change at a time and list those that the unit tests do not notice

Usage: deno task mutate [--tests PATH ...] [--limit N] [--jobs N] [--min PERCENT] FILE_OR_FOLDER ...

  --tests PATH   test file or folder for all the files given; may be repeated. By default the tests of lib/wing/name.ts
                 are the first of tests/unit/wing/name_tests.ts, tests/unit/name_test.ts, tests/name_test.ts and
                 lib/wing/name_test.ts
  --limit N      try at most N changes, spread evenly over all files
  --jobs N       how many tests run at once, default 2
  --min PERCENT  exit code 1 if less than that was noticed in any file
  --help

Run it in the project's folder. The working tree is not changed. Tests may read files and the environment only, so what
needs a broker is ignored. An endless loop counts as noticed`;

/** How much of a source line is shown. */
const MAX_SOURCE = 100;

const INTERRUPTED = 130;

interface Settings {
  readonly operands: readonly string[];
  readonly tests: readonly string[];
  readonly limit: number | undefined;
  readonly jobs: number;
  readonly min: number;
}

function readNumber(value: unknown, flag: string, min: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value !== "" && Number.isFinite(number) && number >= min) return number;
  throw new SetupError(`Invalid value "${value}" for --${flag}: want a number of at least ${min}`);
}

function refuseUnknown(arg: string): boolean {
  if (arg.startsWith("-")) throw new SetupError(`Unknown option "${arg}"`);
  return true;
}

function toStrings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function readSettings(): Settings | undefined {
  const args: Record<string, unknown> = parseArgs(Deno.args, {
    boolean: ["help"],
    string: ["_", "tests", "limit", "jobs", "min"],
    collect: ["tests"],
    unknown: refuseUnknown,
  });
  if (args["help"] === true) return undefined;
  const operands = toStrings(args["_"]);
  if (operands.length === 0) throw new SetupError(`No file given\n\n${HELP}`);
  const limit = readNumber(args["limit"], "limit", 1);
  return {
    operands: operands.map(toProjectPath),
    tests: toStrings(args["tests"]).map(toProjectPath),
    limit: limit === undefined ? undefined : Math.floor(limit),
    jobs: Math.floor(readNumber(args["jobs"], "jobs", 1) ?? 2),
    min: readNumber(args["min"], "min", 0) ?? 0,
  };
}

function toProjectPath(path: string): string {
  const inside = relative(Deno.cwd(), resolve(path));
  if (!inside.startsWith("..")) return inside;
  throw new SetupError(`Cannot use "${path}": it is outside of the current folder`);
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  return await Deno.stat(path).catch(() => undefined);
}

async function* sources(path: string): AsyncGenerator<string> {
  const info = await stat(path);
  if (info === undefined) throw new SetupError(`Cannot find "${path}"`);
  if (!info.isDirectory) {
    yield path;
    return;
  }
  const entries = await Array.fromAsync(Deno.readDir(path));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (isDirectory || name.endsWith(".ts") && !/(?:_tests?|\.d)\.ts$/.test(name)) yield* sources(`${path}/${name}`);
  }
}

/** Finds the tests that are named after a source file. */
async function findTests(file: string): Promise<string[]> {
  const { dir, name } = parse(file);
  const test = `${name}_test.ts`;
  const wing = dir.replace(/^lib(?:\/|$)/, "");
  const places = ["tests/unit", "tests", dir].map((folder) => join(folder, test));
  for (const path of [join("tests/unit", wing, `${name}_tests.ts`), ...places]) {
    if ((await stat(path))?.isFile) return [path];
  }
  return [];
}

async function findTargets({ operands, tests }: Settings): Promise<Target[]> {
  const files = new Set<string>();
  for (const operand of operands) for await (const file of sources(operand)) files.add(file);
  for (const path of tests) if (await stat(path) === undefined) throw new SetupError(`Cannot find "${path}"`);
  return await Promise.all(
    Array.from(files, async (file) => ({ file, tests: tests.length > 0 ? tests : await findTests(file) })),
  );
}

function showProgress(done: number, total: number): void {
  writeProgress(`${done} of ${total} changes tried`);
}

/** Replaces the line at the bottom of a terminal. */
function writeProgress(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r${text}\x1b[K`));
}

function percentOf({ mutants, survivors }: Pick<FileResult, "mutants" | "survivors">): number {
  return 100 * (mutants - survivors.length) / mutants;
}

function row(file: string, result: Pick<FileResult, "mutants" | "survivors">, tests: string): string[] {
  const { mutants, survivors } = result;
  // Rounded down, so that 100 means all of them.
  const percent = mutants === 0 ? "-" : (Math.floor(percentOf(result) * 10) / 10).toFixed(1);
  return [file, `${mutants}`, `${mutants - survivors.length}`, percent, tests];
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((cells) => (cells[column] ?? "").length)));
  for (const [file = "", ...cells] of rows) {
    const numbers = cells.slice(0, 3).map((cell, index) => cell.padStart(widths[index + 1] ?? 0));
    console.log([file.padEnd(widths[0] ?? 0), ...numbers, cells[3]].join("  ").trimEnd());
  }
}

function print(results: readonly FileResult[], untested: readonly Target[]): void {
  for (const { target, survivors } of results) {
    for (const { line, column, what, source } of survivors) {
      const shown = source.length > MAX_SOURCE ? `${source.slice(0, MAX_SOURCE)}...` : source;
      console.log(`${target.file}:${line}:${column}  ${what}  (${shown})`);
    }
  }
  const all = {
    mutants: results.reduce((sum, { mutants }) => sum + mutants, 0),
    survivors: results.flatMap(({ survivors }) => survivors),
  };
  if (all.survivors.length > 0) console.log();
  printTable([
    ["file", "mutants", "noticed", "percent", "tests"],
    ...results.map((result) => row(result.target.file, result, result.target.tests.join(" "))),
    ...untested.map(({ file }) => [file, "-", "-", "-", "none found"]),
    ...(results.length > 1 ? [row("all", all, "")] : []),
  ]);
}

async function main(): Promise<void> {
  const settings = readSettings();
  if (settings === undefined) {
    console.log(HELP);
    return;
  }
  const signal = interruption();
  const targets = await findTargets(settings);
  const tested = targets.filter(({ tests }) => tests.length > 0);
  if (tested.length === 0) {
    throw new SetupError(`Cannot find unit tests of ${settings.operands.join(", ")}: name them with --tests`);
  }
  const { jobs, limit, min } = settings;
  const results = await runMutants(tested, { root: Deno.cwd(), jobs, limit, signal, onProgress: showProgress });
  writeProgress("");
  print(results, targets.filter(({ tests }) => tests.length === 0));
  if (signal.aborted) {
    console.error("Interrupted: the figures cover what was tried");
    Deno.exitCode = INTERRUPTED;
    return;
  }
  const missed = results.filter((result) => result.mutants > 0 && percentOf(result) < min);
  for (const { target } of missed) console.error(`Less than ${min} percent noticed: ${target.file}`);
  if (missed.length > 0) Deno.exitCode = 1;
}

await runScript(main);
