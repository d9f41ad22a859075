import process from "node:process";
import { printable, printableJson } from "../contract/printable.ts";
import type { QueueInfo } from "../contract/server_info.ts";
import { type RpcClient, RpcError } from "../rpc.ts";
import { CLIENT_HELP, EXIT_HELP, reportError, withClient } from "./client_flags.ts";
import type { Command } from "./command.ts";
import { EXIT, parseDuration, parseWhole, UsageError } from "./command_line.ts";
import { pause } from "./in_order.ts";
import { Output } from "./output.ts";
import { columns, mayStyle, rows } from "./screen.ts";
import { readTarget, SERVERS_FLAGS } from "./servers_command.ts";
import { TopFigures } from "./top_figures.ts";
import { frame } from "./top_view.ts";

const HELP = `Watch a queue and its servers

Usage: rpc top [flags] QUEUE

  --interval TIME     how often to ask, such as 500ms, 1s (default) or 2m
  --count N           end after so many frames; default: until Ctrl-C
  -o, --output FORMAT text (default) or json, one line for each frame
  --timeout TIME      how long to wait for answers each time; default 1s
${CLIENT_HELP}

CALLS, ERRORS and MEAN are those since the last frame; P50 (of the method with most calls) and P99 (of the slowest
method) those of the handler over about the last half minute; OLDEST is how long the oldest request in flight has been
there. SLOW marks a server whose handlers take three times as long as those of the others, or hang; NO ANSWER one that
has answered before, and does not now.

Exit codes: 0 ended by Ctrl-C or --count, 1 failed,
${EXIT_HELP}`;

interface Settings {
  readonly queue: string;
  readonly json: boolean;
  readonly interval: number;
  readonly timeout: number;
  readonly count: number;
}

/** `rpc top` */
export const topCommand: Command = {
  name: "top",
  summary: "watch a queue and its servers",
  help: HELP,
  valued: [...SERVERS_FLAGS, "interval", "count"],
  switched: [],
  more: { short: { o: "output" } },
  run: (args, stop) => {
    const { values } = args;
    const settings: Settings = {
      ...readTarget(args),
      interval: parseDuration(values["interval"] ?? "1s", "interval"),
      timeout: parseDuration(values["timeout"] ?? "1s", "timeout"),
      count: values["count"] === undefined ? Infinity : parseWhole(values["count"], "count", 1, 1_000_000_000),
    };
    return withClient(args, stop, (client) => watch(client, settings, stop), settings.json);
  },
};

async function watch(client: RpcClient, settings: Settings, stop: AbortSignal): Promise<number> {
  const { queue, json, interval, timeout, count } = settings;
  const figures = new TopFigures();
  const output = new Output();
  const signal = AbortSignal.any([stop, output.broken]);
  const show = json ? undefined : await screen(output);
  let last: string[] = [];
  for (let n = 0; n < count && !signal.aborted; n++) {
    const askedAt = performance.now();
    const info = await client.servers(queue, { timeout, signal }).catch((error: unknown) => failure(error));
    if (signal.aborted) break;
    if (info instanceof RpcError && n === 0) {
      reportError(info, json);
      return info.code === "not_found" ? EXIT.noServer : EXIT.failed;
    }
    if (json) {
      await output.line(toJson(queue, info, figures));
    } else {
      const drawn = info instanceof RpcError ? undefined : draw(queue, info, figures);
      // The last figures stay on the screen, below what is wrong now.
      const message = info instanceof RpcError ? [printable(`${info.code}: ${info.message}`), ""] : [];
      last = drawn ?? last;
      await show?.([...message, ...last]);
    }
    if (n + 1 < count) await pause(Math.max(0, interval - (performance.now() - askedAt)), signal);
  }
  await output.flush();
  return output.broken.aborted ? EXIT.brokenPipe : EXIT.ok;
}

function failure(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
  throw error;
}

function draw(queue: string, info: QueueInfo, figures: TopFigures): string[] {
  return frame(queue, info, figures.update(info), {
    width: columns(),
    height: Deno.stdout.isTerminal() ? rows() : Infinity,
    styled: mayStyle(),
  });
}

function toJson(queue: string, info: QueueInfo | RpcError, figures: TopFigures): string {
  if (info instanceof RpcError) return printableJson({ queue, error: { code: info.code, message: info.message } });
  const { messages, consumers } = info;
  return printableJson({ queue, messages, consumers, servers: figures.update(info) });
}

/** Draws each frame over the last one on a terminal, and below it elsewhere. */
async function screen(output: Output): Promise<(lines: readonly string[]) => Promise<void>> {
  if (!Deno.stdout.isTerminal()) return (lines) => output.line(`${lines.join("\n")}\n`);
  // It must not hide the cursor: what it uses for that ends the process on Ctrl-C.
  const { createLogUpdate } = await import("log-update");
  const update = createLogUpdate(process.stdout, { showCursor: true });
  return (lines) => {
    update(lines.join("\n"));
    return Promise.resolve();
  };
}
