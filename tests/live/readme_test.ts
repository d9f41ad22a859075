import { assert, assertEquals } from "@std/assert";
import { collector } from "../support/collector.ts";
import { freePort } from "../support/ports.ts";
import { live, waitFor } from "../support/live.ts";
import { PLAIN, type Script, start } from "../support/script.ts";
import {
  type Block,
  blocksOf,
  fileName,
  isPrinted,
  masked,
  PAGES,
  type Project,
  readReadme,
  startOf,
  type Step,
  stepsOf,
  writeProject,
} from "../support/readme.ts";

/** Commands that no test can run, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  "deno add jsr:@rabbitmq-rpc/rpc npm:zod": "it asks registries, of which one is out of reach where the tests run",
};

/** What runs until it is interrupted. */
const SERVER = /deno (?:task (?:broker|server)|run .*server\.ts)/;

// Reads the pages: ignored by a plain "deno test".
const ignore = Deno.permissions.querySync({ name: "read" }).state !== "granted";

/** A broker has to start. */
const PATIENCE = 60_000;

/** Deno's own lines before a task, which say what it runs. */
const TASK_LINE = /^Task \w+ .*\n/gm;

interface Server {
  readonly command: string;
  readonly script: Script;
}

/** What is on the terminals of a reader. */
class Terminals implements AsyncDisposable {
  readonly #project: Project;
  readonly #env: Record<string, string>;
  readonly #bin: string;
  readonly #ports = new Map([["8080", `${freePort()}`]]);
  #broker: Server | undefined;
  #servers: Server[] = [];

  constructor(project: Project, bin: string, env: Record<string, string>) {
    this.#project = project;
    this.#bin = bin;
    // Nobody listens there until the reader starts a broker.
    this.#env = { ...env, PATH: `${bin}:${Deno.env.get("PATH")}`, AMQP_URL: `amqp://127.0.0.1:${freePort()}` };
  }

  /** The URL of the reader's broker. */
  get url(): string {
    return this.#env["AMQP_URL"] ?? "";
  }

