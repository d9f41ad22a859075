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
} from "./lib/cli/command_line.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connectFlags } from "./lib/cli/connect_flags.ts";
import { printable, printableJson } from "./lib/contract/printable.ts";
import { fibonacci, MAX_N } from "./lib/tutorial/fib.ts";
import { procedure, RpcClient, RpcError, type RpcOutcome } from "./lib/rpc.ts";
import { telemetry } from "./lib/telemetry.ts";

const HELP = `Call fib over RabbitMQ, as in RabbitMQ's tutorial six

Usage: deno task client [flags] N [N ...]

  N                   which Fibonacci number, 0 to 100000; several are called at once
${URL_HELP}
  --queue NAME        the queue of the server; default ${fibonacci.queue}
  --timeout TIME      how long a call may take, such as 500ms, 5s (default) or 2m
  --fail-fast         fail at once if no server consumes the queue
  --json              one line of JSON per call
${CONNECT_HELP}
  --help, --version

Exit codes: 0 all answered, 1 a call failed, 2 usage, 3 no broker, 130 interrupted`;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const OUTCOMES: Readonly<Record<RpcOutcome, string>> = {
  not_executed: "the work was not done",
  executed: "the server ran it",
  unknown: "it is unknown whether the work was done",
};

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

/** What a person can do about it; nothing where the message says it. */
function advice({ code, outcome }: RpcError): string {
  if (code === "canceled") return "";
  if (code === "unavailable") return "; start a server with: deno task server";
  if (code === "deadline_exceeded") return "; check that broker and server are running, or allow more with --timeout";
  if (code === "resource_exhausted") return "; try again when the broker has room";
  if (code === "internal") return "; see the server's log";
  return outcome === "executed" ? "; calling again will likely give the same" : "; call again";
}

function report(n: number, error: unknown): void {
  if (!(error instanceof RpcError)) throw error;
  const { code, outcome, message } = error;
  // The text may be a server's.
  console.error(` [!] fib(${n}) failed: ${code}: ${printable(message)}`);
  console.error(`     ${OUTCOMES[outcome]}${advice(error)}`);
}

function toJson(n: number, settled: PromiseSettledResult<bigint>): string {
  if (settled.status === "fulfilled") return JSON.stringify({ n, result: String(settled.value) });
  if (!(settled.reason instanceof RpcError)) throw settled.reason;
  const { code, outcome, message, details, id } = settled.reason;
  return printableJson({ n, error: { code, outcome, message, details, id } });
}

async function main(): Promise<number> {
  const given = args();
  const { values, switches, operands } = given;
  if (operands.length === 0) throw new UsageError("Missing argument N: want one or more numbers, such as 30");
  const numbers = operands.map(parseN);
  const timeout = parseDuration(values["timeout"] ?? "5s", "timeout");
  const called = asUsage(() => procedure({ ...fibonacci, queue: values["queue"] ?? fibonacci.queue }));
  const url = brokerUrl(given);
  const flags = connectFlags(given);
  const json = switches.has("json");

  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new Error("Interrupted"));
  for (const name of SIGNALS) Deno.addSignalListener(name, interrupt);
  try {
    const interceptors = [telemetry.client()];
    const connecting = RpcClient.connect(url, { ...flags, signal: interrupted.signal, interceptors });
    const connected = await connecting.catch((error: unknown) => reportNoBroker(error, url));
    if (typeof connected === "number") return interrupted.signal.aborted ? EXIT.interrupted : connected;
    await using client = connected;
    const options = { timeout, signal: interrupted.signal, failFast: switches.has("fail-fast") };
    const calls = numbers.map((n) => {
      if (!json) console.log(` [x] Requesting fib(${n})`);
      return client.call(called, n, options);
    });
    // All are awaited from the start, so that none is unhandled while an earlier one is printed.
    const settling = calls.map((call) => Promise.allSettled([call]));
    let failed = false;
    for (const [index, n] of numbers.entries()) {
      const [settled] = await settling[index] ?? [];
      if (settled === undefined) continue;
      if (settled.status === "rejected") failed = true;
      if (json) console.log(toJson(n, settled));
      else if (settled.status === "fulfilled") console.log(` [.] Got ${settled.value}`);
      else report(n, settled.reason);
    }
    return interrupted.signal.aborted ? EXIT.interrupted : failed ? EXIT.failed : EXIT.ok;
  } finally {
    for (const name of SIGNALS) Deno.removeSignalListener(name, interrupt);
  }
}

await runScript(HELP, main, args);
