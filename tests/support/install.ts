/**
 * What the tests and the demo need on the machine, and how it gets there.
 *
 * @module
 */

/** Folders that hold `rabbitmq-server` but are not on every user's PATH. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"];

/** What to do where RabbitMQ is missing. */
export const HOW_TO_INSTALL = `Cannot start RabbitMQ: 'rabbitmq-server' is not installed. Install it with one of
  sudo apt-get install rabbitmq-server
  sudo dnf install rabbitmq-server
  brew install rabbitmq
or run a broker where the default URL finds it
  docker run --rm -p 5672:5672 rabbitmq`;

/** Something that the user can put right: the message says how, and a stack would only hide it. */
export class SetupError extends Error {
  override name = "SetupError";
}

/** The exit code of a script that was interrupted before its work was done. */
export const INTERRUPTED = 130;

/** The user has asked the process to end. */
export class Interruption extends Error {
  override name = "Interruption";
}

/**
 * Runs a script that ends with exit code 1 and one message where the user has something to put right, and with 130 where
 * it throws an {@linkcode Interruption}.
 */
export async function runScript(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    if (error instanceof Interruption) {
      Deno.exitCode = INTERRUPTED;
      return;
    }
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    Deno.exitCode = 1;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

/** Where RabbitMQ is looked for: the root of this system, or of another one that is named in the environment. */
export function defaultRoot(): string {
  return Deno.env.get("RABBITMQ_ROOT") ?? "";
}

/** The folders in which programs are looked for. */
export function searchPath(): string[] {
  return [...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM_FOLDERS];
}

/** Finds a program, in the system at `root`. */
export async function which(program: string, root = ""): Promise<string | undefined> {
  for (const folder of searchPath()) {
    if (await isFile(`${root}${folder}/${program}`)) return `${folder}/${program}`;
  }
  return undefined;
}

/** Finds RabbitMQ's own scripts: what Debian and Fedora have on the PATH are wrappers that change the user. */
export async function findScripts(root = ""): Promise<string | undefined> {
  for (const folder of searchPath()) {
    if (!await isFile(`${root}${folder}/rabbitmq-server`)) continue;
    const linked = await Deno.realPath(`${root}${folder}/rabbitmq-server`);
    for (const scripts of [linked.slice(root.length, linked.lastIndexOf("/")), `${folder}/../lib/rabbitmq/bin`]) {
      if (await isFile(`${root}${scripts}/rabbitmq-env`)) return scripts;
    }
  }
  return undefined;
}

/**
 * Installs RabbitMQ where it is missing and this is root on Debian or Ubuntu; on a terminal it asks first.
 *
 * @throws {Error} If RabbitMQ is missing and was not installed; the message has the commands for other systems.
 */
export async function ensureRabbitMQ(signal?: AbortSignal): Promise<void> {
  if (await findScripts(defaultRoot()) === undefined && !await installPackages(["rabbitmq-server"], signal)) {
    throw new SetupError(HOW_TO_INSTALL);
  }
}

/**
 * Installs packages where this is root on Debian or Ubuntu; on a terminal it asks first.
 *
 * @returns Whether they are installed now; false where that is up to the user.
 * @throws {Error} If `apt-get` fails; the message has what it said.
 * @throws The signal's reason, if it is aborted.
 */
export async function installPackages(names: readonly string[], signal?: AbortSignal): Promise<boolean> {
  const debian = await isFile("/etc/debian_version") && await which("apt-get") !== undefined;
  if (!debian || Deno.uid() !== 0) return false;
  const quoted = names.map((name) => `'${name}'`).join(", ");
  const verb = names.length === 1 ? "is" : "are";
  const question = `${quoted} ${verb} needed. Install ${names.length === 1 ? "it" : "them"} with apt-get?`;
  if (Deno.stdin.isTerminal() && !confirm(question)) return false;
  console.error(`Installing ${quoted} with apt-get`);
  let result = await aptGet(signal, "install", "-y", "--no-install-recommends", ...names);
  if (!result.success) {
    // Containers come without package lists, or with old ones.
    await aptGet(signal, "update");
    result = await aptGet(signal, "install", "-y", "--no-install-recommends", ...names);
  }
  if (result.success) return true;
  throw new SetupError(`Cannot install ${quoted}: apt-get said\n${new TextDecoder().decode(result.stderr)}`);
}

async function aptGet(signal: AbortSignal | undefined, ...args: string[]): Promise<Deno.CommandOutput> {
  signal?.throwIfAborted();
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const output = await new Deno.Command("apt-get", { args, env, stdin: "null", ...(signal && { signal }) }).output();
  signal?.throwIfAborted();
  return output;
}
