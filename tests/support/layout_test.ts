/**
 * Imports between the wings of `lib/` go one way: scripts, cli, telemetry, tutorial -> rpc | testing | worker -> client | server
 * -> connection -> wire, events -> contract.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** What each wing may import of the others. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: ["contract"],
  wire: ["contract", "wire"],
  events: ["contract", "events"],
  connection: ["contract", "wire", "events", "connection"],
  client: ["contract", "wire", "events", "connection", "client"],
  server: ["contract", "wire", "events", "connection", "server"],
  worker: ["contract", "server", "worker"],
  testing: ["contract", "wire", "connection", "client", "server", "testing"],
  rpc: ["contract", "events", "connection", "client", "server"],
  telemetry: ["contract", "rpc", "telemetry"],
  cli: ["contract", "connection", "rpc", "cli"],
  tutorial: ["contract", "rpc", "tutorial", "worker"],
  scripts: ["contract", "rpc", "telemetry", "cli", "tutorial"],
};

/** The packages that a wing may import; all else is this project's. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  contract: ["node:buffer"],
  wire: ["node:buffer"],
  events: [],
  connection: [
    "amqplib",
    "node:buffer",
    "node:diagnostics_channel",
    "node:dns",
    "node:net",
    "node:os",
    "node:process",
    "node:stream",
  ],
  client: [],
  server: ["node:child_process", "node:os", "node:process", "node:url", "node:v8"],
  worker: ["node:process", "node:timers", "node:v8"],
  testing: ["node:async_hooks", "node:buffer", "node:timers"],
  rpc: [],
  telemetry: ["@opentelemetry/api"],
  cli: ["@std/cli/parse-args", "log-update", "node:buffer", "node:process", "string-width"],
  tutorial: [],
  scripts: [],
};

/** What reaches the world outside: not for what is pure. */
const IMPURE = /\b(?:Deno|console|process)\.|\bfetch\(/;

interface File {
  readonly path: string;
  readonly wing: string;
  readonly code: string;
  /** As they are written. */
  readonly imports: readonly string[];
}

/** `lib/client/rpc_client.ts` is of the wing `client`, `lib/rpc.ts` of `rpc`, `server.ts` one of the scripts. */
function wingOf(path: string): string {
  const [first, second = "", third] = path.split("/");
  if (first !== "lib") return "scripts";
  return third === undefined ? second.replace(/\.ts$/, "") : second;
}

async function* paths(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) yield* paths(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

async function readFiles(): Promise<readonly File[]> {
  const all = ["server.ts", "client.ts", ...(await Array.fromAsync(paths("lib/"))).sort()];
  return await Promise.all(all.map(async (path) => {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
    const imports = Array.from(code.matchAll(/^(?:import|export)\b[^;]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"/gm));
    return { path, wing: wingOf(path), code, imports: imports.map(([, from, bare]) => from ?? bare ?? "") };
  }));
}

/** The file of this project that an import names; undefined for a package. */
function target({ path }: File, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

// Reads the sources: ignored by a plain "deno test".
const ignore = Deno.permissions.querySync({ name: "read" }).state !== "granted";
const files = ignore ? [] : await readFiles();

Deno.test("Every wing imports only what is below it", { ignore }, () => {
  assert(files.length > 30);
  const wrong: string[] = [];
  for (const file of files) {
    const allowed = MAY_IMPORT[file.wing];
    assert(allowed !== undefined, `${file.path} is in no wing that is known here`);
    for (const specifier of file.imports) {
      const imported = target(file, specifier);
      const fine = imported === undefined
        ? PACKAGES[file.wing]?.includes(specifier)
        : imported.endsWith(".json") || allowed.includes(wingOf(imported));
      if (!fine) wrong.push(`${file.path} imports ${specifier}`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("No two files import each other, by whatever way", { ignore }, () => {
  const graph = new Map(files.map((file) => [
    file.path,
    file.imports.map((specifier) => target(file, specifier)).filter((path) => path !== undefined),
  ]));
  const done = new Set<string>();
  function visit(path: string, way: readonly string[]): void {
    assert(!way.includes(path), `These import each other: ${[...way.slice(way.indexOf(path)), path].join(" -> ")}`);
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  }
  for (const path of graph.keys()) visit(path, []);
});

Deno.test("Contract and wire do no input or output", { ignore }, () => {
  const impure = files.filter(({ wing, code }) => (wing === "contract" || wing === "wire") && IMPURE.test(code));
  assertEquals(impure.map(({ path }) => path), []);
});

Deno.test("No file of the library is longer than 400 lines", { ignore }, async () => {
  for (const { path } of files) {
    const lines = (await Deno.readTextFile(new URL(path, ROOT))).split("\n").length - 1;
    assert(lines <= 400, `${path} has ${lines} lines`);
  }
});

Deno.test("unit_test.ts runs every file of unit tests, and no other file is run beside it", { ignore }, async () => {
  const found = (await Array.fromAsync(paths("tests/unit/"))).filter((path) => path !== "tests/unit/unit_test.ts")
    .sort();
  const text = await Deno.readTextFile(new URL("tests/unit/unit_test.ts", ROOT));
  const imported = Array.from(text.matchAll(/^import "\.\/(.*)";$/gm), ([, path]) => `tests/unit/${path}`);
  assertEquals(imported.sort(), found);
  assertEquals(found.filter((path) => !path.endsWith("_tests.ts")), []);
});
