import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

/** One of its changes makes the loop endless, which takes a test five seconds. */
const SOURCE = `export function next(n: number): number {
  console.debug(1 + 1);
  if (n > 8) return 8;
  do n++; while (n < 0);
  return n;
}
`;

const TEST = `import { next } from "../lib/next.ts";
Deno.test("next", () => {
  for (const [n, expected] of [[5, 6], [9, 8]]) {
    if (next(n) !== expected) throw new Error(\`\${n}\`);
  }
});
`;

// Reads, writes and runs: ignored by a plain "deno test".
const ignore = (await Promise.all((["read", "write", "run"] as const).map((name) => Deno.permissions.query({ name }))))
  .some(({ state }) => state !== "granted");

/** A project of one source file and one test, in a folder of its own. */
class Project implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(test: string): Promise<Project> {
    const folder = await Deno.makeTempDir({ prefix: "mutate-test-" });
    await Deno.mkdir(`${folder}/lib`);
    await Deno.mkdir(`${folder}/tests`);
    await Deno.mkdir(`${folder}/tmp`);
    await Deno.writeTextFile(`${folder}/deno.json`, "{}");
    await Deno.writeTextFile(`${folder}/lib/next.ts`, SOURCE);
    await Deno.writeTextFile(`${folder}/tests/next_test.ts`, test);
    return new Project(folder);
  }

  /** Runs the script in this project; nothing but its output may come of it. */
  async mutate(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const script = new URL("mutate.ts", import.meta.url).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", script, ...args],
      cwd: this.#folder,
      env: { NO_COLOR: "1", TMPDIR: `${this.#folder}/tmp` },
      stdin: "null",
    }).output();
    assertEquals(await Deno.readTextFile(`${this.#folder}/lib/next.ts`), SOURCE);
    assertEquals(await Array.fromAsync(Deno.readDir(`${this.#folder}/tmp`)), [], "Files are left behind");
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

Deno.test("What no test notices is listed, and the rest is counted", { ignore }, async () => {
  await using project = await Project.create(TEST);
  const { code, out, err } = await project.mutate("lib/");
  assertEquals(err, "");
  assertEquals(code, 0);
  assertEquals(out.split("\n"), [
    "lib/next.ts:3:9  '>' became '>='  (if (n > 8) return 8;)",
    "lib/next.ts:3:11  8 became 7  (if (n > 8) return 8;)",
    "lib/next.ts:4:20  '<' became '<='  (do n++; while (n < 0);)",
    "lib/next.ts:4:22  0 became 1  (do n++; while (n < 0);)",
    "lib/next.ts:4:22  0 became -1  (do n++; while (n < 0);)",
    "",
    "file         mutants  noticed  percent  tests",
    "lib/next.ts       13        8     61.5  tests/next_test.ts",
    "",
  ]);
});

Deno.test("--limit tries fewer changes, and --min fails where too few were noticed", { ignore }, async () => {
  await using project = await Project.create(TEST);
  const args = ["--limit", "3", "--jobs", "1", "--tests", "tests/next_test.ts", "./lib/next.ts"];
  const enough = await project.mutate("--min", "66", ...args);
  assertEquals([enough.code, enough.err], [0, ""]);
  assertMatch(enough.out, /^lib\/next\.ts +3 +2 +66\.6 /m);
  const tooFew = await project.mutate("--min", "67", ...args);
  assertEquals([tooFew.code, tooFew.err], [1, "Less than 67 percent noticed: lib/next.ts\n"]);
});

Deno.test("Tests that fail without any change, or do not run, are an error", { ignore }, async () => {
  await using failing = await Project.create('Deno.test("fails", () => { throw new Error("as it is"); });');
  const failed = await failing.mutate("lib/next.ts");
  assertEquals([failed.code, failed.out], [1, ""]);
  assert(failed.err.startsWith("Cannot measure tests/next_test.ts: it fails without any change\n"), failed.err);
  assertStringIncludes(failed.err, "as it is");

  await using ignored = await Project.create('Deno.test.ignore("ignored", () => {});');
  assertStringIncludes((await ignored.mutate("lib/next.ts")).err, "no test in it runs without a broker");

  const untested = await ignored.mutate("deno.json");
  assertEquals(untested.err, "Cannot find unit tests of deno.json: name them with --tests\n");
});
