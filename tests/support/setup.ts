/**
 * Makes every package present, so that plain commands work without fetching anything.
 *
 * With `"vendor": true` Deno keeps JSR modules under `vendor/`. Networks that reach the npm registry but not JSR's get
 * a stand-in there: the same modules as published to npm in `deno-std`, with looser types. A real `vendor/` is never
 * touched. This module imports nothing, since it runs before there is anything to import.
 *
 * @module
 */

/** The npm package with the JavaScript of `@std/*`, at the release that has the versions pinned in deno.json. */
const STAND_IN = "deno-std@1.4.0";

/** Networks that drop packets would otherwise hold the first command for minutes. */
const REGISTRY_TIMEOUT = 15_000;

interface Manifest {
  readonly imports: Readonly<Record<string, string>>;
}

interface Lock {
  /** Requirement to version: `jsr:@std/internal@^1.0.12` to `1.0.14`. */
  readonly specifiers: Readonly<Record<string, string>>;
  /** By package and version, such as `@std/assert@1.0.19`: the packages that it imports, such as `jsr:@std/internal`. */
  readonly jsr: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>;
}

interface Output {
  readonly success: boolean;
  readonly text: string;
}

interface DenoOptions {
  readonly cwd?: string;
  readonly signal?: AbortSignal;
}

async function deno(args: string[], options: DenoOptions = {}): Promise<Output> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    ...options,
  });
  const { success, stderr } = await command.output();
  return { success, text: new TextDecoder().decode(stderr) };
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(path));
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The project's modules: what they import is what has to be present. */
async function* modules(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory && !/^(\.|vendor$|node_modules$|coverage$)/.test(name)) {
      yield* modules(`${folder}/${name}`);
    } else if (name.endsWith(".ts")) {
      yield `${folder}/${name}`;
    }
  }
}

/** Names what a stand-in's module exports: `export *` is followed by Deno itself, so only direct names count. */
function exportedNames(code: string): string[] {
  return Array.from(code.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm), (match) => match[1] ?? "");
}

/** The true signature of what is used; what has none here is `unknown`, so that its use fails the check. */
const SIGNATURES: Readonly<Record<string, string>> = {
  AssertionError: "export declare class AssertionError extends Error {}",
  assert: "export declare function assert(expr: unknown, msg?: string): asserts expr;",
  assertAlmostEquals:
    "export declare function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void;",
  assertArrayIncludes:
    "export declare function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void;",
  assertEquals: "export declare function assertEquals<T>(actual: T, expected: T, msg?: string): void;",
  assertExists: "export declare function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;",
  assertFalse:
    "export declare function assertFalse(expr: unknown, msg?: string): asserts expr is false | 0 | '' | null;",
  assertGreater: "export declare function assertGreater<T>(actual: T, expected: T, msg?: string): void;",
  assertGreaterOrEqual: "export declare function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;",
  assertInstanceOf:
    "export declare function assertInstanceOf<T extends abstract new (...args: never[]) => unknown>(actual: unknown, expectedType: T, msg?: string): asserts actual is InstanceType<T>;",
  assertIsError:
    "export declare function assertIsError<E extends Error = Error>(error: unknown, ErrorClass?: abstract new (...args: never[]) => E, msgMatches?: string | RegExp, msg?: string): asserts error is E;",
  assertLess: "export declare function assertLess<T>(actual: T, expected: T, msg?: string): void;",
  assertLessOrEqual: "export declare function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;",
  assertMatch: "export declare function assertMatch(actual: string, expected: RegExp, msg?: string): void;",
  assertNotEquals: "export declare function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;",
  assertNotStrictEquals:
    "export declare function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void;",
  assertNotMatch: "export declare function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;",
  assertObjectMatch:
    "export declare function assertObjectMatch(actual: object, expected: Record<PropertyKey, unknown>, msg?: string): void;",
  assertRejects: `export declare function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
export declare function assertRejects<E extends Error = Error>(fn: () => PromiseLike<unknown>, ErrorClass: abstract new (...args: never[]) => E, msgIncludes?: string, msg?: string): Promise<E>;`,
  assertStrictEquals:
    "export declare function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T;",
  assertStringIncludes:
    "export declare function assertStringIncludes(actual: string, expected: string, msg?: string): void;",
  assertThrows: `export declare function assertThrows(fn: () => unknown, msg?: string): unknown;
export declare function assertThrows<E extends Error = Error>(fn: () => unknown, ErrorClass: abstract new (...args: never[]) => E, msgIncludes?: string, msg?: string): E;`,
  equal: "export declare function equal(a: unknown, b: unknown): boolean;",
  fail: "export declare function fail(msg?: string): never;",
  parseArgs: `export interface ParseOptions {
  "--"?: boolean; alias?: Record<string, string | readonly string[]>; boolean?: boolean | string | readonly string[];
  collect?: string | readonly string[]; default?: Record<string, unknown>; negatable?: string | readonly string[];
  stopEarly?: boolean; string?: string | readonly string[];
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
export declare function parseArgs(args: string[], options?: ParseOptions): { [name: string]: unknown; _: Array<string | number> };`,
  unimplemented: "export declare function unimplemented(msg?: string): never;",
  unreachable: "export declare function unreachable(reason?: string): never;",
};

