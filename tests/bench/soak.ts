/**
 * `deno task soak`: calls at a steady rate for minutes; fails if anything grows.
 *
 * @module
 */

import { parseCommandLine, runScript, UsageError } from "../../lib/cli/command_line.ts";
import { Broker, interruption } from "../support/broker.ts";
import { ensureRabbitMQ, runScript as runOnBroker } from "../support/install.ts";
import { Worker } from "./pair.ts";
import { denoProcess } from "./peers.ts";
import { median } from "./results.ts";
import type { SoakLoad, SoakSaid } from "./soak_worker.ts";

const HELP = `Make calls at a steady rate for minutes, on a private broker, and see that nothing grows

Usage: deno task soak [--calls N | --minutes M] [--rate R]

  --calls N     default 1000000
  --minutes M   as many calls as fit into so many minutes
  --rate R      calls per second, default 5000
  --help

The exit code is 1 if a reply was wrong, or RSS, handles, pending calls or p99 grew after the first 100,000 calls`;

const VALUED = ["calls", "minutes", "rate"];
/** From then on nothing may grow. */
const WARM_UP_CALLS = 100_000;
const MAX_RSS_GROWTH = 1.1;
/** p99 and pending calls vary from second to second far more than memory. */
const MAX_SWING = 2;
const SLACK = { p99: 5, pending: 50 };
const PATIENCE = 30_000;

/** What both sides said in the same second. */
interface Second {
  readonly client: SoakSaid;
  readonly server: SoakSaid;
}

interface Verdict {
  readonly what: string;
  readonly before: number;
  readonly after: number;
  readonly unit: string;
  readonly good: boolean;
}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`Invalid value "${text}" for --${flag}: want a number above 0`);
}

function readSettings(): { readonly calls: number; readonly rate: number } {
  const { values: { calls, minutes, rate = "5000" }, operands } = parseCommandLine(Deno.args, VALUED);
  if (operands.length > 0) throw new UsageError(`Unexpected argument "${operands[0]}"`);
  const perSecond = positive(rate, "rate");
  if (calls !== undefined && minutes !== undefined) throw new UsageError("Want either --calls or --minutes");
  if (minutes === undefined) return { calls: Math.ceil(positive(calls ?? "1000000", "calls")), rate: perSecond };
  return { calls: Math.ceil(positive(minutes, "minutes") * 60 * perSecond), rate: perSecond };
}

/** A soak that is shorter than its warm-up should be is still judged. */
function warmUpOf(calls: number): number {
  return Math.min(WARM_UP_CALLS, Math.floor(calls / 2));
}

/** Compares the first tenth of what followed the warm-up with the last. */
function judge(seconds: readonly Second[], calls: number): readonly Verdict[] {
  const warmUp = warmUpOf(calls);
  const warm = seconds.filter(({ client }) => client.calls >= warmUp && !client.done);
  const tenth = Math.max(1, Math.floor(warm.length / 10));
  const compare = (figure: (second: Second) => number): readonly [number, number] => [
    median(warm.slice(0, tenth).map(figure)),
    median(warm.slice(-tenth).map(figure)),
  ];
  const verdict = (
    what: string,
    unit: string,
    figure: (second: Second) => number,
    most: (before: number) => number,
  ): Verdict => {
    const [before, after] = compare(figure);
    return { what, unit, before, after, good: after <= most(before) };
  };
  const rss = (before: number): number => before * MAX_RSS_GROWTH;
  const same = (before: number): number => before;
  return [
    verdict("RSS of the client", " MB", ({ client }) => client.usage.rss / 1e6, rss),
    verdict("RSS of the server", " MB", ({ server }) => server.usage.rss / 1e6, rss),
    verdict("handles of the client", "", ({ client }) => client.usage.handles, same),
    verdict("handles of the server", "", ({ server }) => server.usage.handles, same),
    verdict("pending calls", "", ({ client }) => client.pending, (before) => before * MAX_SWING + SLACK.pending),
    verdict("p99", " ms", ({ client }) => client.p99, (before) => before * MAX_SWING + SLACK.p99),
  ];
}

function show({ client, server }: Second): void {
  const mb = ({ usage }: SoakSaid): string => `${(usage.rss / 1e6).toFixed(0)} MB, ${usage.handles} handles`;
  console.log(
    `${client.calls.toLocaleString("en").padStart(11)} calls, ${client.pending} pending, p99 ${
      client.p99.toFixed(1)
    } ms;` +
      ` client ${mb(client)}; server ${mb(server)}`,
  );
}

async function soak({ calls, rate }: { readonly calls: number; readonly rate: number }): Promise<number> {
  const stop = interruption();
  await ensureRabbitMQ();
  await using broker = await Broker.start();
  const load: SoakLoad = { url: broker.url, queue: "soak", calls, rate };
  const start = (role: string): Worker =>
    new Worker(denoProcess(["soak_worker.ts", role, JSON.stringify(load)]), PATIENCE);
  await using server = start("server");
  await server.hear("ready");
  await using client = start("client");
  await client.hear("ready");
  const seconds: Second[] = [];
  const showEvery = Math.max(1, Math.round(calls / rate / 20));
  for (;;) {
    const [clientSaid, serverSaid] = await Promise.all([client.hear("second"), server.hear("second")]);
    if (stop.aborted) return 130;
    const second = { client: clientSaid, server: serverSaid };
    seconds.push(second);
    if (seconds.length % showEvery === 0 || clientSaid.done) show(second);
    if (clientSaid.done) break;
  }
  const verdicts = judge(seconds, calls);
  console.log(`\nFrom the first seconds after ${warmUpOf(calls).toLocaleString("en")} calls to the last:`);
  for (const { what, before, after, unit, good } of verdicts) {
    const figures = [before, after].map((value) => `${Math.round(value * 10) / 10}${unit}`);
    const grown = before === after || before === 0 ? "" : ` (${((after / before - 1) * 100).toFixed(1)} %)`;
    console.log(`${what}: ${figures.join(" to ")}${grown}: ${good ? "pass" : "GREW"}`);
  }
  return verdicts.every(({ good }) => good) ? 0 : 1;
}

await runOnBroker(() => runScript(HELP, () => soak(readSettings()), () => parseCommandLine(Deno.args, VALUED)));
