/**
 * `deno task test:node`: the core of the tests on Node, which is taken from npm, against a private broker. Arguments are
 * test files.
 *
 * @module
 */

import { Broker, interruption } from "./broker.ts";
import { ensureRabbitMQ, runScript, SetupError } from "./install.ts";

/** The oldest version that the library supports, and one of the newest. */
const VERSIONS = ["22.23.3", "26.12.1"];

/** What Node 22 lacks and the tests use: `AsyncDisposableStack`. */
const POLYFILL = { name: "disposablestack", version: "1.1.8" };

/** Results, errors, deadlines, cancels, services, and links that are cut. */
const CORE = ["call", "errors", "deadline", "cancel", "service", "redelivery", "bodies", "hostile_messages"]
  .map((name) => `tests/live/${name}_test.ts`);

/** Installs Node in a folder of its own. */
async function install(version: string): Promise<{ readonly node: string; readonly polyfill: string }> {
  const { os, arch } = Deno.build;
  const name = `node-${os}-${arch === "x86_64" ? "x64" : "arm64"}`;
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  const folder = `${cache}/rabbitmq-rpc/node-${version}`;
  await Deno.mkdir(folder, { recursive: true });
  const dependencies = { [name]: version, [POLYFILL.name]: POLYFILL.version };
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ dependencies }));
  await Deno.writeTextFile(`${folder}/deno.json`, "{}");
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["install", "--quiet"], cwd: folder })
    .output();
  if (!success) throw new SetupError(`Cannot install Node ${version} from npm: ${new TextDecoder().decode(stderr)}`);
  return {
    node: `${folder}/node_modules/${name}/bin/node`,
    polyfill: `${folder}/node_modules/${POLYFILL.name}/auto.js`,
  };
}

async function main(): Promise<void> {
  const stop = interruption();
  Deno.chdir(new URL("../../", import.meta.url));
  await ensureRabbitMQ();
  await using broker = await Broker.start();
  for (const version of VERSIONS) {
    const { node, polyfill } = await install(version);
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
