/**
 * `deno task test:node`: the core of the tests on Node, which is taken from npm, against a private broker. Arguments are
 * test files.
 *
 * @module
 */

import { Broker, interruption } from "./broker.ts";
import { ensureRabbitMQ, runScript } from "./install.ts";
import { installNode, NODE_VERSIONS } from "./npm.ts";

/** Results, errors, deadlines, cancels, services, and links that are cut. */
const CORE = ["call", "errors", "deadline", "cancel", "service", "redelivery", "bodies", "hostile_messages"]
  .map((name) => `tests/live/${name}_test.ts`);

async function main(): Promise<void> {
  const stop = interruption();
  Deno.chdir(new URL("../../", import.meta.url));
  await ensureRabbitMQ();
  await using broker = await Broker.start();
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
