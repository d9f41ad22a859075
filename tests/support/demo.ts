/**
 * `deno task demo`: a broker if none answers, the server, and the client that calls it.
 *
 * @module
 */

import { answers, Broker, DEFAULT_URL, hostAndPort, interruption } from "./broker.ts";
import { ensureRabbitMQ, runScript } from "./install.ts";

/** What the server prints when it consumes. */
const READY = "[x] Awaiting RPC requests";

/** What the client prints last. */
const RESULT = " [.] Got";

interface Server extends AsyncDisposable {
  /** Settles when the server serves, or has ended instead. */
  readonly ready: Promise<boolean>;
}

function command(args: string[], url: string, signal: AbortSignal): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    // Without --quiet Deno's download bar erases on a terminal what the script has printed.
    args: ["run", "--quiet", "--allow-net", "--allow-env", ...args],
    cwd: new URL("../../", import.meta.url),
    env: { AMQP_URL: url },
    stdin: "null",
    stdout: "piped",
    signal,
  });
}

async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(text));
}

/** Starts the server; what it prints of the request is printed when the client's part is, whichever pipe is faster. */
function startServer(url: string, signal: AbortSignal, requested: Promise<void>): Server {
  const child = command(["server.ts"], url, signal).spawn();
  const { promise: ready, resolve } = Promise.withResolvers<boolean>();
  async function pass(): Promise<void> {
    let seen = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (seen.includes(READY)) await requested;
      await print(text);
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

/** Runs the client; prints what it prints, and gives its exit code and the result, which is not printed yet. */
async function runClient(
  url: string,
  signal: AbortSignal,
  requested: () => void,
): Promise<{ code: number; result: string }> {
  const child = command(["client.ts", "30"], url, signal).spawn();
  let seen = "";
  let printed = 0;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    seen += text;
    const end = seen.includes(RESULT) ? seen.indexOf(RESULT) : seen.length;
    await print(seen.slice(printed, end));
    printed = end;
    requested();
  }
  return { code: (await child.status).code, result: seen.slice(printed) };
}

async function callServer(url: string, stop: AbortSignal): Promise<number> {
  let code = 1;
  let result = "";
  {
    stop.throwIfAborted();
    const { promise: requested, resolve } = Promise.withResolvers<void>();
    await using server = startServer(url, stop, requested);
    try {
      if (await server.ready && !stop.aborted) ({ code, result } = await runClient(url, stop, resolve));
    } finally {
      resolve();
    }
  }
  stop.throwIfAborted();
  // Not before the server has ended: what it prints comes through a pipe of its own, and may come later.
  await print(result);
  return code;
}

async function demo(stop: AbortSignal): Promise<number> {
  const url = Deno.env.get("AMQP_URL") || DEFAULT_URL;
  if (await answers(url)) {
    console.error(`Using the broker at ${hostAndPort(url)}`);
    return await callServer(url, stop);
  }
  await ensureRabbitMQ(stop);
  console.error(`No broker answers at ${hostAndPort(url)}: starting a private one`);
  await using broker = await Broker.start({ signal: stop });
  return await callServer(broker.url, stop);
}

await runScript(async () => {
  Deno.exitCode = await demo(interruption());
});