function declarations(code: string): string {
  const lines = Array.from(code.matchAll(/^export \* from ".*";$/gm), (match) => match[0].replace(".js", ".d.ts"));
  for (const name of exportedNames(code)) lines.push(SIGNATURES[name] ?? `export declare const ${name}: unknown;`);
  return [...lines, "export {};", ""].join("\n");
}

async function checksum(text: string): Promise<{ size: number; checksum: string }> {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { size: bytes.length, checksum: `sha256-${hash.toHex()}` };
}

/**
 * The modules of a package whose imports are all there: `deno install` follows every one. The package on npm has no
 * data files, such as the table of widths of `unicode_width`, and the frozen lock file names the packages that each
 * package may import.
 */
async function completeModules(folder: string, siblings: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const modules = new Map<string, string>();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && name.endsWith(".js")) modules.set(name, await Deno.readTextFile(`${folder}/${name}`));
  }
  for (let before = -1; before !== modules.size;) {
    before = modules.size;
    for (const [name, code] of modules) {
      const imported = Array.from(code.matchAll(/^(?:import|export) [^;]*?from "(.*?)"/gm), (match) => match[1] ?? "");
      const isThere = (path: string): boolean => {
        const [, sibling, file = ""] = /^(?:\.\.\/(\w+)|\.)\/(.+)$/.exec(path) ?? [];
        return sibling === undefined ? modules.has(file) : siblings.includes(sibling);
      };
      if (!imported.every(isThere)) modules.delete(name);
    }
  }
  return modules;
}

