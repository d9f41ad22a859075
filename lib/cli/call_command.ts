import { checkHeaders, type Headers } from "../contract/headers.ts";
import { MAX_BODY_BYTES } from "../contract/codec.ts";
import { type Codec, type Procedure, procedure, type RpcClient, RpcError } from "../rpc.ts";
import { errorJson } from "./call_report.ts";
import { CallSummary } from "./call_summary.ts";
import { CLIENT_FLAGS, CLIENT_HELP, describeFailure, EXIT_HELP, exitCodeOf, withClient } from "./client_flags.ts";
import type { Command } from "./command.ts";
import { type Args, asUsage, EXIT, parseDuration, parseWhole, UsageError } from "./command_line.ts";
import { FailureReport } from "./failure_report.ts";
import { inOrder, paced, until } from "./in_order.ts";
import { readLines } from "./lines.ts";
import { concat, Output } from "./output.ts";
import { Progress } from "./progress.ts";
import { printError } from "./standard_error.ts";
import { bodyAsJson, bodyForTerminal, isJson } from "./reply_text.ts";

const DEFAULT_CONCURRENCY = 10;

const HELP = `Call a queue, and print the replies

Usage: rpc call [flags] QUEUE [[METHOD] BODY]

  QUEUE               the queue of the server
  METHOD              the method, if the queue is that of a service
  BODY                the body of the request; empty if absent. With "-", every line of standard input is the body of
                      one call, and the replies are printed in the order of the lines
  -H, --header K:V    a header; may be given several times
  --timeout TIME      how long a call may take, such as 500ms, 5s (default) or 2m
  --wait-for-server   wait until the timeout if no server consumes the queue, instead of failing at once
  --json              print one line of JSON for each call: {"reply": ..., "ms": 1.25} or {"ms": 1.25,
                      "error": {...}}. A reply that is JSON is printed as it is, another text as a string
  --raw               bytes in, bytes out: with "-", standard input is one body; nothing is added to the reply
  --count N           make the same call N times
  --concurrency N     calls at once, with "-" and --count; default ${DEFAULT_CONCURRENCY}
  --rate N            at most N calls in a second
${CLIENT_HELP}

With more than one call, the last line on standard error says how many ended how, and how long they took. Of failures
with the same code and outcome the first 3 are printed, then how many more there were; with --json, every one.

Exit codes: 0 all answered, 1 a server answered with an error, or calls failed in different ways,
${EXIT_HELP}

Examples:
  rpc call rpc_queue 30
  rpc call users find '{"id": 7}' -H tenant:acme --json
  seq 0 9999 | rpc call rpc_queue - --json > results.jsonl
  rpc call rpc_queue 30 --count 10000 --concurrency 100 > /dev/null`;

type Bytes = Procedure<Uint8Array, Uint8Array, Uint8Array, Uint8Array>;

interface Settings {
  readonly procedure: Bytes;
  readonly body: Uint8Array | "lines" | "whole";
  readonly headers: Headers;
  readonly timeout: number;
  readonly wait: boolean;
  readonly format: "text" | "json" | "raw";
  readonly count: number;
  readonly concurrency: number;
  readonly rate: number | undefined;
}

type Answer =
  | { readonly reply: Uint8Array; readonly ms: number }
  | { readonly error: RpcError; readonly ms: number };

/** `rpc call` */
export const callCommand: Command = {
  name: "call",
  summary: "call a queue, and print the replies",
  help: HELP,
  valued: [...CLIENT_FLAGS, "timeout", "count", "concurrency", "rate"],
  switched: ["json", "raw", "wait-for-server"],
  more: { lists: ["header"], short: { H: "header" } },
  run: (args, stop) => {
    const settings = readSettings(args);
    return withClient(args, stop, (client) => callAll(client, settings, stop), settings.format === "json");
  },
};

function readSettings({ operands, values, switches, lists }: Args): Settings {
  const [queue, ...rest] = operands;
  if (queue === undefined) throw new UsageError("Missing argument QUEUE: want the name of a queue");
  if (rest.length > 2) throw new UsageError(`Unexpected argument "${rest[2]}": want QUEUE, METHOD and BODY at most`);
  const [body = "", method] = rest.toReversed();
  if (switches.has("json") && switches.has("raw")) throw new UsageError("Use one of --json and --raw, not both");
  const many = body === "-" && !switches.has("raw");
  if (body === "-" && values["count"] !== undefined) {
    throw new UsageError('Use one of "-" and --count, not both: every line of standard input is a call');
  }
  const { timeout = "5s", count = "1", concurrency, rate } = values;
  return {
    procedure: asUsage(() => ({ ...procedure({ queue, ...CODECS }), method })),
    body: body === "-" ? many ? "lines" : "whole" : new TextEncoder().encode(body),
    headers: readHeaders(lists["header"] ?? []),
    timeout: parseDuration(timeout, "timeout"),
    wait: switches.has("wait-for-server"),
    format: switches.has("json") ? "json" : switches.has("raw") ? "raw" : "text",
    count: parseWhole(count, "count", 1, 1_000_000_000),
    concurrency: parseWhole(concurrency ?? String(DEFAULT_CONCURRENCY), "concurrency", 1, 10_000),
    rate: rate === undefined ? undefined : parseWhole(rate, "rate", 1, 1_000_000),
  };
}

