/**
 * `deno task bench`: this library beside its peers, on a private broker.
 *
 * @module
 */

import { connect } from "amqplib";
import { parseCommandLine, runScript, UsageError } from "../../lib/cli/command_line.ts";
import { Broker, interruption } from "../support/broker.ts";
import { ensureRabbitMQ, runScript as runOnBroker } from "../support/install.ts";
import { criteria } from "./criteria.ts";
import { machine } from "./machine.ts";
import { heapPerCall, measure, PeerFailure } from "./pair.ts";
import type { Load, QueueKind } from "./peer.ts";
import { before, findPika, type PeerInfo, PEERS } from "./peers.ts";
import { plot } from "./plot.ts";
import { criteriaTable, table, toJson } from "./report.ts";
import { Results } from "./results.ts";
import { canDo, IN_FLIGHT, nameOf, QUEUE_KINDS, type Row, rows } from "./rows.ts";

const HELP = `Measure this library beside its peers, on a private broker

Usage: deno task bench [--full] [--json] [--svg FILE] [--rounds N] [--seconds S]
                       [--peers ID,...] [--before FOLDER] [--in-flight N,...] [--queues KIND,...] [--prefetch N]

  --full             bodies of 1 KiB and 64 KiB, and 2 and 4 servers as well
  --json             print JSON instead of tables
  --svg FILE         write a plot of throughput and p99 against calls in flight
  --rounds N         default 3; every figure is a median over them
  --seconds S        how long each peer is measured in each row and round, default 0.8
  --peers ID,...     only ${PEERS.map(({ id }) => id).join(", ")};
                     ${
  PEERS.filter(({ onlyIfNamed }) => onlyIfNamed).map(({ id }) => id).join(", ")
} only if it is named
  --before FOLDER    another checkout of this project, measured beside this one
  --in-flight N,...  only so many calls at once, default ${IN_FLIGHT.join(",")}
  --queues KIND,...  only classic or quorum
  --prefetch N       how many requests every server is given at once, default 500; with 200, servers wait for the
                     broker at thousands in flight, the queue gets deep, and the broker slows down
  --help

The exit code is 1 if a reply was wrong, a peer failed or the floor is no floor`;

const VALUED = ["svg", "rounds", "seconds", "peers", "before", "in-flight", "queues", "prefetch"];
/** In ms. With less, it is the compiler that is measured: more code takes longer to be fast. */
const WARM_UP = 1_000;

interface Settings {
  readonly full: boolean;
  readonly json: boolean;
  readonly svg: string | undefined;
  readonly rounds: number;
  readonly window: number;
  readonly prefetch: number;
  readonly peers: readonly PeerInfo[];
  readonly inFlight: readonly number[];
  readonly queueKinds: readonly QueueKind[];
}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`Invalid value "${text}" for --${flag}: want a number above 0`);
}

function choose<T>(
  text: string | undefined,
  all: readonly T[],
  name: (item: T) => string,
  flag: string,
  fallback = all,
): readonly T[] {
  return text?.split(",").map((wanted) => {
    const found = all.find((item) => name(item) === wanted);
    if (found !== undefined) return found;
    throw new UsageError(`Invalid value "${wanted}" for --${flag}: want one of ${all.map(name).join(", ")}`);
  }) ?? fallback;
}

function readSettings(): Settings {
  const { values, switches, operands } = parseCommandLine(Deno.args, VALUED, ["full", "json"]);
  if (operands.length > 0) throw new UsageError(`Unexpected argument "${operands[0]}"`);
  return {
    full: switches.has("full"),
    json: switches.has("json"),
    svg: values["svg"],
    rounds: Math.ceil(positive(values["rounds"] ?? "3", "rounds")),
    prefetch: Math.ceil(positive(values["prefetch"] ?? "500", "prefetch")),
    window: positive(values["seconds"] ?? "0.8", "seconds") * 1_000,
    peers: [
      ...choose(values["peers"], PEERS, ({ id }) => id, "peers", PEERS.filter(({ onlyIfNamed }) => !onlyIfNamed)),
      ...(values["before"] === undefined ? [] : [before(Deno.realPathSync(values["before"]))]),
    ],
    inFlight: values["in-flight"]?.split(",").map((count) => Math.ceil(positive(count, "in-flight"))) ?? IN_FLIGHT,
    queueKinds: choose(values["queues"], QUEUE_KINDS, (kind) => kind, "queues"),
  };
}

/** Deletes queues, so that no row leaves the broker anything for the next. */
async function deleteQueue(url: string, queue: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  await channel.deleteQueue(queue);
  await connection.close();
}

/** All of one run. */
class Run {
  readonly results: Results;
  readonly failures: { readonly row: string; readonly peer: string; readonly message: string }[] = [];
  readonly heap: Record<QueueKind, number> = { classic: NaN, quorum: NaN };
  readonly #settings: Settings;
  readonly #url: string;
  #queues = 0;

