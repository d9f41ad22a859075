/**
 * Installs and builds what the programs of other languages need.
 *
 * @module
 */

import { findScripts, installPackages, which } from "../support/install.ts";
import { NPM, type Peer, PEERS, type Places } from "./peers.ts";

/** Whether a library's programs can run, and its version; or why not. */
export type Readiness = { readonly version: string } | { readonly reason: string };

interface Output {
  readonly success: boolean;
  readonly text: string;
}

/** Runs a command to its end; the text is all that it printed. */
async function output(command: readonly string[], options: Deno.CommandOptions = {}): Promise<Output> {
  const [program = "", ...args] = command;
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, { ...options, args, stdin: "null" }).output();
    const decoder = new TextDecoder();
    return { success, text: (decoder.decode(stdout) + decoder.decode(stderr)).trim() };
  } catch (error) {
    return { success: false, text: `Cannot run '${program}': ${error instanceof Error ? error.message : error}` };
  }
}

/** The version of a package of Debian, without Debian's own part; undefined if it is not installed. */
async function debianVersion(name: string): Promise<string | undefined> {
  const { success, text } = await output(["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", name]);
  return success ? /^installed (?:\d+:)?([^-+~]+)/.exec(text)?.[1] : undefined;
}

async function notInstalled(packages: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const name of new Set(packages)) {
    if (await debianVersion(name) === undefined) missing.push(name);
  }
  return missing;
}

/** Installs what is missing; a package that Debian does not have must not keep the others away. */
async function installDebian(peers: readonly Peer[], signal: AbortSignal): Promise<void> {
  const missing = await notInstalled(peers.flatMap(({ debian = [] }) => debian));
  if (missing.length === 0) return;
  try {
    await installPackages(missing, signal);
  } catch {
    signal.throwIfAborted();
    for (const { debian = [] } of peers) {
      const own = await notInstalled(debian);
      if (own.length > 0) await installPackages(own, signal).catch(() => signal.throwIfAborted());
    }
  }
}

/** Installs the packages from npm in a folder, unless they are there; returns what went wrong. */
async function installNpm(folder: string): Promise<string> {
  const wanted = JSON.stringify({ private: true, dependencies: NPM }, undefined, 2);
  if (await Deno.readTextFile(`${folder}/.ready`).catch(() => "") === wanted) return "";
  console.error(`Installing ${Object.keys(NPM).join(", ")} from npm in ${folder}`);
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/package.json`, wanted);
  await Deno.writeTextFile(`${folder}/deno.json`, `{ "nodeModulesDir": "auto" }\n`);
  const { success, text } = await output([Deno.execPath(), "install", "--quiet"], { cwd: folder });
  if (!success) return `deno install: ${text}`;
  await Deno.writeTextFile(`${folder}/.ready`, wanted);
  return "";
}

async function prepare({ debian = [], build, env, npm }: Peer, places: Places, npmFault: string): Promise<Readiness> {
  const lacks = await notInstalled(debian);
  if (lacks.length > 0) return { reason: `needs Debian's ${lacks.join(" and ")}` };
  if (npm !== undefined) {
    if (npmFault !== "") return { reason: npmFault };
    if (await which("node") === undefined) return { reason: "needs 'node' on the PATH" };
    return { version: NPM[npm] ?? "" };
  }
  if (build !== undefined) {
    // A compiler's caches go to a folder of their own, not to the user's.
    const { success, text } = await output(build(places), {
      env: { ...env?.(places), GOCACHE: `${places.built}/go-cache` },
    });
    if (!success) return { reason: `does not build: ${text}` };
  }
  return { version: await debianVersion(debian[0] ?? "") ?? "" };
}

/** Installs and builds what `peers` need. */
export async function setUp(
  peers: readonly Peer[],
  signal: AbortSignal,
): Promise<{ places: Places; readiness: ReadonlyMap<Peer, Readiness> }> {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  const folder = `${cache}/rabbitmq-rpc/interop`;
  const scripts = await findScripts() ?? "";
  const plugins = await Deno.realPath(`${scripts}/rabbitmq-env`)
    .then((path) => path.replace(/sbin\/rabbitmq-env$/, "plugins"), () => "");
  const places: Places = {
    programs: new URL(".", import.meta.url).pathname.replace(/\/$/, ""),
    built: `${folder}/built`,
    modules: `${folder}/npm/node_modules`,
    plugins,
  };
  await installDebian(peers, signal);
  const npmFault = peers.some(({ npm }) => npm !== undefined) ? await installNpm(`${folder}/npm`) : "";
  await Deno.mkdir(places.built, { recursive: true });
  const readiness = new Map<Peer, Readiness>();
  for (const peer of PEERS) {
    if (peers.includes(peer)) readiness.set(peer, await prepare(peer, places, npmFault));
  }
  return { places, readiness };
}
