/**
 * `deno task test:4.0` and `deno task test:4.3`: the tests against a newer RabbitMQ, as a later Debian packages it, in a
 * folder of its own. Needs root on Debian. Further arguments go to `deno test`.
 *
 * @module
 */

import { installPackages, runScript, SetupError } from "./install.ts";
import { cacheFolder } from "./npm.ts";

/** How a RabbitMQ is packaged by Debian. */
interface Packaged {
  readonly suite: string;
  /** The lines of `rabbitmq.conf` that undo what Debian has changed of upstream's defaults. */
  readonly config: readonly string[];
}

const PACKAGED: Readonly<Record<string, Packaged>> = {
  "4.0": { suite: "trixie", config: [] },
  "4.3": { suite: "sid", config: ["deprecated_features.permit.transient_nonexcl_queues = false"] },
};

async function run(program: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(program, { args, stdin: "null", stdout: "null" }).output();
  if (!success) throw new SetupError(`Cannot set up the newer RabbitMQ: ${program} ${args.join(" ")} failed`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** The mirror that this machine takes its packages from. */
async function findMirror(): Promise<string> {
  for (const path of ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]) {
    const text = await Deno.readTextFile(path).catch(() => "");
    const mirror = /^(?:URIs:|deb)\s+(http\S+)/m.exec(text)?.[1];
    if (mirror !== undefined) return mirror;
  }
  throw new SetupError("Cannot set up the newer RabbitMQ: no Debian mirror is named in /etc/apt");
}

/** Makes a folder with a system in it that has RabbitMQ; a finished one is used again. */
async function makeRoot(suite: string): Promise<string> {
  const root = `${cacheFolder()}/${suite}`;
  if (await exists(`${root}/.ready`)) return root;
  if (!await installPackages(["debootstrap"])) {
    throw new SetupError(`Cannot set up the newer RabbitMQ: that needs root on Debian, with its package debootstrap`);
  }
  console.error(`Installing Debian ${suite} with RabbitMQ in ${root}`);
  await Deno.remove(root, { recursive: true }).catch(() => {});
  await Deno.mkdir(root, { recursive: true });
  await run("debootstrap", "--variant=minbase", "--include=rabbitmq-server", suite, root, await findMirror());
  await Deno.writeTextFile(`${root}/.ready`, "");
  return root;
}

async function main(): Promise<void> {
  const [version = "", ...args] = Deno.args;
  const packaged = PACKAGED[version];
  if (packaged === undefined) throw new SetupError(`Want one of ${Object.keys(PACKAGED).join(", ")}, got "${version}"`);
  const root = await makeRoot(packaged.suite);
  // RabbitMQ 4 asks for this machine's address now and then, and a connection waits until DNS has given up.
  await Deno.writeTextFile(`${root}/etc/hosts`, `127.0.0.1 localhost ${Deno.hostname()}\n`);
  // Left mounted, since another run may use it.
  if (!await exists(`${root}/proc/self`)) await run("mount", "-t", "proc", "proc", `${root}/proc`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", new URL("run_tests.ts", import.meta.url).pathname, ...args],
    env: { RABBITMQ_ROOT: root, RABBITMQ_CONFIG_LINES: packaged.config.join("\n") },
    stdin: "null",
  }).spawn();
  Deno.exitCode = (await child.status).code;
}

await runScript(main);
