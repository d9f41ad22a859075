import { errorJson, failureText, serverCommand } from "./lib/cli/call_report.ts";
import {
  type Args,
  asUsage,
  brokerUrl,
  EXIT,
  parseCommandLine,
  parseDuration,
  reportNoBroker,
  runScript,
  URL_FLAGS,
  URL_HELP,
  UsageError,
  wantsJson,
} from "./lib/cli/command_line.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connectFlags } from "./lib/cli/connect_flags.ts";
import { inOrder, until } from "./lib/cli/in_order.ts";
import { readLines } from "./lib/cli/lines.ts";
import { Output } from "./lib/cli/output.ts";
import { Progress } from "./lib/cli/progress.ts";
import { printError, printWarnings } from "./lib/cli/standard_error.ts";
import { plural } from "./lib/cli/units.ts";
import { fibonacci, MAX_N } from "./lib/tutorial/fib.ts";
import { procedure, RpcClient, RpcError } from "./lib/rpc.ts";
import { telemetry } from "./lib/telemetry.ts";

/** How many numbers are called at once. */
const CONCURRENCY = 100;

const HELP = `Call fib over RabbitMQ, as in RabbitMQ's tutorial six

Usage: deno task client [flags] N [N ...]

  N                   which Fibonacci number, 0 to 100000; a range such as 0..90; or "-" for numbers from standard
                      input, one on each line. ${CONCURRENCY} are called at once
${URL_HELP}
  --queue NAME        the queue of the server; default ${fibonacci.queue}
  --timeout TIME      how long a call may take, such as 500ms, 5s (default) or 2m
  --fail-fast         fail at once if no server consumes the queue
  --json              one line of JSON per call; also for an error before any call
${CONNECT_HELP}
  --help, --version

Exit codes: 0 all answered, 1 a call failed, 2 usage, 3 no broker, 130 interrupted,
141 the reader of the output has gone`;

/** No number has more digits. */
const MAX_LINE_BYTES = 64;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Whether numbers were read from standard input. */
let readsInput = false;

function args(): Args {
  return parseCommandLine(Deno.args, [...URL_FLAGS, "queue", "timeout", ...CONNECT_FLAGS], ["fail-fast", "json"]);
}

function parseN(text: string): number {
  try {
    return fibonacci.request.decode(new TextEncoder().encode(text)) as number;
  } catch {
    throw new UsageError(`Invalid argument "${text}" for N: want a whole number from 0 to ${MAX_N}, in plain digits`);
  }
}

/** From the first to the last. */
type Range = readonly [first: number, last: number];

function parseOperand(text: string): Range | "-" {
  if (text === "-") return text;
  const [first = "", last = first, ...rest] = text.split("..");
  if (rest.length > 0 || first === "" || last === "") return [parseN(text), parseN(text)];
  const range = [parseN(first), parseN(last)] as const;
  if (range[0] <= range[1]) return range;
  throw new UsageError(`Invalid argument "${text}" for N: the first number of a range must not be the larger one`);
}

function count(ranges: readonly (Range | "-")[]): number {
  return ranges.reduce((sum, range) => range === "-" ? sum : sum + range[1] - range[0] + 1, 0);
}

function* numbersOf(ranges: readonly (Range | "-")[]): Generator<number> {
  for (const [first, last] of ranges.filter((range) => range !== "-")) {
    for (let n = first; n <= last; n++) yield n;
  }
}

async function* numbersFromInput(signal: AbortSignal): AsyncGenerator<number> {
  readsInput = true;
  let line = 0;
  for await (const bytes of readLines(Deno.stdin.readable, MAX_LINE_BYTES, signal)) {
    line++;
    const text = new TextDecoder().decode(bytes).trim();
    if (text === "") continue;
    try {
      yield parseN(text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`Line ${line} of standard input: ${error.message}`);
    }
  }
}

function toJson(n: number, settled: PromiseSettledResult<bigint>): string {
  if (settled.status === "fulfilled") return JSON.stringify({ n, result: String(settled.value) });
  if (!(settled.reason instanceof RpcError)) throw settled.reason;
  return errorJson(settled.reason, { n });
}

