/**
 * `deno task test:interop`: clients and servers of other languages and libraries with ours, on a private broker.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { Broker, interruption } from "../support/broker.ts";
import { ensureRabbitMQ, runScript } from "../support/install.ts";
import { NODE_VERSIONS } from "../support/npm.ts";
import { callOurServer, callTheirServer, type InteropQueueType, type Outcome, type Program } from "./cells.ts";
import { MISSING, type Peer, PEERS } from "./peers.ts";
import { type Readiness, setUp } from "./set_up.ts";

const HELP = `Try clients and servers of other languages and libraries with ours

Usage: deno task test:interop [NAME ...]

  NAME     only languages and libraries whose names contain one of these, in any case
  --help

As root on Debian it installs what is missing with apt-get; packages of npm go to a folder in ~/.cache. Exit codes:
0 all that could be had works, 1 something does not, 2 usage`;

const QUEUE_TYPES: readonly InteropQueueType[] = ["quorum", "transient"];

/** The widths of the columns language, library and version. */
const WIDTHS = [9, 26, 11] as const;

interface Report {
  passed: number;
  readonly failed: string[];
  /** What is not tried, and why. */
  readonly notes: string[];
  /** What each client printed for an error reply. */
  readonly printed: string[];
}

function line(names: readonly string[], cells: readonly string[]): string {
  const start = WIDTHS.map((width, index) => (names[index] ?? "").padEnd(width)).join("");
  return (start + cells.map((cell, index) => cell.padEnd(index % 2 === 0 ? 10 : 18)).join("")).trimEnd();
}

function header(): string {
  return [
    line(["", "", ""], ["its client,", "", "our client,", ""]),
    line(["", "", ""], ["our server", "", "its server", ""]),
    line(["language", "library", "version"], [...QUEUE_TYPES, ...QUEUE_TYPES]),
  ].join("\n");
}

/** Tries a library in both directions, on queues of both types. */
async function tryPeer(peer: Peer, program: Program, url: string, report: Report): Promise<string[]> {
  const cells: string[] = [];
  const name = `${peer.language} ${peer.library}`;
  function add(outcome: Outcome, what: string): void {
    cells.push(outcome.fault === "" ? "yes" : "no");
    if (outcome.fault === "") report.passed++;
    else report.failed.push(`${name}, ${what}: ${outcome.fault}`);
  }
  let printed: string | undefined;
  for (const queueType of QUEUE_TYPES) {
    const outcome = await callOurServer(program, url, { queue: `interop.${crypto.randomUUID()}`, queueType });
    printed ??= outcome.printed;
    add(outcome, `its client on a ${queueType} queue`);
  }
  if (printed !== undefined) report.printed.push(`${name}: ${printed}`);
  for (const queueType of QUEUE_TYPES) {
    if (peer.clientOnly !== undefined) {
      cells.push("—");
      continue;
    }
    const outcome = await callTheirServer(program, url, { queue: `interop.${crypto.randomUUID()}`, queueType });
    add(outcome, `its server on a ${queueType} queue`);
  }
  if (peer.clientOnly !== undefined) report.notes.push(`${name}, server: ${peer.clientOnly}`);
  return cells;
}

async function tryAll(peers: readonly Peer[], stop: AbortSignal): Promise<Report> {
  await ensureRabbitMQ(stop);
  const { places, readiness } = await setUp(peers, stop);
  const report: Report = { passed: 0, failed: [], notes: [], printed: [] };
  await using broker = await Broker.start({ signal: stop });
  const version = (await broker.eval("rabbit_misc:version()")).replaceAll('"', "");
  console.log(`RabbitMQ ${version}, Node ${NODE_VERSIONS[0]}\n\n${header()}`);
  for (const peer of peers) {
    stop.throwIfAborted();
    const ready: Readiness = readiness.get(peer) ?? { reason: "not set up" };
    if ("reason" in ready) {
      console.log(line([peer.language, peer.library, "—"], ["—", "—", "—", "—"]));
      report.notes.push(`${peer.language} ${peer.library}: ${ready.reason}`);
      continue;
    }
    if ("fault" in ready) {
      console.log(line([peer.language, peer.library, ""], ["no", "no", "no", "no"]));
      report.failed.push(`${peer.language} ${peer.library}: ${ready.fault}`);
      continue;
    }
    const program = { command: peer.run(places), env: peer.env?.(places) ?? {} };
    const cells = await tryPeer(peer, program, broker.url, report);
    console.log(line([peer.language, peer.library, ready.version], cells));
  }
  return report;
}

function chosen<T extends { language: string; library: string }>(all: readonly T[], names: readonly string[]): T[] {
  const wanted = names.map((name) => name.toLowerCase());
  return all.filter(({ language, library }) => {
    const name = `${language} ${library}`.toLowerCase();
    return wanted.length === 0 || wanted.some((text) => name.includes(text));
  });
}

function section(title: string, lines: readonly string[]): void {
  if (lines.length > 0) console.log(`\n${title}\n${lines.map((text) => `  ${text}`).join("\n")}`);
}

function usageError(message: string): void {
  console.error(`${message}\nTry --help`);
  Deno.exitCode = 2;
}

async function main(): Promise<void> {
  const unknown: string[] = [];
  const { help, _: names } = parseArgs(Deno.args, {
    boolean: ["help"],
    string: ["_"],
    unknown: (argument) => !argument.startsWith("-") || void unknown.push(argument),
  });
  if (help) return console.log(HELP);
  if (unknown.length > 0) return usageError(`Unexpected argument "${unknown[0]}": want names or --help`);
  const peers = chosen(PEERS, names.map(String));
  const missing = chosen(MISSING, names.map(String));
  if (peers.length + missing.length === 0) {
    return usageError(`No language or library is named like "${names.join('" or "')}"`);
  }

  const { passed, failed, notes, printed } = await tryAll(peers, interruption());
  for (const { language, library } of missing) console.log(line([language, library, "—"], ["—", "—", "—", "—"]));
  section("no:", failed);
  section("—:", [...notes, ...missing.map(({ language, library, reason }) => `${language} ${library}: ${reason}`)]);
  section('What its client prints for the error reply to the request "abc":', printed);
  console.log(`\n${passed} passed, ${failed.length} failed`);
  if (failed.length > 0 || passed === 0) Deno.exitCode = 1;
}

await runScript(main);
// Signal listeners would keep the process alive.
Deno.exit();
