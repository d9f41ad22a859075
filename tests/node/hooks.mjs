/**
 * Lets Node run these tests as Deno does: names of deno.json, JSR packages from `vendor/`, and TypeScript with
 * `await using`, which Node 22 does not know.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = new URL("../../", import.meta.url);
const TESTS = new URL("tests/", ROOT);
const { imports } = JSON.parse(readFileSync(new URL("deno.json", ROOT), "utf8"));

/** The file in `vendor/` of a module such as `jsr:@std/internal@^1.0.12/format`; there is one version of each. */
function vendored(specifier) {
  const [, name, path = ""] = /^jsr:\/?(@[^/]+\/[^@/]+)(?:@[^/]+)?(\/.*)?$/.exec(specifier) ?? [];
  const folder = new URL(`vendor/jsr.io/${name}/`, ROOT);
  const { versions } = JSON.parse(readFileSync(new URL("meta.json", folder), "utf8"));
  const [version] = Object.keys(versions).filter((known) => existsSync(new URL(`${known}_meta.json`, folder)));
  const { exports } = JSON.parse(readFileSync(new URL(`${version}_meta.json`, folder), "utf8"));
  return new URL(`${version}/${exports[`.${path}`]}`, folder).href;
}

registerHooks({
  resolve(specifier, context, next) {
    const name = Object.keys(imports).find((key) => specifier === key || specifier.startsWith(`${key}/`));
    const full = name === undefined ? specifier : `${imports[name]}${specifier.slice(name.length)}`;
    return full.startsWith("jsr:") ? { url: vendored(full), shortCircuit: true } : next(specifier, context);
  },
  load(url, context, next) {
    if (!url.startsWith(ROOT.href) || !url.endsWith(".ts")) return next(url, context);
    const { outputText } = ts.transpileModule(readFileSync(new URL(url), "utf8"), {
      fileName: fileURLToPath(url),
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        inlineSourceMap: true,
      },
    });
    // For the tests alone, so that the library finds what it finds on Node.
    const names = url.startsWith(TESTS.href) ? "const Deno = globalThis.denoForTests;" : "";
    return { format: "module", source: names + outputText, shortCircuit: true };
  },
});