async function main(): Promise<number> {
  const given = args();
  const { values, switches, operands } = given;
  if (operands.length === 0) throw new UsageError("Missing argument N: want one or more numbers, such as 30");
  const ranges = operands.map(parseOperand);
  const fromInput = ranges.includes("-");
  if (fromInput && ranges.length > 1) throw new UsageError('Use "-" alone: the numbers are those of standard input');
  const timeout = parseDuration(values["timeout"] ?? "5s", "timeout");
  const called = asUsage(() => procedure({ ...fibonacci, queue: values["queue"] ?? fibonacci.queue }));
  const url = brokerUrl(given);
  const flags = connectFlags(given);
  const json = switches.has("json");

  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new Error("Interrupted"));
  for (const name of SIGNALS) Deno.addSignalListener(name, interrupt);
  try {
    const interceptors = [telemetry.client()];
    const connecting = RpcClient.connect(url, { onEvent: printWarnings, ...flags, signal: stop.signal, interceptors });
    const connected = await connecting.catch((error: unknown) => reportNoBroker(error, url, json));
    if (typeof connected === "number") return stop.signal.aborted ? EXIT.interrupted : connected;
    await using client = connected;
    const total = fromInput ? undefined : count(ranges);
    using progress = await Progress.show(total);
    const options = { timeout, signal: stop.signal, failFast: switches.has("fail-fast") };
    const numbers = until(fromInput ? numbersFromInput(stop.signal) : numbersOf(ranges), stop.signal);
    return await callAll(numbers, (n) => client.call(called, n, options), {
      json,
      server: serverCommand(values),
      progress,
      stop,
    });
  } finally {
    for (const name of SIGNALS) Deno.removeSignalListener(name, interrupt);
  }
}

/** How calls are shown. */
interface Shown {
  readonly json: boolean;
  /** The command that starts a server. */
  readonly server: string;
  readonly progress: Progress | undefined;
  /** Aborted when the reader of the output has gone, too. */
  readonly stop: AbortController;
}

function isCanceled(error: unknown): boolean {
  return error instanceof RpcError && error.code === "canceled";
}

async function callAll(
  numbers: AsyncIterable<number>,
  call: (n: number) => Promise<bigint>,
  { json, server, progress, stop }: Shown,
): Promise<number> {
  const output = new Output();
  output.broken.addEventListener("abort", () => stop.abort(output.broken.reason));
  let failed = false;
  /** Calls that were interrupted. */
  let underWay = 0;
  const run = async (n: number): Promise<readonly [number, PromiseSettledResult<bigint>]> => {
    if (!json) output.line(` [x] Requesting fib(${n})`);
    const [settled] = await Promise.allSettled([call(n)]);
    return [n, settled];
  };
  try {
    for await (const [n, settled] of inOrder(numbers, run, { concurrency: CONCURRENCY })) {
      if (settled.status === "rejected") failed = true;
      progress?.ended(settled.status === "rejected");
      if (json) await output.line(toJson(n, settled));
      else if (settled.status === "fulfilled") await output.line(` [.] Got ${settled.value}`);
      else if (stop.signal.aborted && isCanceled(settled.reason)) underWay++;
      else if (!(settled.reason instanceof RpcError)) throw settled.reason;
      else {
        printError(failureText(`fib(${n})`, settled.reason, server));
      }
    }
  } finally {
    // Also before a line of the input that is wrong ends the process.
    await output.flush();
  }
  if (output.broken.aborted) return EXIT.brokenPipe;
  if (underWay > 0) {
    console.error(` [!] Interrupted: ${plural(underWay, "call")} under way; it is unknown whether the work was done`);
  }
  return stop.signal.aborted ? EXIT.interrupted : failed ? EXIT.failed : EXIT.ok;
}

await runScript(HELP, main, args, wantsJson(Deno.args));
// A read of a terminal or a pipe would keep the process alive.
if (readsInput) Deno.exit();
