import { printable, printableJson } from "../contract/printable.ts";
import type { MethodInfo, QueueInfo, ServerInfo } from "../contract/server_info.ts";
import { type RpcClient, RpcError } from "../rpc.ts";
import { CLIENT_FLAGS, CLIENT_HELP, EXIT_HELP, reportError, withClient } from "./client_flags.ts";
import type { Command } from "./command.ts";
import { type Args, EXIT, parseDuration, UsageError } from "./command_line.ts";
import { columns as columnsOf } from "./screen.ts";
import { describeQueue, errorsOf, namesOf } from "./server_rows.ts";
import { type Column, table } from "./table.ts";
import { formatCount, formatDuration, plural } from "./units.ts";

const COMMON_HELP = `  -o, --output FORMAT text (default) or json
  --timeout TIME      how long to wait for answers, such as 500ms, 1s (default) or 2m; the answer of every consumer ends
                      the wait
${CLIENT_HELP}

Only servers of this library answer. Exit codes: 0 a server answered, 1 failed,
${EXIT_HELP}`;

const PING_HELP = `Ask all servers of a queue for a sign of life, and print how long each took to answer

Usage: rpc ping [flags] QUEUE

${COMMON_HELP}`;

const INFO_HELP = `Print the figures of all servers of a queue

Usage: rpc info [flags] QUEUE

${COMMON_HELP}

Figures are those since the server's start; P50 and P99 are those of the handler over about the last half minute.`;

/** The flags of the commands that ask servers. */
export const SERVERS_FLAGS = [...CLIENT_FLAGS, "timeout", "output"] as const;

/** The queue that a command is for, and its output format. */
export function readTarget({ operands, values }: Args): { queue: string; json: boolean } {
  const [queue, extra] = operands;
  if (queue === undefined) throw new UsageError("Missing argument QUEUE: want the name of a queue");
  if (extra !== undefined) throw new UsageError(`Unexpected argument "${extra}": want one queue`);
  const { output = "text" } = values;
  if (output !== "text" && output !== "json") {
    throw new UsageError(`Invalid value "${output}" for --output: want text or json`);
  }
  return { queue, json: output === "json" };
}

function command(name: string, summary: string, help: string, show: (queue: string, info: QueueInfo) => string[]) {
  const ping: Command = {
    name,
    summary,
    help,
    valued: SERVERS_FLAGS,
    switched: [],
    more: { short: { o: "output" } },
    run: (args, stop) => {
      const { queue, json } = readTarget(args);
      const timeout = parseDuration(args.values["timeout"] ?? "1s", "timeout");
      return withClient(args, stop, async (client) => {
        const info = await ask(client, { queue, timeout, json }, stop);
        if (typeof info === "number") return info;
        if (json) console.log(printableJson({ queue, ...info }));
        else for (const line of show(queue, info)) console.log(line);
        if (info.servers.length > 0) return EXIT.ok;
        if (!json) console.error(`No server of this library answered within ${formatDuration(timeout)}`);
        return EXIT.noServer;
      }, json);
    },
  };
  return ping;
}

interface Question {
  readonly queue: string;
  readonly timeout: number;
  readonly json: boolean;
}

/** Asks the servers of a queue; an exit code if that failed. */
async function ask(
  client: RpcClient,
  { queue, timeout, json }: Question,
  stop: AbortSignal,
): Promise<QueueInfo | number> {
  try {
    return await client.servers(queue, { timeout, signal: stop });
  } catch (error) {
    if (stop.aborted) return EXIT.interrupted;
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    if (!(error instanceof RpcError)) throw error;
    reportError(error, json);
    return error.code === "not_found" ? EXIT.noServer : EXIT.failed;
  }
}

const PING_COLUMNS: readonly Column[] = [
  { title: "SERVER", align: "left", shrinks: true },
  { title: "VERSION", align: "left", drop: 2 },
  { title: "STATE", align: "left", drop: 3 },
  { title: "UPTIME", drop: 1 },
  { title: "ROUND TRIP" },
];

function showPing(queue: string, info: QueueInfo): string[] {
  const names = namesOf(info.servers);
  const rows = info.servers.toSorted((a, b) => a.roundTrip - b.roundTrip).map((server) => [
    names.get(server.id) ?? "",
    versionOf(server),
    server.state,
    formatDuration(server.uptime),
    formatDuration(server.roundTrip),
  ]);
  return [describeQueue(queue, info), ...(rows.length === 0 ? [] : ["", ...table(PING_COLUMNS, rows, columnsOf())])];
}

function versionOf({ version }: ServerInfo): string {
  return version === undefined ? "-" : printable(version);
}

const METHOD_COLUMNS: readonly Column[] = [
  { title: "METHOD", align: "left", shrinks: true },
  { title: "REQUESTS" },
  { title: "ERRORS" },
  { title: "REFUSED", drop: 2 },
  { title: "MEAN", drop: 1 },
  { title: "P50" },
  { title: "P99" },
  { title: "LAST ERROR", align: "left", drop: 3 },
];

function methodRow(method: MethodInfo): string[] {
  const { name, requests, refused, handled, processingTime, p50, p99, lastError } = method;
  const time = (ms: number | undefined): string => ms === undefined ? "-" : formatDuration(ms);
  const id = lastError?.id === undefined ? "" : `, id ${printable(lastError.id)}`;
  return [
    name === undefined ? "-" : printable(name),
    formatCount(requests),
    formatCount(errorsOf(method)),
    formatCount(refused),
    handled === 0 ? "-" : formatDuration(processingTime / handled),
    time(p50),
    time(p99),
    lastError === undefined ? "-" : `${lastError.code}, ${formatDuration(lastError.ago)} ago${id}`,
  ];
}

function showInfo(queue: string, info: QueueInfo): string[] {
  const names = namesOf(info.servers);
  const width = columnsOf();
  const lines = [describeQueue(queue, info)];
  for (const server of info.servers.toSorted((a, b) => compare(names.get(a.id), names.get(b.id)))) {
    const { id, library, uptime, state, inFlight, prefetch, oldest, rejected, omitted } = server;
    const since = oldest === undefined ? "" : `, the oldest for ${formatDuration(oldest)}`;
    lines.push(
      "",
      names.get(id) ?? "",
      `  version ${versionOf(server)}, ${printable(library)}, id ${printable(id)}`,
      `  ${state}, up ${formatDuration(uptime)}, ${inFlight} of ${prefetch} in flight${since}, ${rejected} rejected`,
      ...table(METHOD_COLUMNS, server.methods.map(methodRow), width - 2).map((line) => `  ${line}`),
    );
    if (omitted > 0) lines.push(`  and ${plural(omitted, "method")} more`);
  }
  return lines;
}

function compare(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `rpc ping` */
export const pingCommand: Command = command(
  "ping",
  "see which servers of a queue answer, and how fast",
  PING_HELP,
  showPing,
);

/** `rpc info` */
export const infoCommand: Command = command("info", "print the figures of the servers of a queue", INFO_HELP, showInfo);
