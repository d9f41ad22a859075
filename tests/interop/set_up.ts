/**
 * Installs and builds what the programs of other languages need.
 *
 * @module
 */

import { findScripts, installPackages, SetupError, which } from "../support/install.ts";
import { cacheFolder, installFromNpm, installNode, NODE_VERSIONS } from "../support/npm.ts";
import { NPM, type Peer, PEERS, type Places } from "./peers.ts";

/** The version of a library whose programs can run; or why it cannot be had; or what is wrong with our programs. */
export type Readiness = { readonly version: string } | { readonly reason: string } | { readonly fault: string };

/** How much is shown of what a compiler says. */
const SHOWN = 300;

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

/** Installs Node and its libraries; gives what went wrong, if anything did. */
async function installNpm(): Promise<{ node: string; modules: string; fault: string }> {
  try {
    const [version] = NODE_VERSIONS;
    const { node } = await installNode(version);
    return { node, modules: await installFromNpm("interop/npm", NPM), fault: "" };
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { node: "", modules: "", fault: error.message };
  }
}

async function prepare({ debian = [], build, env, npm }: Peer, places: Places, npmFault: string): Promise<Readiness> {
  const lacks = await notInstalled(debian);
  if (lacks.length > 0) return { reason: `needs Debian's ${lacks.join(" and ")}` };
  if (npm !== undefined) {
    if (npmFault !== "") return { reason: npmFault };
    return { version: NPM[npm] ?? "" };
  }
  if (build !== undefined) {
    // A compiler's caches go to a folder of their own, not to the user's.
    const { success, text } = await output(build(places), {
      env: { ...env?.(places), GOCACHE: `${places.built}/go-cache`, GOFLAGS: "" },
    });
    if (!success) return { fault: `does not build: ${text.replaceAll(/\s+/g, " ").slice(0, SHOWN)}` };
  }
  return { version: await debianVersion(debian[0] ?? "") ?? "" };
}

/** Installs and builds what `peers` need. */
export async function setUp(
  peers: readonly Peer[],
  signal: AbortSignal,
): Promise<{ places: Places; readiness: ReadonlyMap<Peer, Readiness> }> {
  await installDebian(peers, signal);
  const missing = await notInstalled(peers.flatMap(({ debian = [] }) => debian));
  if (missing.length > 0 && await which("apt-get") !== undefined) {
    console.error(`Missing: sudo apt-get install --no-install-recommends ${missing.join(" ")}`);
  }
  const { node, modules, fault } = peers.some(({ npm }) => npm !== undefined)
    ? await installNpm()
    : { node: "", modules: "", fault: "" };
  const built = `${cacheFolder()}/interop/built`;
  await Deno.mkdir(built, { recursive: true });
  const scripts = await findScripts() ?? "";
  const plugins = await Deno.realPath(`${scripts}/rabbitmq-env`)
    .then((path) => path.replace(/sbin\/rabbitmq-env$/, "plugins"), () => "");
  const programs = new URL(".", import.meta.url).pathname.replace(/\/$/, "");
  const places: Places = { programs, built, node, modules, plugins };
  const readiness = new Map<Peer, Readiness>();
  for (const peer of PEERS) {
    if (peers.includes(peer)) readiness.set(peer, await prepare(peer, places, fault));
  }
  return { places, readiness };
}
