/**
 * The blocks of code of the README, as data for tests.
 *
 * @module
 */

/** A fenced block of code. */
export interface Block {
  /** What follows the opening fence: `sh`, or `ts ignore`. */
  readonly info: string;
  readonly code: string;
  /** The line of the opening fence. */
  readonly line: number;
}

/** One command of a block, and what the block says that it prints. */
export interface Step {
  readonly command: string;
  /** Lines; one that is `...` stands for any number of lines, and `...` at the end of one for its rest. */
  readonly output: readonly string[];
}

const ROOT = new URL("../../", import.meta.url);

const PRINTED = /^# =>(?: (.*))?$/;

/** The first section of a page: how to start. */
export function startOf(markdown: string): string {
  return markdown.split(/^## /m)[1] ?? "";
}

/** All blocks, those in lists too. */
export function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  let open:
    | { readonly indent: string; readonly info: string; readonly line: number; readonly code: string[] }
    | undefined;
  for (const [index, text] of markdown.split("\n").entries()) {
    const [, indent = "", info = ""] = /^( *)```(.*)$/.exec(text) ?? [];
    const isFence = /^ *```/.test(text);
    if (open === undefined) {
      if (isFence) open = { indent, info: info.trim(), line: index + 1, code: [] };
    } else if (isFence && info === "") {
      blocks.push({ info: open.info, line: open.line, code: `${open.code.join("\n")}\n` });
      open = undefined;
    } else {
      open.code.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    }
  }
  if (open !== undefined) throw new Error(`The block at line ${open.line} has no end`);
  return blocks;
}

/** The commands of a block for a shell; a comment that is no output is for readers. */
export function stepsOf({ code, line }: Block): readonly Step[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const text of code.split("\n")) {
    const [isOutput, output = ""] = PRINTED.exec(text) ?? [];
    const last = steps.at(-1);
    if (isOutput !== undefined) {
      if (last === undefined) throw new Error(`The block at line ${line} has output before its first command`);
      last.output.push(output);
    } else if (text !== "" && !text.startsWith("#")) {
      steps.push({ command: text, output: [] });
    }
  }
  return steps;
}

/** What differs from run to run, or from machine to machine, and what it is written as. */
const MASKS: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "TIME"],
  [/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, "ID"],
  [/(duration_ms"?[=:])[\d.]+/g, "$1MS"],
  [/(Reconnected after) [\d.]+ m?s/g, "$1 TIME"],
  [/(?:localhost|127\.0\.0\.1):\d+/g, "HOST:PORT"],
  [/on port \d+/g, "on port PORT"],
  [/(\w+\.ts)(?:@[\w.-]+)? pid=\d+/g, "$1 pid=PID"],
  // Deno says which one runs the tests; a release of ours is no reason to change the README.
  [/(rpc=|Deno |"version",")\d+\.\d+\.\d+/g, "$1VERSION"],
];

/** Text in which what may differ is masked. */
export function masked(text: string): string {
  return MASKS.reduce((done, [pattern, name]) => done.replace(pattern, name), text);
}

/** Whether `printed` is what the README says; `whole` if nothing may follow it. */
export function isPrinted(expected: readonly string[], printed: string, whole: boolean): boolean {
  const lines = expected.map((line) => {
    if (line === "...") return "(?:.*\n)*?";
    const [, start = line, rest = ""] = /^(.*)(\.\.\.)$/.exec(masked(line)) ?? [, masked(line)];
    return `${RegExp.escape(start)}${rest === "" ? "" : ".*"}\n`;
  });
  return new RegExp(`^${lines.join("")}${whole ? "$" : ""}`).test(masked(printed));
}

/** A project of a reader: the files of the README, with the library under the name that JSR gives it. */
export interface Project extends AsyncDisposable {
  readonly folder: string;
  /** The files, by name. */
  readonly files: ReadonlyMap<string, string>;
}

/** A block that is a file says so in its first line. */
export function fileName({ code }: Block): string | undefined {
  return /^\/\/ (\w+\.ts)\n/.exec(code)?.[1];
}

/**
 * Writes the files of the README into a folder of their own.
 *
 * @param change Changes the code of each file.
 */
export async function writeProject(blocks: readonly Block[], change = (code: string) => code): Promise<Project> {
  const folder = await Deno.makeTempDir();
  const files = new Map<string, string>();
  for (const block of blocks) {
    const name = fileName(block);
    if (name === undefined) continue;
    if (files.has(name)) throw new Error(`The README has two files ${name}`);
    files.set(name, change(block.code));
    await Deno.writeTextFile(`${folder}/${name}`, change(block.code));
  }
  const { imports, exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const library = Object.entries(exports as Record<string, string>).map(([name, path]) => [
    name.replace(".", "@rabbitmq-rpc/rpc"),
    new URL(path, ROOT).href,
  ]);
  const config = {
    imports: { ...imports, ...Object.fromEntries(library) },
    compilerOptions: { strict: true },
    vendor: true,
  };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  // So that no registry is asked.
  await Deno.symlink(new URL("vendor", ROOT), `${folder}/vendor`);
  await Deno.copyFile(new URL("deno.lock", ROOT), `${folder}/deno.lock`);
  return { folder, files, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** The pages that a newcomer reads, in English and in Chinese. */
export const PAGES = ["README.md", "README.zh.md"] as const;

/** The text of a page. */
export function readReadme(page: (typeof PAGES)[number] = "README.md"): Promise<string> {
  return Deno.readTextFile(new URL(page, ROOT));
}