function readHeaders(texts: readonly string[]): Headers {
  const headers = Object.fromEntries(texts.map((text) => {
    const [, name, value] = text.match(/^([^:]+):\s*(.*?)\s*$/) ?? [];
    if (name !== undefined && value !== undefined) return [name.trim().toLowerCase(), value];
    throw new UsageError(`Invalid value "${text}" for --header: want NAME:VALUE, such as tenant:acme`);
  }));
  asUsage(() => checkHeaders(headers, "call"));
  return headers;
}

const BYTES: Codec<Uint8Array> = {
  contentType: "text/plain",
  maxBytes: MAX_BODY_BYTES,
  encode: (body) => body,
  // A copy, because the body is a view of the socket's memory.
  decode: (body) => new Uint8Array(body),
};

const CODECS = { request: BYTES, reply: BYTES };

/** The same procedure, with the content type that fits the body. */
function typed(called: Bytes, body: Uint8Array, format: Settings["format"]): Bytes {
  if (format === "text") return called;
  const json = format === "json" && isJson(new TextDecoder().decode(body));
  if (format === "json" && !json) return called;
  return { ...called, request: { ...BYTES, contentType: json ? "application/json" : "application/octet-stream" } };
}

async function* bodies({ body, count }: Settings, stop: AbortSignal): AsyncGenerator<Uint8Array> {
  if (body === "lines") {
    yield* readLines(Deno.stdin.readable, MAX_BODY_BYTES, stop);
  } else if (body === "whole") {
    yield await readWhole(stop);
  } else {
    for (let n = 0; n < count; n++) yield body;
  }
}

async function readWhole(signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = Deno.stdin.readable.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    parts.push(read.value);
    size += read.value.length;
    if (size > MAX_BODY_BYTES) throw new UsageError(`Standard input has more than ${MAX_BODY_BYTES} bytes`);
  }
  return concat(parts, size);
}

async function callAll(client: RpcClient, settings: Settings, stop: AbortSignal): Promise<number> {
  const { concurrency, format, rate } = settings;
  const one = settings.body !== "lines" && settings.count === 1;
  const output = new Output();
  const signal = AbortSignal.any([stop, output.broken]);
  const summary = new CallSummary(performance.now());
  let unknown = 0;
  let last: RpcError | undefined;
  {
    using progress = await Progress.show(settings.body === "lines" ? undefined : settings.count);
    using failures = new FailureReport(printError);
    const read = bodies(settings, signal);
    const inputs = until(rate === undefined ? read : paced(read, rate, signal), signal);
    const call = caller(client, settings, signal);
    const sizeOf = (answer: Answer): number => "reply" in answer ? answer.reply.length : 0;
    let number = 0;
    try {
      for await (const answer of inOrder(inputs, call, { concurrency, sizeOf })) {
        number++;
        if ("error" in answer && answer.error.code === "canceled" && signal.aborted) {
          if (answer.error.outcome !== "not_executed") unknown++;
          continue;
        }
        const code = "error" in answer ? answer.error.code : "ok";
        summary.ended(code, answer.ms);
        progress?.ended(code !== "ok");
        if ("reply" in answer || format === "json") await print(output, answer, format);
        if ("reply" in answer) continue;
        last = answer.error;
        if (format === "json") continue;
        if (one) printError(describeFailure(answer.error));
        else failures.add(number, answer.error);
      }
    } finally {
      // Also before a line of the input that is wrong ends the process.
      await output.flush();
    }
  }
  if (!one || stop.aborted) console.error(describe(summary, unknown, stop.aborted));
  if (stop.aborted) return EXIT.interrupted;
  if (output.broken.aborted) return EXIT.brokenPipe;
  if (last === undefined) return EXIT.ok;
  return summary.failures.length === 1 ? exitCodeOf(last) : EXIT.failed;
}

/** Makes one call; until one has been answered, it asks first whether there is a server. */
function caller(client: RpcClient, settings: Settings, signal: AbortSignal): (body: Uint8Array) => Promise<Answer> {
  const { procedure, timeout, headers, wait, format } = settings;
  let served = false;
  return async (body) => {
    const startedAt = performance.now();
    try {
      const options = { timeout, headers, signal, failFast: !wait && !served };
      const reply = await client.call(typed(procedure, body, format), body, options);
      served = true;
      return { reply, ms: performance.now() - startedAt };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      // Never reset: while the connection is lost, calls wait for it.
      if (error.outcome === "executed") served = true;
      return { error, ms: performance.now() - startedAt };
    }
  };
}

async function print(output: Output, answer: Answer, format: Settings["format"]): Promise<void> {
  if (format === "json") {
    const ms = Math.round(answer.ms * 1_000) / 1_000;
    await output.line(
      "reply" in answer ? `{"reply":${bodyAsJson(answer.reply)},"ms":${ms}}` : errorJson(answer.error, { ms }),
    );
  } else if ("reply" in answer) {
    if (format === "text" && Deno.stdout.isTerminal()) {
      await output.line(bodyForTerminal(answer.reply));
      return;
    }
    await output.write(answer.reply);
    if (format === "text" && answer.reply.at(-1) !== 10) await output.write(NEWLINE);
  }
}

const NEWLINE = new Uint8Array([10]);

function describe(summary: CallSummary, unknown: number, interrupted: boolean): string {
  const done = summary.describe(performance.now());
  if (!interrupted) return done;
  const whose = unknown === 1 ? "its" : "their";
  const left = unknown === 0 ? "" : `; ${unknown} more under way, it is unknown whether ${whose} work was done`;
  return `Interrupted: ${done}${left}`;
}
