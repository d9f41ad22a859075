/**
 * Packages of npm for tests that need another program than Deno: each set is in a folder of its own in the user's
 * cache, and none is a dependency of the library.
 *
 * @module
 */

import { SetupError } from "./install.ts";

/** The versions of Node that are tried: the oldest that the library supports, and one of the newest. */
export const NODE_VERSIONS = ["22.23.3", "26.12.1"] as const;

/** The version of Bun on which the package is tried. */
export const BUN_VERSION = "1.4.5";

/** What Node 22 lacks and the tests use: `AsyncDisposableStack`. */
const POLYFILL = { name: "disposablestack", version: "1.1.8" };

/** The folder in which tests keep what they have installed. */
export function cacheFolder(): string {
  return `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`}/rabbitmq-rpc`;
}

/**
 * Installs packages in a folder of the cache, unless they are there.
 *
 * @returns The folder with the packages.
 * @throws {SetupError} If npm does not have them, or cannot be reached.
 */
export async function installFromNpm(name: string, dependencies: Readonly<Record<string, string>>): Promise<string> {
  const folder = `${cacheFolder()}/${name}`;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ dependencies }));
  await Deno.writeTextFile(`${folder}/deno.json`, "{}");
  const command = new Deno.Command(Deno.execPath(), { args: ["install", "--quiet"], cwd: folder });
  const { success, stderr } = await command.output();
  if (success) return `${folder}/node_modules`;
  const names = Object.keys(dependencies).join(", ");
  throw new SetupError(`Cannot install ${names} from npm: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Installs Node; gives its program, and a module to `--import` for what tests use and Node 22 lacks. */
export async function installNode(
  version: (typeof NODE_VERSIONS)[number],
): Promise<{ readonly node: string; readonly polyfill: string }> {
  const { os, arch } = Deno.build;
  const name = `node-${os}-${arch === "x86_64" ? "x64" : "arm64"}`;
  const modules = await installFromNpm(`node-${version}`, { [name]: version, [POLYFILL.name]: POLYFILL.version });
  return { node: `${modules}/${name}/bin/node`, polyfill: `${modules}/${POLYFILL.name}/auto.js` };
}

/** Installs Bun; gives its program. */
export async function installBun(): Promise<string> {
  const { os, arch } = Deno.build;
  const name = `@oven/bun-${os}-${arch === "x86_64" ? "x64" : "aarch64"}`;
  return `${await installFromNpm(`bun-${BUN_VERSION}`, { [name]: BUN_VERSION })}/${name}/bin/bun`;
}
