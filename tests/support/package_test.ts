/**
 * What is published: its files, and its documentation. The registry counts a symbol as documented if it has a comment;
 * here every entry and every function, class and value must also have an example, which `deno task test` runs.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

interface JsDoc {
  readonly doc?: string;
  readonly tags?: readonly { readonly kind: string; readonly doc?: string }[];
}

/** What is used of the JSON of `deno doc`. */
interface Documentation {
  readonly nodes: Readonly<Record<string, { readonly module_doc?: JsDoc; readonly symbols: readonly PublicSymbol[] }>>;
}

interface PublicSymbol {
  readonly name: string;
  readonly declarations: readonly { readonly kind: string; readonly jsDoc?: JsDoc }[];
}

/** Of these, one sees by an example how they are used; of a type one sees it by what takes or returns it. */
const WITH_EXAMPLE = ["function", "class", "variable"];

// Runs deno: ignored by a plain "deno test".
const ignore = Deno.permissions.querySync({ name: "run" }).state !== "granted";

async function readConfig(): Promise<{ readonly name: string; readonly exports: Readonly<Record<string, string>> }> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
}

async function run(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const env = { NO_COLOR: "1" };
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env }).output();
  const text = { stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  assert(success, `deno ${args.join(" ")}\n${text.stderr}`);
  return text;
}

/** Whether it has an example that has the package by its published name, as its users have it. */
function hasExample({ tags = [] }: JsDoc, name: string): boolean {
  return tags.some(({ kind, doc = "" }) => {
    return kind === "example" && (doc.includes(` from "${name}`) || doc.includes(` jsr:${name}`));
  });
}

/** The files of the library that the entries import, directly or not. */
async function importedBy(entries: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const open = entries.map((entry) => new URL(entry, ROOT));
  for (let url = open.pop(); url !== undefined; url = open.pop()) {
    const path = url.href.slice(ROOT.href.length);
    if (found.has(path)) continue;
    found.add(path);
    const code = (await Deno.readTextFile(url)).replace(/\/\*[^]*?\*\//g, "");
    for (const [, specifier = ""] of code.matchAll(/\b(?:from|import)\s*\(?"(\.[^"]+)"/g)) {
      open.push(new URL(specifier, url));
    }
  }
  return found;
}

Deno.test("Every public symbol has documentation, and every function, class and value an example", {
  ignore,
}, async () => {
  const { name, exports } = await readConfig();
  const { stdout } = await run("doc", "--json", ...Object.values(exports));
  const { nodes } = JSON.parse(stdout) as Documentation;
  assertEquals(Object.keys(nodes).length, Object.keys(exports).length);
  const missing: string[] = [];
  for (const [url, { module_doc: about = {}, symbols }] of Object.entries(nodes)) {
    const entry = url.slice(ROOT.href.length);
    if ((about.doc ?? "") === "" || !hasExample(about, name)) missing.push(`${entry}: text or example of the module`);
    for (const symbol of symbols) {
      // What another entry exports too is documented there.
      const own = symbol.declarations.filter(({ kind }) => kind !== "reference");
      if (own.length === 0) continue;
      const docs = own.map(({ jsDoc = {} }) => jsDoc);
      if (docs.every(({ doc = "" }) => doc === "")) missing.push(`${entry}: text of ${symbol.name}`);
      if (!own.some(({ kind }) => WITH_EXAMPLE.includes(kind))) continue;
      if (!docs.some((doc) => hasExample(doc, name))) missing.push(`${entry}: example of ${symbol.name}`);
    }
  }
  assertEquals(missing, []);
});

Deno.test("The package can be published, and has only what its entries import, its texts and its settings", {
  ignore,
}, async () => {
  const { exports } = await readConfig();
  const { stderr } = await run("publish", "--dry-run", "--allow-dirty");
  const files = Array.from(stderr.matchAll(/^ +(file:\S+) \(/gm), ([, url = ""]) => url.slice(ROOT.href.length));
  const texts = ["CHANGELOG.md", "LICENSE", "README.md", "README.zh.md", "deno.json"];
  const wanted = new Set([...texts, ...await importedBy(Object.values(exports))]);
  assertEquals({
    missing: Array.from(wanted).filter((file) => !files.includes(file)),
    needless: files.filter((file) => !wanted.has(file)),
  }, { missing: [], needless: [] });
  assertEquals(stderr.split("\n").filter((line) => /^\s*(?:warning|error)\b/i.test(line)), []);
});