  async run(step: Step, where: string): Promise<void> {
    if (step.command in LEFT_OUT) return;
    const command = step.command === "deno task broker"
      ? `${step.command} --port ${freePort()}`
      : this.#local(step.command);
    // One stream, as on a terminal. In the folder of the reader's project there are a server.ts and a client.ts too.
    const folder = /deno run/.test(command) ? `cd ${this.#project.folder} && ` : "";
    const script = start(["sh", "-c", `exec 2>&1; ${folder}exec env ${command}`], this.#env);
    if (!SERVER.test(command)) {
      const { code, stdout } = await script.ended();
      compare(step.output, stdout, true, where);
      assertEquals(code, 0, `${where} ended with ${code}`);
      return;
    }
    const server = { command, script };
    if (/task broker/.test(command)) this.#broker = server;
    else this.#servers.push(server);
    assert(step.output.length > 0, `${where}: what a server prints says when it is ready`);
    await settled(script, step.output, where);
    if (server === this.#broker) await this.#use(script.stdout);
  }

  /** Compares all that the last server has printed. */
  async hasPrinted(block: Block, where: string): Promise<void> {
    const { script } = this.#servers.at(-1) ?? {};
    assert(script !== undefined, `${where}: no server has printed it`);
    await settled(script, block.code.trimEnd().split("\n"), where);
  }

  /** Ctrl-C in the terminals of the servers. */
  async interruptServers(): Promise<void> {
    for (const server of this.#servers.splice(0)) await interrupt(server);
  }

  /** Takes ports that are free here. */
  #local(command: string): string {
    let local = command;
    for (const [port, own] of this.#ports) local = local.replace(new RegExp(`\\b${port}\\b`), own);
    return local;
  }

  /** The broker says at which URL it answers, and which rabbitmqctl is for it. */
  async #use(output: string): Promise<void> {
    const [, url = ""] = /^RabbitMQ answers at (\S+)$/m.exec(output) ?? [];
    const [, ctl = ""] = /^ {2}(\S+) list_queues/m.exec(output) ?? [];
    this.#env["AMQP_URL"] = url;
    await Deno.symlink(ctl, `${this.#bin}/rabbitmqctl`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = [...this.#servers, ...this.#broker === undefined ? [] : [this.#broker]];
    for (const { script } of left) {
      try {
        script.kill("SIGINT");
      } catch {
        // It has ended by itself.
      }
      await script.ended();
    }
  }
}

async function interrupt({ command, script }: Server): Promise<void> {
  script.kill("SIGINT");
  const { code, stdout } = await script.ended();
  assertEquals(code, 0, `${command} ended with ${code}:\n${stdout}`);
}

function compare(expected: readonly string[], stdout: string, whole: boolean, where: string): void {
  const printed = stdout.replace(TASK_LINE, "");
  // Where the README shows nothing, nothing may be printed either.
  if (!isPrinted(expected, printed, whole)) assertEquals(masked(printed), masked(`${expected.join("\n")}\n`), where);
}

/** Waits until a program that still runs has printed what it should. */
async function settled(script: Script, expected: readonly string[], where: string): Promise<void> {
  const done = (): boolean => isPrinted(expected, script.stdout.replace(TASK_LINE, ""), false);
  await Promise.race([waitFor(`${where} is printed`, done, PATIENCE), script.ended()]).catch(() => {});
  compare(expected, script.stdout, false, where);
}

/** What a program says in comments that it prints: behind `console.log(...);`. */
function commented(code: string): string[] {
  return Array.from(code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm), (match) => match[1] ?? "");
}

async function deno(args: string[], cwd: string | URL, env: Record<string, string> = {}): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env: { ...PLAIN, ...env }, stdin: "null" });
  const { success, stdout, stderr } = await command.output();
  assert(success, `deno ${args.join(" ")}:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

for (const page of PAGES) {
  live(`Every block of ${page} is run from top to bottom, and prints what the page says`, { run: true }, async () => {
    const blocks = blocksOf(await readReadme(page));
    await using project = await writeProject(blocks);
    await using collecting = collector();
    await using bin = {
      path: await Deno.makeTempDir(),
      [Symbol.asyncDispose]: () => Deno.remove(bin.path, { recursive: true }),
    };
    await Deno.symlink(Deno.execPath(), `${bin.path}/deno`);
    const { OTEL_EXPORTER_OTLP_ENDPOINT = "", OTEL_EXPORTER_OTLP_PROTOCOL = "" } = collecting.env("");
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL };
    await using terminals = new Terminals(project, bin.path, env);
    await deno(["check", "--quiet", ...project.files.keys()], project.folder);

    const commands: string[] = [];
    for (const block of blocks) {
      const where = `${page}:${block.line}`;
      if (block.info === "sh") {
        const steps = stepsOf(block);
        if (steps.some(({ command }) => SERVER.test(command))) await terminals.interruptServers();
        for (const step of steps) {
          commands.push(step.command);
          await terminals.run(step, `${where}: ${step.command}`);
        }
      } else if (block.info === "text") {
        await terminals.hasPrinted(block, where);
      } else if (block.info === "ts") {
        const name = `block_${block.line}.ts`;
        await Deno.writeTextFile(`${project.folder}/${name}`, block.code);
        await deno(["check", "--quiet", name], project.folder);
        const printed = await deno(["run", "--quiet", "-A", name], project.folder, { AMQP_URL: terminals.url });
        assertEquals(printed.split("\n").slice(0, -1), commented(block.code), where);
      } else if (block.info !== "ts ignore" || fileName(block) === undefined) {
        throw new Error(`${where}: no test runs a block of "${block.info}"`);
      }
    }
    await terminals.interruptServers();

    // A file is run by a command, or imported by one that is.
    const code = Array.from(project.files.values()).join("");
    for (const name of project.files.keys()) {
      const isUsed = code.includes(`"./${name}"`) || commands.some((command) => command.endsWith(` ${name}`));
      assert(isUsed, `No command of ${page} runs ${name}`);
    }
    for (const command of Object.keys(LEFT_OUT)) assert(commands.includes(command), `${page} has no "${command}"`);
    const services = new Set(collecting.spans.map(({ service }) => service));
    const named = commands.flatMap((command) => /OTEL_SERVICE_NAME=(\S+)/.exec(command)?.[1] ?? []);
    assertEquals(services, new Set(named), "The commands with OTEL_DENO export spans");
  });
}

Deno.test("The pages start with the same commands, which print the same", { ignore }, async () => {
  const [english, chinese] = await Promise.all(PAGES.map(async (page) => {
    return blocksOf(startOf(await readReadme(page))).flatMap(stepsOf);
  }));
  assert((english ?? []).length > 5);
  assertEquals(chinese, english);
});

Deno.test("blocksOf() finds the blocks in lists too, and stepsOf() the commands and what they print", () => {
  const [first, second] = blocksOf(
    "```sh\n# a comment\none\n# =>  1\n# =>\n\ntwo\n```\n- list\n  ```ts ignore\n  a\n    b\n  ```\n",
  );
  assertEquals(first && stepsOf(first), [{ command: "one", output: [" 1", ""] }, { command: "two", output: [] }]);
  assertEquals(second, { info: "ts ignore", code: "a\n  b\n", line: 10 });
});

Deno.test("isPrinted() compares every line, but not times, ids and ports", () => {
  const at = (text: string): string => `${text} localhost:5672`;
  assertEquals(isPrinted([at("2026-11-26T14:38:17.437Z in")], `2027-01-02T03:04:05.678Z in 127.0.0.1:9\n`, true), true);
  assertEquals(isPrinted(["a", "b"], "a\nb\n", true), true);
  assertEquals(isPrinted(["a", "b"], "a\nc\n", true), false);
  assertEquals(isPrinted(["a"], "a\nb\n", true), false);
  assertEquals(isPrinted(["a"], "a\nb\n", false), true);
  assertEquals(isPrinted(["a"], "aa\n", false), false);
  assertEquals(isPrinted([], "a\n", true), false);
  assertEquals(isPrinted(["a", "...", "z"], "a\nb\nc\nz\n", true), true);
  assertEquals(isPrinted(["a, ..."], "a, b\n", true), true);
  assertEquals(isPrinted(["a.b"], "axb\n", true), false);
});
