/**
 * What the README shows an operator: `rpc top`, and the walk through what goes wrong, on a broker of its own.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Broker } from "../support/broker.ts";
import { clearAlarm, permitted, raiseAlarm } from "../support/lab.ts";
import { deleteQueue, waitFor } from "../support/live.ts";
import { readReadme } from "../support/readme.ts";
import { differenceOf, type Sample, samplesOf, shapeOf } from "../support/readme_samples.ts";
import { denoArgs, type Script, start } from "../support/script.ts";

const QUEUE = "rpc_queue";
const PATIENCE = 30_000;

/** How often a command is run at most, until it prints what the README shows: chance decides which calls fail, and how. */
const RUNS = 5;

/** Deno's own lines before a task, which say what it runs. */
const TASK_LINE = /^Task \w+ .*\n/gm;

/** Runs a server until it is killed; its stdout has its stderr too. */
async function server(url: string, args: string): Promise<Script> {
  const script = start(["sh", "-c", `exec 2>&1; exec "$@"`, "sh", ...denoArgs("server.ts", ...args.split(" "))], {
    AMQP_URL: url,
  });
  await script.printed(" [x] Awaiting RPC requests\n");
  return script;
}

/** Runs the commands of the README on a terminal of their own. */
class Terminal implements AsyncDisposable {
  readonly #url: string;
  readonly #bin = Deno.makeTempDirSync();

  constructor(url: string) {
    this.#url = url;
    Deno.symlinkSync(Deno.execPath(), `${this.#bin}/deno`);
  }

  start({ command = "" }: Sample): Script {
    const env = { AMQP_URL: this.#url, PATH: `${this.#bin}:${Deno.env.get("PATH")}` };
    return start(["sh", "-c", `exec 2>&1; exec env ${command}`], env);
  }

  /** Runs a command until it prints what the README shows. */
  async run(sample: Sample): Promise<void> {
    for (let run = 1;; run++) {
      await using script = this.start(sample);
      const lines = linesOf((await script.ended()).stdout);
      if (isSame(sample, lines)) return;
      if (run === RUNS) compare(sample, lines);
    }
  }

  /** Runs a command once, and compares what it prints when `fault` is done while it runs. */
  async runWith(fault: () => Promise<void>, sample: Sample): Promise<void> {
    await using script = this.start(sample);
    await fault();
    compare(sample, linesOf((await script.ended()).stdout));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#bin, { recursive: true });
  }
}

function linesOf(output: string): string[] {
  return output.replace(TASK_LINE, "").split("\n");
}

function isSame({ lines }: Sample, printed: readonly string[]): boolean {
  const { missing, more } = differenceOf(lines, printed);
  return missing.length === 0 && more.length === 0;
}

function compare({ line, lines }: Sample, printed: readonly string[]): void {
  const nothing = { missing: [], more: [] };
  assertEquals(differenceOf(lines, printed), nothing, `README.md:${line}: it was\n${printed.join("\n")}`);
}

/** Waits until a server has begun so many more requests. */
async function hasBegun(script: Script, requests: number): Promise<void> {
  const begun = (): number => script.stdout.split("[.] fib(").length;
  const before = begun();
  await waitFor(`${requests} requests have begun`, () => begun() >= before + requests, PATIENCE);
}

/** A slow server among three. */
async function compareTop(top: Sample, url: string): Promise<void> {
  await using _queue = { [Symbol.asyncDispose]: () => deleteQueue(url, QUEUE) };
  await using _one = await server(url, "--name web-1 --prefetch 4 --delay 20ms");
  await using _two = await server(url, "--name web-2 --prefetch 4 --delay 20ms");
  await using _slow = await server(url, "--name web-3 --prefetch 4 --delay 200ms");
  const rpc = (...args: string[]): Script => start(denoArgs("lib/cli.ts", ...args, "--url", url));
  await using calling = rpc("call", QUEUE, "30", "--count", "1000000", "--concurrency", "6");
  await calling.printed("832040\n");
  // Not as a task: a signal that only the task runner gets may not reach what it runs.
  assertEquals(top.command, `deno task rpc top ${QUEUE}`);
  await using script = rpc("top", QUEUE);
  const frames = (): string[][] => {
    return script.stdout.split(`${QUEUE}: `).slice(1, -1).map((frame) => `${QUEUE}: ${frame}`.split("\n"));
  };
  // The first frame has no rates yet, and in others a server may have nothing to do.
  const shown = (): string[] | undefined => frames().find((frame) => isSame(top, frame));
  await waitFor("a frame is as in the README", shown, PATIENCE).catch(() => {});
  compare(top, shown() ?? frames().at(-1) ?? []);
  script.kill("SIGINT");
  assertEquals((await script.ended()).code, 0);
}

/** All is well, then a server is killed, the broker restarted, the queue full, and the broker low on memory. */
async function compareWalk(walk: readonly Sample[], terminal: Terminal, broker: Broker): Promise<void> {
  const [load, killed, info, restarted, full, overloaded, low, room, ...more] = walk;
  assert(load && killed && info && restarted && full && overloaded && low && room && more.length === 0);
  const args = "--delay 20ms --prefetch 2 --max-length 50 --log text --name";
  await using first = await server(broker.url, `${args} server-a`);
  await using second = await server(broker.url, `${args} server-b`);

  await terminal.run(load);
  await terminal.runWith(async () => {
    await hasBegun(second, 20);
    second.kill("SIGKILL");
  }, killed);
  await terminal.run(info);

  await using _again = await server(broker.url, `${args} server-b`);
  await terminal.runWith(async () => {
    await hasBegun(first, 20);
    await broker.restart();
  }, restarted);

  await terminal.run(full);
  compare(overloaded, first.stdout.split("\n").filter((line) => line.includes("Overloaded")));

  await raiseAlarm(broker);
  await terminal.run(low);
  await clearAlarm(broker);
  await terminal.run(room);
}

Deno.test("The samples of the README are what an operator sees", { ignore: !permitted }, async () => {
  const [top, ...walk] = samplesOf(await readReadme());
  await using broker = await Broker.start();
  await using terminal = new Terminal(broker.url);
  assert(top !== undefined);
  await compareTop(top, broker.url);
  await compareWalk(walk, terminal, broker);
});

Deno.test("samplesOf() finds commands and what they print", () => {
  assertEquals(samplesOf("text\n<pre>\n$ one\na\n\nb\n$ two\n</pre>\n$ not\n<pre>\nc\n</pre>\n"), [
    { command: "one", lines: ["a", "b"], line: 3 },
    { command: "two", lines: [], line: 7 },
    { command: undefined, lines: ["c"], line: 11 },
  ]);
});

Deno.test("shapeOf() masks figures, ids and hosts, but no names and words", () => {
  const line = "web-1 Call 12: 1,234 ok in 1.5 ms, p50  3 s at localhost:5672 (fib(30))";
  assertEquals(shapeOf(line), "web-1 Call N: N ok in DURATION, p50 DURATION at HOST:PORT (fib(N))");
  assertEquals(shapeOf("2 calls in 1 s: 9 ok, 1 a; 2/s"), shapeOf("9 calls in 2 ms: 5 a, 1 ok; 1,000/s"));
});

Deno.test("differenceOf() tells what the README shows too much, and too little", () => {
  assertEquals(differenceOf(["a 1", "b ... d"], ["a 2", "", "b c 3 d", "a 4"]), { missing: [], more: [] });
  assertEquals(differenceOf(["a 1", "b"], ["a 2", "c 3"]), { missing: ["b"], more: ["c N"] });
});
