/**
 * `deno task broker` and `deno task demo`, interrupted at any time: they end at once, and leave nothing behind.
 *
 * @module
 */

import { assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { defaultRoot } from "./install.ts";
import { permitted } from "./lab.ts";
import { waitFor } from "./live.ts";
import { freePort } from "./ports.ts";
import { type Script, start } from "./script.ts";

/** How long it may take to end, in ms, on a busy machine; a start alone takes longer. */
const AT_ONCE = 2_000;

/** A task's script with a folder of its own for what it writes. */
interface Task extends AsyncDisposable {
  readonly script: Script;
  /** Commands of the processes that run because of it, besides itself. */
  processes(): string[];
  /** The names in its folder. */
  files(): string[];
  /** How many nodes write a log. */
  logs(): number;
}

async function startTask(path: string, ...args: string[]): Promise<Task> {
  const folder = await Deno.makeTempDir({ prefix: "task-" });
  // Where the node writes, if it has a root of its own.
  const nodeFolder = `${defaultRoot()}${folder}`;
  await Deno.mkdir(nodeFolder, { recursive: true });
  const env = { TMPDIR: folder, AMQP_URL: `amqp://127.0.0.1:${freePort()}` };
  const script = start([Deno.execPath(), "run", "--quiet", "-A", path, ...args], env);
  const files = (): string[] => Array.from(Deno.readDirSync(nodeFolder), ({ name }) => name);
  return {
    script,
    files,
    logs: () => files().filter((name) => exists(`${nodeFolder}/${name}/log`)).length,
    processes: () => commandsWith(folder).filter((command) => !command.includes(path)),
    async [Symbol.asyncDispose]() {
      await script[Symbol.asyncDispose]();
      await Deno.remove(nodeFolder, { recursive: true });
      if (nodeFolder !== folder) await Deno.remove(folder, { recursive: true });
    },
  };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** The commands of processes that were given a path, as an argument or in their environment. */
function commandsWith(path: string): string[] {
  const commands: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const command = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      const environment = Deno.readTextFileSync(`/proc/${name}/environ`);
      if (command !== "" && `${command}${environment}`.includes(path)) commands.push(command);
    } catch {
      // It has ended meanwhile.
    }
  }
  return commands;
}

const options = { ignore: !permitted || Deno.build.os !== "linux" };

const MOMENTS: readonly (readonly [string, (task: Task) => unknown])[] = [
  ["it has begun", ({ script }) => script.stderr.includes("private one") || script.stderr.includes("Starting")],
  ["its folder is there", (task) => task.files().length > 0],
  ["its port mapper runs", (task) => task.processes().some((command) => /epmd/.test(command))],
  ["its node runs", (task) => task.processes().some((command) => /beam/.test(command))],
  ["its node has begun its log", (task) => task.logs() > 0],
];

for (const path of ["tests/support/run_broker.ts", "tests/support/demo.ts"]) {
  const args = path.includes("run_broker") ? ["--port", `${freePort()}`] : [];
  for (const [moment, reached] of MOMENTS) {
    for (const signal of moment === "its node runs" ? ["SIGINT", "SIGTERM"] as const : ["SIGINT"] as const) {
      Deno.test(
        `${path} ends at once with 130 on ${signal} when ${moment}, and leaves nothing behind`,
        options,
        async () => {
          await using task = await startTask(path, ...args);
          await waitFor(moment, () => reached(task), 30_000);
          const began = performance.now();
          task.script.kill(signal);
          const { code, stdout, stderr } = await task.script.ended();
          assertEquals([code, stdout], [130, ""], stderr);
          assertLess(performance.now() - began, AT_ONCE);
          await waitFor("nothing is left", () => task.files().length === 0 && task.processes().length === 0);
        },
      );
    }
  }
}

Deno.test("deno task broker prints a command that runs rabbitmqctl against it", options, async () => {
  await using task = await startTask("tests/support/run_broker.ts", "--port", `${freePort()}`);
  await task.script.printed("Ctrl-C stops it");
  const command = /^ {2}(\S+\/rabbitmqctl list_queues .*)$/m.exec(task.script.stdout)?.[1] ?? "";
  await using ctl = start(["sh", "-c", command]);
  const { code, stdout, stderr } = await ctl.ended();
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "Listing queues");
  task.script.kill("SIGINT");
  assertEquals((await task.script.ended()).code, 0);
  await waitFor("nothing is left", () => task.files().length === 0 && task.processes().length === 0);
});

Deno.test("deno task demo ends with 130 where it is interrupted while its client calls", options, async () => {
  await using task = await startTask("tests/support/demo.ts");
  await task.script.printed("[x] Awaiting RPC requests");
  task.script.kill("SIGINT");
  assertEquals((await task.script.ended()).code, 130);
  await waitFor("nothing is left", () => task.files().length === 0 && task.processes().length === 0);
});
