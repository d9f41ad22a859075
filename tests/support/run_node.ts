/**
 * `deno task test:node`: the core of the tests on Node, and a program that uses the package on Node and Bun, which are
 * taken from npm, against a private broker. Arguments are test files, which are run instead.
 *
 * @module
 */

import { Broker, interruption } from "./broker.ts";
import { ensureRabbitMQ, runScript } from "./install.ts";
import { BUN_VERSION, installBun, installNode, NODE_VERSIONS } from "./npm.ts";
import { npmProject } from "./npm_package.ts";

/** How long the program of a user may take, in ms. */
const PATIENCE = 60_000;

/** Results, errors, deadlines, cancels, services, and links that are cut. */
const CORE = [
  "call",
  "errors",
  "deadline",
  "cancel",
  "service",
  "interceptors",
  "nested_calls",
  "redelivery",
  "bodies",
  "hostile_messages",
]
  .map((name) => `tests/live/${name}_test.ts`);

/** Runs the program of a user of the package on each runtime. */
async function runPackage(url: string, signal: AbortSignal): Promise<void> {
  await using project = await npmProject();
  const runtimes = [{ name: `Bun ${BUN_VERSION}`, program: await installBun() }];
  for (const version of NODE_VERSIONS) {
    runtimes.unshift({ name: `Node ${version}`, program: (await installNode(version)).node });
  }
  for (const { name, program } of runtimes) {
    console.log(`The package on ${name}`);
    const command = new Deno.Command(program, {
      args: ["package.mjs"],
      cwd: project.folder,
      env: { AMQP_URL: url },
      stdin: "null",
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
    });
    if (!(await command.spawn().status).success) Deno.exitCode = 1;
  }
}

async function main(): Promise<void> {
  const stop = interruption();
  Deno.chdir(new URL("../../", import.meta.url));
  await ensureRabbitMQ();
  await using broker = await Broker.start();
  if (Deno.args.length === 0) await runPackage(broker.url, stop);
  for (const version of NODE_VERSIONS) {
    const { node, polyfill } = await installNode(version);
    console.log(`Node ${version}`);
    const preloaded = [polyfill, "./tests/node/hooks.mjs", "./tests/node/deno.mjs"].flatMap((
      file,
    ) => ["--import", file]);
    const { code } = await new Deno.Command(node, {
      // One file at a time: they share one broker, and some of them load it.
      args: [
        ...preloaded,
        "--test",
        "--test-concurrency=1",
        "--test-reporter=spec",
        ...Deno.args.length > 0 ? Deno.args : CORE,
      ],
      env: { AMQP_URL: broker.url },
      stdin: "null",
      signal: stop,
    }).spawn().status;
    if (code !== 0) Deno.exitCode = 1;
    if (stop.aborted) break;
  }
}

await runScript(main);
