/**
 * `deno task demo`: a broker if none answers, the server, and the client that calls it.
 *
 * @module
 */

import { answers, Broker, DEFAULT_URL, hostAndPort, interruption } from "./broker.ts";
import { ensureRabbitMQ, runScript } from "./install.ts";

/** What the server prints when it consumes. */
const READY = "[x] Awaiting RPC requests";

interface Server extends AsyncDisposable {
  /** Settles when the server serves, or has ended instead. */
  readonly ready: Promise<boolean>;
}

function command(args: string[], url: string, signal: AbortSignal, stdout: "piped" | "inherit"): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    // Without --quiet Deno's download bar erases on a terminal what the script has printed.
    args: ["run", "--quiet", "--allow-net", "--allow-env", ...args],
    cwd: new URL("../../", import.meta.url),
    env: { AMQP_URL: url },
    stdin: "null",
    stdout,
    signal,
  });
}

function startServer(url: string, signal: AbortSignal): Server {
  const child = command(["server.ts"], url, signal, "piped").spawn();
  const { promise: ready, resolve } = Promise.withResolvers<boolean>();
  async function pass(): Promise<void> {
    let seen = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      await Deno.stdout.write(new TextEncoder().encode(text));
      seen += text;
      if (seen.includes(READY)) resolve(true);
    }
    resolve(false);
  }
  const passed = pass();
  return {
    ready,
    async [Symbol.asyncDispose](): Promise<void> {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended by itself.
      }
      await Promise.all([passed, child.status]);
    },
  };
}

async function callServer(url: string, stop: AbortSignal): Promise<number> {
  await using server = startServer(url, stop);
  if (!await server.ready) return 1;
  return (await command(["client.ts", "30"], url, stop, "inherit").spawn().status).code;
}

async function demo(stop: AbortSignal): Promise<number> {
  const url = Deno.env.get("AMQP_URL") || DEFAULT_URL;
  if (await answers(url)) {
    console.error(`Using the broker at ${hostAndPort(url)}`);
    return await callServer(url, stop);
  }
  await ensureRabbitMQ();
  console.error(`No broker answers at ${hostAndPort(url)}: starting a private one`);
  await using broker = await Broker.start();
  return stop.aborted ? 1 : await callServer(broker.url, stop);
}

await runScript(async () => {
  Deno.exitCode = await demo(interruption());
});
