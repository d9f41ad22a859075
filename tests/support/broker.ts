/**
 * Private RabbitMQ nodes for tests, the demo and benchmarks.
 *
 * A node has a data folder, ports, an Erlang cookie and a port mapper (epmd) of its own, and listens on 127.0.0.1 only,
 * so that it meets neither a system node nor another run. Nothing is left behind, however this process ends.
 *
 * @module
 */

import { defaultRoot, findScripts, HOW_TO_INSTALL, Interruption, searchPath, SetupError, which } from "./install.ts";
import { freePort } from "./ports.ts";

/** A first start took 6 s on 2 cores; loaded machines get ten times that. */
const START_TIMEOUT = 60_000;

/** The protocol header with which every AMQP 0-9-1 client begins. */
const AMQP_HEADER = Uint8Array.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);

/**
 * Ends when this process has ended or closes its stdin: kills the process groups listed in `pids` and removes the
 * folder. Unlike a signal handler it also works for SIGKILL. The second `rm` is for files that a dying node still wrote.
 */
const KEEPER = `read -r _
while read -r pid; do kill -s KILL -- "-$pid"; done <"$0/pids"
rm -rf "$0" || { sleep 1; rm -rf "$0"; }`;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The broker that scripts and tests use unless told otherwise. */
export const DEFAULT_URL = "amqp://guest:guest@localhost:5672";

/** Names a broker in messages, without the password: `localhost:5672`. */
export function hostAndPort(url: string): string {
  const { protocol, hostname, port } = new URL(url);
  return `${hostname}:${port || (protocol === "amqps:" ? 5671 : 5672)}`;
}

