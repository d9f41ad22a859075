/**
 * Runs unit tests against changed copies of the files that they test.
 *
 * The working tree is only read. Each job has a copy of the project in a temporary folder, with a Deno cache of its own
 * inside, so that nothing is left behind. Tests may read files and the environment, and nothing else: a changed program
 * does no harm, and tests that need a broker are ignored.
 *
 * @module
 */

import { SetupError } from "./install.ts";
import { applyMutant, findMutants, type Mutant } from "./mutants.ts";

/** What a changed file gets at the least, in ms; an endless loop costs as much. */
const MIN_TIME_LIMIT = 5_000;

/** How many times longer than the unchanged file a changed one may take. */
const TIME_LIMIT_FACTOR = 10;

const TEST_ARGS = ["test", "--no-check", "--quiet", "--cached-only", "--fail-fast", "--allow-read", "--allow-env"];

/** The changed program may allocate without end; the machine must not swap for it. */
const V8_FLAGS = "--v8-flags=--max-old-space-size=1024";

/** Folders with the project's own modules; files beside them are copied as well. */
const COPIED = ["lib", "tests"];

/** Large folders that no test changes. */
const LINKED = ["vendor", "node_modules"];

/** How a shell tells that a program was ended by Ctrl-C. */
const INTERRUPTED = 130;

/** A source file, and the tests that should notice a change of it. */
export interface Target {
  /** The path of the source file, relative to the project. */
  readonly file: string;
  /** Paths of test files or folders, relative to the project. */
  readonly tests: readonly string[];
}

/** A change that no test noticed. */
export interface Survivor {
  /** The line, from 1. */
  readonly line: number;
  /** The column, from 1. */
  readonly column: number;
  /** What changed, in words. */
  readonly what: string;
  /** The source line as it was, without the space around it. */
  readonly source: string;
}

/** What came of the changes to one file. */
export interface FileResult {
  readonly target: Target;
  /** How many changes were tried. */
  readonly mutants: number;
  /** The changes that nothing noticed, in the order of the file. */
  readonly survivors: readonly Survivor[];
}

/** Options of {@linkcode runMutants}. */
export interface RunOptions {
  /** The project's folder. */
  readonly root: string;
  /** How many tests run at once. */
  readonly jobs: number;
  /** How many changes to try at the most, spread evenly over all files; by default all. */
  readonly limit: number | undefined;
  /** Ends the run early: the results then cover what was tried. */
  readonly signal: AbortSignal;
  /** Called after each change. */
  readonly onProgress: (done: number, total: number) => void;
}

interface Work {
  readonly target: Target;
  readonly text: string;
  readonly mutant: Mutant;
}

interface TestRun {
  readonly code: number;
  readonly text: string;
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory, isFile } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else if (isFile) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** A copy of the project in a folder of its own. */
class Sandbox implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(root: string): Promise<Sandbox> {
    const sandbox = new Sandbox(await Deno.makeTempDir({ prefix: "mutate-" }));
    try {
      await sandbox.#copy(root);
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
    return sandbox;
  }