/** One package of the registry: `@std/assert/meta.json`, `1.0.19_meta.json`, and its files under `1.0.19/`. */
async function writePackage(from: string, to: string, name: string, version: string, lock: Lock): Promise<void> {
  const manifest: Record<string, { size: number; checksum: string }> = {};
  const exports: Record<string, string> = {};
  const folder = `${to}/@std/${name}`;
  await Deno.mkdir(`${folder}/${version}`, { recursive: true });
  async function write(file: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${folder}/${version}/${file}`, text);
    manifest[`/${file}`] = await checksum(text);
  }
  const { dependencies = [] } = lock.jsr[`@std/${name}@${version}`] ?? {};
  const siblings = dependencies.map((dependency) => dependency.replace("jsr:@std/", ""));
  for (const [file, source] of await completeModules(`${from}/${name}`, siblings)) {
    const code = source.replace(
      /^(import .* from )"\.\.\/(\w+)\/(\w+)\.js";$/gm,
      (line, start: string, sibling: string, module: string) => {
        // The package's own requirement, or the frozen lock file would not fit; a module nobody imports may lack one.
        const requirement = Object.keys(lock.specifiers).find((key) => key.startsWith(`jsr:@std/${sibling}@`));
        return requirement === undefined ? line : `${start}"${requirement}/${module.replaceAll("_", "-")}";`;
      },
    );
    const types = file.replace(/\.js$/, ".d.ts");
    await write(file, `/* @ts-self-types="./${types}" */\n${code}`);
    await write(types, declarations(code));
    if (!file.startsWith("_")) {
      exports[file === "mod.js" ? "." : `./${file.slice(0, -3).replaceAll("_", "-")}`] = `./${file}`;
    }
  }
  await Deno.writeTextFile(
    `${folder}/meta.json`,
    JSON.stringify({ scope: "std", name, latest: version, versions: { [version]: {} } }),
  );
  await Deno.writeTextFile(`${folder}/${version}_meta.json`, JSON.stringify({ manifest, exports }));
}

/** Writes the whole of `vendor/`, with `mark` in it. */
async function writeStandIn(host: string, mark: string, lock: Lock): Promise<void> {
  // Beside vendor/, so that the last step is one rename on one file system.
  const temp = await Deno.makeTempDir({ dir: ".", prefix: ".setup-" });
  try {
    const config = { imports: { "deno-std": `npm:${STAND_IN}` }, nodeModulesDir: "auto", lock: false };
    await Deno.writeTextFile(`${temp}/deno.json`, JSON.stringify(config));
    const fetched = await deno(["install"], { cwd: temp });
    if (!fetched.success) {
      throw new Error(`Cannot fetch the packages from JSR, nor from npm: Deno said\n${fetched.text}`);
    }
    for (const [requirement, version] of Object.entries(lock.specifiers)) {
      const name = /^jsr:@std\/(\w+)@/.exec(requirement)?.[1];
      if (name === undefined) continue;
      await writePackage(`${temp}/node_modules/deno-std`, `${temp}/vendor/${host}`, name, version, lock);
    }
    await Deno.writeTextFile(`${temp}/vendor/${mark}`, "Delete this folder to take the packages from JSR again.\n");
    await Deno.rename(`${temp}/vendor`, "vendor");
  } catch (error) {
    // Two tasks started at once: the other one has just put the same files there.
    if (!await exists(`vendor/${mark}`)) throw error;
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
}

async function setup(): Promise<void> {
  Deno.chdir(new URL("../../", import.meta.url));
  const { imports } = await readJson<Manifest>("deno.json");
  const lock = await readJson<Lock>("deno.lock");
  const pins = Object.values(imports).filter((specifier) => specifier.startsWith("jsr:"));
  // Marks are named for the pins, so that a changed pin sets up again; the task in deno.json looks for `.ready-*`.
  const version = pins.map((pin) => pin.slice("jsr:@std/".length).replace("@", "-")).join("-");
  const mark = `.stand-in-${version}`;

  if (await exists("vendor")) {
    const marks = (await Array.fromAsync(Deno.readDir("vendor"))).filter(({ name }) => name.startsWith(".stand-in-"));
    const outdated = marks.length > 0 && marks.every(({ name }) => name !== mark);
    if (outdated) await Deno.remove("vendor", { recursive: true });
  }
  if (!await exists("vendor")) {
    const probe = await deno(["cache", "--no-config", "--no-lock", ...pins], {
      signal: AbortSignal.timeout(REGISTRY_TIMEOUT),
    });
    if (!probe.success) {
      // Deno itself names the registry in what it says, so that JSR_URL is honoured.
      const registry = /(https?:\/\/\S+?)\/@std\/\w+\/meta\.json/.exec(probe.text)?.[1];
      if (registry === undefined) throw new Error(`Cannot fetch the packages from JSR: Deno said\n${probe.text}`);
      console.error(
        `${
          new URL(registry).host
        } cannot be reached: taking its @std packages from npm:${STAND_IN}. Restart the language server of your editor`,
      );
      await writeStandIn(new URL(registry).host, mark, lock);
    }
  }
  const installed = await deno(["install", "--frozen", "--entrypoint", ...await Array.fromAsync(modules("."))]);
  if (!installed.success) throw new Error(`Cannot fetch the packages: Deno said\n${installed.text}`);
  await Deno.writeTextFile(`vendor/.ready-${version}`, "");
}

await setup();