/** Whether an AMQP broker answers at `url` within a second, by its answer to the protocol header. */
export async function answers(url: string): Promise<boolean> {
  const { protocol, hostname, port } = new URL(url);
  const tls = protocol === "amqps:";
  const target = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (tls ? 5671 : 5672) };
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), 1_000);
  try {
    using connection = await (tls ? Deno.connectTls(target) : Deno.connect({ ...target, signal: timeout.signal }));
    timeout.signal.addEventListener("abort", () => connection.close());
    await connection.write(AMQP_HEADER);
    const frame = new Uint8Array(1);
    // A method frame, connection.start; another version of the protocol answers with a header, which starts with "A".
    return await connection.read(frame) === 1 && frame[0] === 1;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/** Aborts when the process is asked to end, so that what it has started is stopped before. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => controller.abort(new Interruption(`Ended by ${name}`)));
  }
  return controller.signal;
}

/** Options of {@linkcode Broker.start}. */
export interface BrokerOptions {
  /**
   * The part of the node's name before `@localhost`.
   *
   * @default {"rpc"}
   */
  readonly name?: string;
  /** The AMQP port; by default a free one. */
  readonly port?: number;
  /**
   * Lines for `rabbitmq.conf`, after those of the environment variable `RABBITMQ_CONFIG_LINES`; none makes the start
   * half a second faster.
   */
  readonly config?: readonly string[];
  /** Plugins to enable; none lets the start skip the reading of RabbitMQ's many plugins. */
  readonly plugins?: readonly string[];
  /** A node whose cluster this one joins; it must be disposed after this one. */
  readonly cluster?: Broker;
  /**
   * A folder with another system in it, for another version of RabbitMQ; needs root. By default that of the
   * environment variable `RABBITMQ_ROOT`, if it is set.
   */
  readonly root?: string;
  /** Ends the start when it is aborted. */
  readonly signal?: AbortSignal;
}

/** What the nodes of a cluster have in common. */
interface Realm {
  readonly epmdPort: number;
  readonly cookie: string;
}

interface Paths {
  readonly root: string;
  /** The node's folder, as the node sees it. */
  readonly dir: string;
  readonly scripts: string;
}

/** A running RabbitMQ node of this process's own; disposing of it kills it and deletes its data. */
export class Broker implements AsyncDisposable {
  /** The AMQP port. */
  readonly port: number;
  /** The node's name: `rpc@localhost`. */
  readonly nodename: string;
  readonly #paths: Paths;
  readonly #realm: Realm;
  readonly #env: Readonly<Record<string, string>>;
  readonly #keeper: Deno.ChildProcess;
  #epmd: Deno.ChildProcess | undefined;
  #node: Deno.ChildProcess | undefined;
  #disposing: Promise<void> | undefined;

  private constructor(port: number, name: string, paths: Paths, realm: Realm, env: Record<string, string>) {
    this.port = port;
    this.nodename = `${name}@localhost`;
    this.#paths = paths;
    this.#realm = realm;
    this.#env = env;
    this.#keeper = new Deno.Command("sh", {
      args: ["-c", KEEPER, paths.root + paths.dir],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      // Of its own session, like all that is started here: Ctrl-C on the terminal must not reach it.
      detached: true,
    }).spawn();
  }

  /**
   * Starts a node and waits until AMQP answers.
   *
   * @throws {Error} If RabbitMQ is not installed or the node does not start; the message ends in the node's output.
   * @throws The signal's reason, when nothing is left of the node, if it is aborted.
   */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const { name = "rpc", port = freePort(), plugins = [], cluster, root = defaultRoot(), signal } = options;
    const config = [
      ...(Deno.env.get("RABBITMQ_CONFIG_LINES") ?? "").split("\n").filter(Boolean),
      ...options.config ?? [],
    ];
    const scripts = await findScripts(root);
    if (scripts === undefined) throw new SetupError(HOW_TO_INSTALL);
    const parent = root === "" ? undefined : `${root}${Deno.env.get("TMPDIR") ?? "/tmp"}`;
    if (parent !== undefined) await Deno.mkdir(parent, { recursive: true });
    const host = await Deno.makeTempDir({ prefix: "rabbitmq-", ...(parent === undefined ? {} : { dir: parent }) });
    const paths = { root, dir: host.slice(root.length), scripts };
    const { dir } = paths;
    const realm = cluster === undefined ? { epmdPort: freePort(), cookie: crypto.randomUUID() } : cluster.#realm;
    const env: Record<string, string> = {
      PATH: searchPath().join(":"),
      LANG: "C.UTF-8",
      HOME: dir,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      ERL_EPMD_PORT: String(realm.epmdPort),
      ERL_CRASH_DUMP_BYTES: "0",
      RABBITMQ_NODENAME: `${name}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(freePort()),
      // The default range has room for eleven rabbitmqctl at once on the whole machine.
      RABBITMQ_CTL_DIST_PORT_MIN: "33000",
      RABBITMQ_CTL_DIST_PORT_MAX: "65000",
      RABBITMQ_CTL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
      RABBITMQ_PID_FILE: `${dir}/pid`,
      RABBITMQ_MNESIA_BASE: `${dir}/data`,
      RABBITMQ_LOG_BASE: `${dir}/log`,
      RABBITMQ_SCHEMA_DIR: `${dir}/schema`,
      RABBITMQ_ENABLED_PLUGINS_FILE: `${dir}/enabled_plugins`,
      RABBITMQ_CONF_ENV_FILE: `${dir}/env.conf`,
      RABBITMQ_CONFIG_FILE: `${dir}/rabbitmq.conf`,
      RABBITMQ_CONFIG_FILES: `${dir}/conf.d`,
      RABBITMQ_ADVANCED_CONFIG_FILE: `${dir}/advanced.config`,
      // The server's script then becomes the node, instead of keeping a shell beside it.
      detached: "1",
    };
    await Deno.writeTextFile(`${host}/pids`, "");
    await Deno.writeTextFile(`${host}/env.conf`, "");
    await Deno.writeTextFile(`${host}/enabled_plugins`, `[${plugins.join(",")}].\n`);
    if (config.length > 0) {
      await Deno.writeTextFile(
        `${host}/rabbitmq.conf`,
        config.map((line) => `${line}\n`).join(""),
      );
    }
    await Deno.writeTextFile(`${host}/.erlang.cookie`, realm.cookie, { mode: 0o400 });
    if (plugins.length === 0) Object.assign(env, await hidePlugins(paths));

    await writeCtl(paths, env);

    const broker = new Broker(port, name, paths, realm, env);
    const abort = (): void => void broker[Symbol.asyncDispose]();
    signal?.addEventListener("abort", abort);
    try {
      signal?.throwIfAborted();
      if (cluster === undefined) await broker.#startEpmd();
      await broker.startAgain();
      if (cluster !== undefined) {
        await broker.ctl("stop_app");
        await broker.ctl("join_cluster", cluster.nodename);
        await broker.ctl("start_app");
      }
      signal?.throwIfAborted();
    } catch (error) {
      await broker[Symbol.asyncDispose]();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    return broker;
  }

  /** The URL of the default virtual host. */
  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.port}`;
  }

  /** The process id of the node; undefined while it is stopped. */
  get pid(): number | undefined {
    return this.#node?.pid;
  }

  /** A script that runs `rabbitmqctl` against the node, for people. */
  get ctlScript(): string {
    return ctlScript(this.#paths);
  }

  /** Settles when the node has ended, however that came. */
  get ended(): Promise<unknown> {
    return this.#node?.status ?? Promise.resolve();
  }

  /** What the node has written to its log. */
  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.#paths.root}${this.#paths.dir}/log/${this.nodename}.log`);
  }

  /** Starts a stopped or killed node over the data that it has, and waits until AMQP answers. */
  async startAgain(): Promise<void> {
    this.#assertThere();
    const { dir, root, scripts } = this.#paths;
    const out = `${dir}/out.log`;
    const node = this.#command("sh", ["-c", 'exec "$0" >"$1" 2>&1', `${scripts}/rabbitmq-server`, out], "null").spawn();
    this.#node = node;
    this.#writePids();
    let ended = false;
    node.status.then(() => ended = true);
    const deadline = Date.now() + START_TIMEOUT;
    // AMQP answers some 50 ms before the node has done all its steps.
    while (!await answers(this.url) || await this.eval("rabbit:is_running()") !== "true") {
      this.#assertThere();
      if (ended || Date.now() > deadline) {
        await this.kill();
        const reason = ended ? "it exited" : `it did not answer on port ${this.port} within ${START_TIMEOUT} ms`;
        throw new SetupError(`Cannot start RabbitMQ: ${reason}\n${await Deno.readTextFile(`${root}${out}`)}`);
      }
      await sleep(20);
    }
  }

  /** Stops the node gracefully; its data stays. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Kills the node, as a crash of the machine would. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Stops the node gracefully and starts it again. */
  async restart(): Promise<void> {
    await this.stop();
    await this.startAgain();
  }

  /** Freezes the node: it stays connected and says nothing. */
  pause(): void {
    this.#signal("SIGSTOP");
  }

  /** Lets a frozen node go on. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /**
   * Runs `rabbitmqctl`.
   *
   * @returns What it printed.
   * @throws {Error} If it fails; the message has what it said.
   */
  async ctl(...args: string[]): Promise<string> {
    return await this.#run(`${this.#paths.scripts}/rabbitmqctl`, ["-q", ...args]);
  }

  /**
   * Evaluates Erlang expressions on the node, in a few milliseconds where `erl_call` is installed.
   *
   * @param code For example `rabbit_alarm:clear_alarm({resource_limit, memory, node()})`.
   * @returns The value, as Erlang prints it.
   */
  async eval(code: string): Promise<string> {
    if (await which("erl_call", this.#paths.root) === undefined) return (await this.ctl("eval", `${code}.`)).trim();
    const script = 'printf "%s.\\n" "$1" | erl_call -r -n "$0" -e';
    const text = await this.#run("sh", ["-c", script, this.nodename, code]);
    const value = /^\{ok, (.*)\}$/s.exec(text.trim())?.[1];
    if (value === undefined) throw new Error(`Cannot evaluate '${code}': ${text}`);
    return value;
  }

  /** Evaluates Erlang expressions on the node, and gives the value as Erlang's shell shows it, on one line. */
  async show(code: string): Promise<string> {
    const text = await this.eval(`Shown = begin ${code} end, lists:flatten(io_lib:format("~0p", [Shown]))`);
    return text.replace(/^"|"$/g, "").replace(/\\(.)/g, "$1");
  }

  /** Makes a virtual host that guest may use. */
  async vhost(name: string): Promise<string> {
    const all = '<<".*">>, <<".*">>, <<".*">>';
    await this.eval(`rabbit_vhost:add(<<"${name}">>, <<"lab">>)`);
    await this.eval(`rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, ${all}, <<"lab">>)`);
    return `${this.url}/${encodeURIComponent(name)}`;
  }

  /** Kills the node and deletes its data. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposing ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    await this.#keeper.stdin.close();
    await Promise.all([this.#keeper.status, this.#node?.status, this.#epmd?.status]);
    this.#node = undefined;
  }

  /** What is started now would outlive its folder. */
  #assertThere(): void {
    if (this.#disposing !== undefined) throw new Error(`Cannot start '${this.nodename}': it was disposed of`);
  }

  #command(program: string, args: string[], output: "null" | "piped"): Deno.Command {
    const { root } = this.#paths;
    return new Deno.Command(root ? "chroot" : program, {
      args: root ? [root, program, ...args] : args,
      env: this.#env,
      clearEnv: true,
      stdin: "null",
      stdout: output,
      stderr: output,
      detached: true,
    });
  }

  async #run(program: string, args: string[]): Promise<string> {
    const { success, stdout, stderr } = await this.#command(program, args, "piped").output();
    const text = new TextDecoder().decode(stdout);
    if (success) return text;
    throw new Error(`Cannot run '${program} ${args.join(" ")}': ${new TextDecoder().decode(stderr) || text}`);
  }

  /** Nodes would start one themselves, and leave it behind. */
  async #startEpmd(): Promise<void> {
    this.#assertThere();
    const port = this.#realm.epmdPort;
    this.#epmd = this.#command("epmd", ["-port", `${port}`, "-address", "127.0.0.1"], "null").spawn();
    this.#writePids();
    for (;;) {
      try {
        return (await Deno.connect({ port })).close();
      } catch (error) {
        if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        this.#assertThere();
        await sleep(5);
      }
    }
  }

  #writePids(): void {
    const pids = [this.#epmd?.pid, this.#node?.pid].filter((pid) => pid !== undefined);
    Deno.writeTextFileSync(`${this.#paths.root}${this.#paths.dir}/pids`, pids.map((pid) => `${pid}\n`).join(""));
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const node = this.#node;
    if (node === undefined) return;
    this.#signal("SIGCONT");
    this.#signal(signal);
    await node.status;
    this.#node = undefined;
    this.#writePids();
  }

  #signal(signal: Deno.Signal): void {
    if (this.#node === undefined) throw new Error(`Cannot send ${signal} to '${this.nodename}': it is not running`);
    try {
      // The whole group: the node has helper processes.
      Deno.kill(signal === "SIGTERM" ? this.#node.pid : -this.#node.pid, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function ctlScript({ root, dir }: Paths): string {
  return `${root}${dir}/rabbitmqctl`;
}

/** Writes the script that runs `rabbitmqctl` in the node's environment. */
async function writeCtl(paths: Paths, env: Readonly<Record<string, string>>): Promise<void> {
  const { root, scripts } = paths;
  const words = [
    ...(root === "" ? [] : ["chroot", root]),
    "env",
    "-i",
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    `${scripts}/rabbitmqctl`,
  ];
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  await Deno.writeTextFile(ctlScript(paths), `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`, { mode: 0o700 });
}

/** Halves the time of a start: gives the node a folder like RabbitMQ's own, without the plugins that are not enabled. */
async function hidePlugins({ root, dir, scripts }: Paths): Promise<Record<string, string>> {
  const env = await Deno.realPath(`${root}${scripts}/rabbitmq-env`);
  const home = env.slice(root.length, env.lastIndexOf("/sbin/"));
  const slim = `${root}${dir}/slim`;
  await Deno.mkdir(`${slim}/plugins`, { recursive: true });
  for (const name of ["sbin", "escript"]) await Deno.symlink(`${home}/${name}`, `${slim}/${name}`);
  for await (const { name } of Deno.readDir(`${root}${home}/plugins`)) {
    if (name.startsWith("rabbitmq_") && !name.startsWith("rabbitmq_prelaunch")) continue;
    await Deno.symlink(`${home}/plugins/${name}`, `${slim}/plugins/${name}`);
  }
  return { RABBITMQ_SCRIPTS_DIR: `${dir}/slim/sbin` };
}
