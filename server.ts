import {
  type Args,
  asUsage,
  brokerUrl,
  EXIT,
  parseCommandLine,
  parseDuration,
  reportNoBroker,
  runScript,
  untilSignal,
  URL_FLAGS,
  URL_HELP,
  UsageError,
} from "./lib/cli/command_line.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connectFlags } from "./lib/cli/connect_flags.ts";
import { parseHealthAddress, serveHealth } from "./lib/cli/health.ts";
import { fib, fibonacci } from "./lib/tutorial/fib.ts";
import { naiveFib, QUICK_N } from "./lib/tutorial/naive_fib.ts";
import { printable } from "./lib/contract/printable.ts";
import { VERSION } from "./lib/contract/version.ts";
import { type Handler, procedure, type QueueType, RpcError, RpcServer, WorkerPool } from "./lib/rpc.ts";
import { telemetry } from "./lib/telemetry.ts";

const HELP = `Serve fib over RabbitMQ, as in RabbitMQ's tutorial six

Usage: deno task server [flags]

${URL_HELP}
  --queue NAME        the queue to serve; default ${fibonacci.queue}
  --queue-type TYPE   how to declare the queue if it does not exist: quorum (default), classic
                      (durable), or transient, which servers of older tutorials want
  --prefetch N        requests in progress at once, 1 to 65535; default 1
  --max-length N      how many requests may wait in the queue, if this declares it; the broker refuses more at once
  --reply-to PATTERN  also answer to queues whose names match this regular expression; callers can make the server
                      publish to them. Queues named by the broker, and exclusive ones, need no permission
  --delay TIME        make each answer take that long, such as 500ms, 5s or 2m
  --naive             compute fib as the tutorial does, recursively: fib(42) takes seconds
  --workers N         with --naive: compute what takes longer than 1 ms in N processes, 1 to 1000, so that the server
                      can answer other requests meanwhile; --prefetch is then N + 10 by default
  --health ADDRESS    answer /livez and /readyz over HTTP: at a PORT, for this computer alone, or at HOST:PORT, such as
                      0.0.0.0:8080 in a container
${CONNECT_HELP}
  --help, --version

Exit codes: 0 ended by SIGINT or SIGTERM, 1 the queue cannot be served, 2 usage, 3 no broker,
130 ended at once by a second signal`;

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function args(): Args {
  return parseCommandLine(Deno.args, [
    ...URL_FLAGS,
    "queue",
    "queue-type",
    "prefetch",
    "max-length",
    "reply-to",
    "delay",
    "health",
    "workers",
    ...CONNECT_FLAGS,
  ], ["naive"]);
}

function parsePrefetch(text: string): number {
  const prefetch = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (prefetch >= 1 && prefetch <= 65_535) return prefetch;
  throw new UsageError(`Invalid value "${text}" for --prefetch: want a number from 1 to 65535`);
}

function parseWorkers(text: string): number {
  const workers = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (workers >= 1 && workers <= 1_000) return workers;
  throw new UsageError(`Invalid value "${text}" for --workers: want a number from 1 to 1000`);
}

/** How fib is computed, and what is to be closed with the server. */
interface Computing extends AsyncDisposable {
  readonly compute: Handler<number, bigint>;
}

async function startComputing(naive: boolean, workers: number): Promise<Computing> {
  if (!naive) return { compute: fib, [Symbol.asyncDispose]: () => Promise.resolve() };
  if (workers === 0) return { compute: naiveFib, [Symbol.asyncDispose]: () => Promise.resolve() };
  const pool = await WorkerPool.start(import.meta.resolve("./lib/tutorial/naive_fib.ts"), { workers });
  return {
    compute: (n, context) => n <= QUICK_N ? naiveFib(n) : pool.run<bigint>(n, context),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

function parseMaxLength(text: string): number {
  const maxLength = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (maxLength >= 1 && maxLength <= 4_294_967_295) return maxLength;
  throw new UsageError(`Invalid value "${text}" for --max-length: want a number from 1 to 4294967295`);
}

function parseQueueType(text: string): QueueType {
  if (text === "quorum" || text === "classic" || text === "transient") return text;
  throw new UsageError(`Invalid value "${text}" for --queue-type: want quorum, classic or transient`);
}

function parsePattern(text: string): RegExp {
  try {
    // On its own first: "a)|(b" is none, and in the brackets it would match in part.
    return new RegExp(`^(?:${new RegExp(text, "u").source})$`, "u");
  } catch {
    throw new UsageError(`Invalid value "${text}" for --reply-to: want a regular expression, such as reply\\..*`);
  }
}

async function main(): Promise<number> {
  const given = args();
  const { values, operands } = given;
  if (operands.length > 0) throw new UsageError(`Unexpected argument "${operands[0]}": the server takes only flags`);
  const queue = values["queue"] ?? fibonacci.queue;
  const queueType = parseQueueType(values["queue-type"] ?? fibonacci.queueType);
  const naive = given.switches.has("naive");
  const workers = values["workers"] === undefined ? 0 : parseWorkers(values["workers"]);
  if (workers > 0 && !naive) throw new UsageError("Missing flag: --workers needs --naive");
  const prefetch = parsePrefetch(values["prefetch"] ?? (workers > 0 ? `${workers + 10}` : "1"));
  const delay = values["delay"] === undefined ? 0 : parseDuration(values["delay"], "delay");
  const pattern = values["reply-to"] === undefined ? undefined : parsePattern(values["reply-to"]);
  const maxLength = values["max-length"] === undefined ? undefined : parseMaxLength(values["max-length"]);
  const served = asUsage(() => procedure({ ...fibonacci, queue, queueType, maxLength }));
  const url = brokerUrl(given);
  const flags = connectFlags(given);
  const health = values["health"] === undefined ? undefined : parseHealthAddress(values["health"]);

  const stop = untilSignal();
  let server: RpcServer | undefined;
  const since = new Date();
  if (health !== undefined) serveHealth(health, () => server?.status ?? { state: "connecting", since });
  try {
    server = await RpcServer.connect(url, {
      ...flags,
      signal: stop,
      interceptors: [telemetry.server()],
      version: VERSION,
      ...(pattern === undefined ? {} : { replyTo: (name) => pattern.test(name) }),
    });
  } catch (error) {
    return stop.aborted ? EXIT.ok : reportNoBroker(error, url);
  }
  let computing: Computing | undefined;
  try {
    const { compute } = computing = await startComputing(naive, workers);
    await server.serve(served, async (n, context) => {
      console.log(` [.] fib(${n})`);
      if (delay > 0) await sleep(delay, context.signal);
      return await compute(n, context);
    }, { prefetch });
  } catch (error) {
    await server.close();
    await computing?.[Symbol.asyncDispose]();
    if (!(error instanceof RpcError)) throw error;
    console.error(printable(error.message));
    return EXIT.failed;
  }
  console.log(" [x] Awaiting RPC requests");
  if (!stop.aborted) await new Promise((resolve) => stop.addEventListener("abort", resolve));
  if (server.pending > 0) {
    console.error(` [x] Finishing accepted requests (${server.pending}); a second signal exits immediately`);
  }
  await server.close();
  await computing[Symbol.asyncDispose]();
  return EXIT.ok;
}

await runScript(HELP, main, args);
// Signal listeners would keep the process alive.
Deno.exit();