  async #copy(root: string): Promise<void> {
    for await (const { name, isDirectory, isFile } of Deno.readDir(root)) {
      const [from, to] = [`${root}/${name}`, `${this.#folder}/${name}`];
      if (LINKED.includes(name)) await Deno.symlink(await Deno.realPath(from), to);
      else if (COPIED.includes(name) && isDirectory) await copyFolder(from, to);
      else if (isFile) await Deno.copyFile(from, to);
    }
  }

  async write(file: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.#folder}/${file}`, text);
  }

  /** Runs tests until they end or `signal` ends them; `keep` keeps what they print. */
  async test(tests: readonly string[], signal: AbortSignal, keep = false): Promise<TestRun> {
    const output = keep ? "piped" : "null";
    const child = new Deno.Command(Deno.execPath(), {
      args: [...TEST_ARGS, V8_FLAGS, ...tests],
      cwd: this.#folder,
      env: { DENO_DIR: `${this.#folder}/.deno`, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      stdin: "null",
      stdout: output,
      stderr: output,
    }).spawn();
    const kill = () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has just ended by itself.
      }
    };
    if (signal.aborted) kill();
    signal.addEventListener("abort", kill, { once: true });
    try {
      const parts = keep ? [new Response(child.stdout).text(), new Response(child.stderr).text()] : [];
      const text = (await Promise.all(parts)).join("");
      return { code: (await child.status).code, text };
    } finally {
      signal.removeEventListener("abort", kill);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** All changes to all files, or so many of them, spread evenly. */
async function collectWork(root: string, targets: readonly Target[], limit = Infinity): Promise<Work[]> {
  const all: Work[] = [];
  for (const target of targets) {
    const text = await Deno.readTextFile(`${root}/${target.file}`);
    all.push(...findMutants(text).map((mutant) => ({ target, text, mutant })));
  }
  const count = Math.min(limit, all.length);
  return all.filter((_, index) =>
    Math.floor((index + 1) * count / all.length) > Math.floor(index * count / all.length)
  );
}

/** Runs the tests of the unchanged files, and finds how long each set of tests may take, in ms. */
async function findTimeLimits(
  sandbox: Sandbox,
  work: readonly Work[],
  signal: AbortSignal,
): Promise<Map<Target, number>> {
  const limits = new Map<Target, number>();
  const bySet = new Map<string, number>();
  for (const { target } of work) {
    if (limits.has(target)) continue;
    const names = target.tests.join(" ");
    const limit = bySet.get(names) ?? await findTimeLimit(sandbox, target.tests, signal);
    bySet.set(names, limit);
    limits.set(target, limit);
  }
  return limits;
}

async function findTimeLimit(sandbox: Sandbox, tests: readonly string[], signal: AbortSignal): Promise<number> {
  const start = performance.now();
  const { code, text } = await sandbox.test(tests, signal, true);
  if (!signal.aborted && code !== 0) {
    throw new SetupError(`Cannot measure ${tests.join(" ")}: it fails without any change\n${text.trim()}`);
  }
  if (!signal.aborted && !/^ok \| [1-9]\d* passed/m.test(text)) {
    throw new SetupError(`Cannot measure ${tests.join(" ")}: no test in it runs without a broker\n${text.trim()}`);
  }
  return Math.max(MIN_TIME_LIMIT, TIME_LIMIT_FACTOR * (performance.now() - start));
}

/** Whether the tests notice one change; undefined where the run was interrupted. */
async function isNoticed(
  sandbox: Sandbox,
  work: Work,
  limit: number,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const { target: { file, tests }, text, mutant } = work;
  await sandbox.write(file, applyMutant(text, mutant));
  const { code } = await sandbox.test(tests, AbortSignal.any([signal, AbortSignal.timeout(limit)]));
  await sandbox.write(file, text);
  return signal.aborted || code === INTERRUPTED ? undefined : code !== 0;
}

function describe({ text, mutant }: Work): Survivor {
  const before = text.slice(0, mutant.start).split("\n");
  const column = (before.at(-1) ?? "").length + 1;
  return { line: before.length, column, what: mutant.what, source: (text.split("\n")[before.length - 1] ?? "").trim() };
}

/**
 * Makes one change at a time and runs the tests of the changed file.
 *
 * @throws {SetupError} If the tests fail, or none runs, before anything is changed.
 */
export async function runMutants(targets: readonly Target[], options: RunOptions): Promise<FileResult[]> {
  const { root, jobs, limit, signal, onProgress } = options;
  const work = await collectWork(root, targets, limit);
  const noticed = new Map<Work, boolean>();
  const waiting = work.values();

  async function runJob(sandbox: Sandbox, timeLimits: ReadonlyMap<Target, number>): Promise<void> {
    for (const item of waiting) {
      const answer = await isNoticed(sandbox, item, timeLimits.get(item.target) ?? MIN_TIME_LIMIT, signal);
      if (answer === undefined) return;
      noticed.set(item, answer);
      onProgress(noticed.size, work.length);
    }
  }

  await using stack = new AsyncDisposableStack();
  const first = stack.use(await Sandbox.create(root));
  const timeLimits = await findTimeLimits(first, work, signal);
  const sandboxes = [first];
  while (sandboxes.length < jobs) sandboxes.push(stack.use(await Sandbox.create(root)));
  await Promise.all(sandboxes.map((sandbox) => runJob(sandbox, timeLimits)));

  return targets.map((target) => {
    const tried = work.filter((item) => item.target === target && noticed.has(item));
    return {
      target,
      mutants: tried.length,
      survivors: tried.filter((item) => noticed.get(item) === false).map(describe),
    };
  });
}