  constructor(settings: Settings, rows: readonly Row[], url: string) {
    this.results = new Results(rows);
    this.#settings = settings;
    this.#url = url;
  }

  /** Measures all peers of a row one after the other, so that they meet the same machine; each round begins elsewhere. */
  async round(number: number, stop: AbortSignal): Promise<void> {
    const { peers, rounds } = this.#settings;
    for (const [index, results] of this.results.rows.entries()) {
      console.error(
        `Round ${number + 1} of ${rounds}, row ${index + 1} of ${this.results.rows.length}: ${nameOf(results.row)}`,
      );
      const able = peers.filter((peer) => canDo(peer, results.row));
      const first = Math.floor(number * able.length / rounds);
      for (const peer of [...able.slice(first), ...able.slice(0, first)]) {
        if (stop.aborted) return;
        await this.#measure(peer, results);
      }
    }
  }

  async #measure(peer: PeerInfo, results: Results["rows"][number]): Promise<void> {
    const { queueKind, inFlight, bodyBytes, servers } = results.row;
    const load: Load = {
      url: this.#url,
      queue: `bench_${this.#queues++}`,
      queueKind,
      inFlight,
      bodyBytes,
      prefetch: this.#settings.prefetch,
      warmUp: WARM_UP,
      window: this.#settings.window,
    };
    try {
      results.add(peer, await measure(peer, load, servers));
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      const failure = { row: nameOf(results.row), peer: peer.label, message: error.message };
      this.failures.push(failure);
      console.error(`${failure.peer} failed: ${failure.message}`);
    }
    await deleteQueue(this.#url, load.queue);
  }

  async measureHeap(): Promise<void> {
    for (const queueKind of this.#settings.queueKinds) {
      const queue = `bench_${this.#queues++}`;
      this.heap[queueKind] = await heapPerCall(this.#url, queue, queueKind);
      await deleteQueue(this.#url, queue);
    }
  }
}

async function bench(settings: Settings): Promise<number> {
  const stop = interruption();
  await ensureRabbitMQ();
  const leftOut: string[] = [];
  const peers = settings.peers.filter(({ load }) => load !== undefined);
  if (peers.length < settings.peers.length) {
    if (await findPika()) peers.push(...settings.peers.filter(({ load }) => load === undefined));
    else leftOut.push("pika (Python): python3-pika is not installed");
  }
  const chosen = rows(settings);
  leftOut.push(...chosen.leftOut.map((row) => `${nameOf(row)}: its bodies alone take more than 64 MiB`));
  await using broker = await Broker.start();
  const run = new Run({ ...settings, peers }, chosen.rows, broker.url);
  const startedAt = performance.now();
  for (let number = 0; number < settings.rounds; number++) await run.round(number, stop);
  if (!stop.aborted && peers.some(({ id }) => id === "ours")) await run.measureHeap();
  if (stop.aborted) return 130;

  const goals = criteria(run.results, run.heap);
  const about = {
    ...await machine(broker),
    rounds: settings.rounds,
    secondsEach: settings.window / 1_000,
    prefetch: settings.prefetch,
    minutes: Math.round((performance.now() - startedAt) / 6_000) / 10,
  };
  if (settings.svg !== undefined) await Deno.writeTextFile(settings.svg, plot(run.results, settings.queueKinds));
  if (settings.json) {
    const all = { ...about, leftOut, failures: run.failures, rows: run.results.rows.map(toJson), goals };
    console.log(JSON.stringify(all, null, 2));
  } else {
    print(about, leftOut, run, criteriaTable(goals));
  }
  const floorFails = goals[0]?.pass === false;
  if (floorFails) console.error("The floor is below 1.3 times amqplib with noDelay at 100 in flight: it is no floor");
  return run.failures.length > 0 || floorFails ? 1 : 0;
}

function print(about: Record<string, unknown>, leftOut: readonly string[], run: Run, goals: string): void {
  for (const [key, value] of Object.entries(about)) console.log(`${key}: ${value}`);
  console.log(`
Every server, the floor's too, is given up to ${
    about["prefetch"]
  } requests at once. Bodies have 2 bytes unless a row says otherwise.
Figures are medians over the rounds, ratios (of calls/s) medians of the ratios of each round.
* @cloudamqp/amqp-client has no option for noDelay: it is set on its socket from outside.`);
  for (const text of leftOut) console.log(`Left out: ${text}`);
  for (const results of run.results.rows) if (results.peers.length > 0) console.log(`\n${table(results)}`);
  console.log(`\n### Goals\n\n${goals}\n\nThe goal for a million calls: deno task soak`);
  for (const { row, peer, message } of run.failures) console.log(`Failed: ${peer}, ${row}: ${message}`);
}

await runOnBroker(() =>
  runScript(HELP, () => bench(readSettings()), () => parseCommandLine(Deno.args, VALUED, ["full", "json"]))
);
