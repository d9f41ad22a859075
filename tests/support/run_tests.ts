/**
 * `deno task test`: the tests against a private broker, with none left out. Arguments go to `deno test`.
 *
 * @module
 */

import { Broker, interruption } from "./broker.ts";
import { ensureRabbitMQ, installPackages, runScript } from "./install.ts";
import { THOROUGH } from "./runs.ts";

/** The long tests, which have a task of their own. */
const FAULTS = "tests/faults/";

/** What may be missing on a machine; only a test that is named for it may then be left out. */
const PEER = "python3-pika";

/** Lets the assertions in the examples of the documentation fail. */
const STRICT = "tests/support/strict_console.ts";

/** Deno's closing line: `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2 steps) (4s)`. */
const SUMMARY =
  /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?: \(\d+ steps?\))?(?: \| (\d+) ignored(?: \((\d+) steps?\))?)?/gm;

const IGNORED = /^ *(\S.*?) \.\.\. ignored \(/gm;

/** What Deno quotes, such as another run of tests: what tests print, and the errors of those that failed. */
const QUOTED = /^-+ (?:[\w-]+ )?output -+$.*?-+ (?:[\w-]+ )?output end -+$|^ ERRORS $.*/gms;

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function ensurePeer(): Promise<void> {
  try {
    // Debian's packages are for Debian's Python, which may not be the first on the PATH.
    const { success } = await new Deno.Command("/usr/bin/python3", { args: ["-c", "import pika"] }).output();
    if (success) return;
  } catch {
    // No Python either.
  }
  try {
    await installPackages([PEER]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
}

async function runTests(url: string, args: string[], signal: AbortSignal): Promise<{ code: number; text: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", `--preload=${STRICT}`, ...args],
    env: { AMQP_URL: url, [THOROUGH]: "1" },
    stdin: "null",
    stdout: "piped",
    // On a terminal Deno's download bar erases what tests have printed; --quiet would leave out their output.
    stderr: "piped",
    signal,
  }).spawn();
  const errors = child.stderr.pipeTo(Deno.stderr.writable, { preventClose: true });
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(part));
    text += part;
  }
  await errors;
  // deno-lint-ignore no-control-regex
  return { code: (await child.status).code, text: text.replace(/\x1b\[[\d;]*m/g, "") };
}

/** Says what came of it, in a last line for machines and people. */
function summarize(code: number, text: string): boolean {
  const summary = Array.from(text.matchAll(SUMMARY)).at(-1);
  const names = Array.from(text.replace(QUOTED, "").matchAll(IGNORED), (match) => match[1] ?? "");
  const skipped = names.filter((name) => name.includes(PEER));
  const passed = Number(summary?.[1] ?? 0);
  // Counted by Deno: a name may be missing where a test prints what looks like the end of its output.
  const missed = Number(summary?.[3] ?? 0) + Number(summary?.[4] ?? 0) - skipped.length;
  let failed = Number(summary?.[2] ?? 0) + Math.max(0, missed);
  if (failed === 0 && code !== 0) failed = 1;
  if (failed === 0 && passed === 0) {
    console.log("No test ran");
    failed = 1;
  }
  for (const name of names.filter((name) => !skipped.includes(name))) {
    console.log(`Ignored, but every test must run: ${name}`);
  }
  for (const name of skipped) console.log(`Skipped: ${name}`);
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`);
  return failed === 0;
}

async function main(): Promise<void> {
  const stop = interruption();
  Deno.chdir(new URL("../../", import.meta.url));
  const chosen = (await Promise.all(Deno.args.map(exists))).includes(true);
  const all = ["--doc", `--ignore=${FAULTS}`, "tests/", "lib/", "README.md"];
  await ensureRabbitMQ(stop);
  await ensurePeer();
  await using broker = await Broker.start({ signal: stop });
  console.log(`RabbitMQ ${(await broker.eval("rabbit_misc:version()")).replaceAll('"', "")}`);
  const { code, text } = await runTests(broker.url, [...(chosen ? [] : all), ...Deno.args], stop);
  if (!summarize(code, text)) Deno.exitCode = 1;
}

await runScript(main);
