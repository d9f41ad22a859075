import type { QueueInfo, ServerInfo } from "../contract/server_info.ts";
import { namesOf, silentConsumers, type Totals, totalsOf } from "./server_rows.ts";

/** What `rpc top` shows of one server. Durations are in ms, rates in each second since the last question. */
export interface TopRow {
  readonly id: string;
  /** Its name, printable and unlike that of the others. */
  readonly name: string;
  readonly version: string | undefined;
  readonly state: ServerInfo["state"] | "silent";
  /** Requests that have ended; absent the first time. */
  readonly rate: number | undefined;
  /** Requests that have ended with an error; absent the first time. */
  readonly errorRate: number | undefined;
  readonly inFlight: number;
  readonly oldest: number | undefined;
  /** How long the handler took, of the requests since the last question; the first time, since the server's start. */
  readonly mean: number | undefined;
  /** The median of the method with most requests. */
  readonly p50: number | undefined;
  /** The largest 99th percentile of all methods. */
  readonly p99: number | undefined;
  /** Whether it is much slower than the others. */
  readonly slow: boolean;
}

interface Seen {
  readonly server: ServerInfo;
  readonly totals: Totals;
}

/** So many times slower than the median of the others is slow, */
const FACTOR = 3;
/** if it is at least so much, in ms. */
const MARGIN_MS = 1;
/** A request that is in flight for so long is compared with the others' handlers too, in ms. */
const STUCK_MS = 1_000;

/** Turns the answers of servers, which count from their start, into what happened since the last question. */
export class TopFigures {
  #seen = new Map<string, Seen>();

  /** The rows for the answers to one question: the slow ones first. */
  update(info: QueueInfo): TopRow[] {
    const rows = info.servers.map((server) => this.#row(server));
    const means = rows.flatMap(({ mean }) => mean ?? []).sort((a, b) => a - b);
    const marked = rows.map((row) => ({ ...row, slow: isSlow(row, means) }));
    const answered = new Set(info.servers.map(({ id }) => id));
    const silent = silentConsumers(info);
    // A server that blocks its process does not answer; which one it is, only those before it can tell.
    const missing = Array.from(this.#seen.values(), ({ server }) => server).filter(({ id }) => !answered.has(id));
    const known = silent > 0 ? missing.slice(0, silent) : [];
    const seen = [...info.servers, ...known].map((server) =>
      [server.id, { server, totals: totalsOf(server) }] as const
    );
    this.#seen = new Map(seen);
    const names = namesOf([...info.servers, ...known]);
    const named = [...marked, ...known.map(silentRow)].map((row) => ({ ...row, name: names.get(row.id) ?? row.name }));
    // By name, so that rows do not change places all the time.
    return named.sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  #row(server: ServerInfo): TopRow {
    const { id, name, version, state, inFlight, oldest, methods } = server;
    const before = this.#seen.get(id);
    const totals = totalsOf(server);
    // By the server's own clock: how long its answer was under way does not matter.
    const seconds = before === undefined ? 0 : (server.uptime - before.server.uptime) / 1_000;
    const rateOf = (count: number): number | undefined => seconds > 0 ? Math.max(0, count) / seconds : undefined;
    const handled = totals.handled - (before?.totals.handled ?? 0);
    const processingTime = totals.processingTime - (before?.totals.processingTime ?? 0);
    const busiest = methods.toSorted((a, b) => b.requests - a.requests)[0];
    const slowest = methods.map(({ p99 = 0 }) => p99).reduce((most, p99) => Math.max(most, p99), 0);
    return {
      id,
      name,
      version,
      state,
      rate: rateOf(totals.requests - (before?.totals.requests ?? 0)),
      errorRate: rateOf(totals.errors - (before?.totals.errors ?? 0)),
      inFlight,
      oldest,
      mean: handled > 0 ? Math.max(0, processingTime / handled) : undefined,
      p50: busiest?.p50,
      p99: slowest > 0 ? slowest : undefined,
      slow: false,
    };
  }
}

function silentRow({ id, name, version }: ServerInfo): TopRow {
  const none = { rate: undefined, errorRate: undefined, oldest: undefined, mean: undefined, p50: undefined };
  return { id, name, version, state: "silent", inFlight: 0, p99: undefined, slow: false, ...none };
}

/** @param means Those of all rows, this one's too, in ascending order: sorted once, since there may be many rows. */
function isSlow({ mean, oldest }: TopRow, means: readonly number[]): boolean {
  const own = mean === undefined ? 0 : 1;
  const median = withoutOwn(means, mean, Math.floor((means.length - own - 1) / 2));
  if (median === undefined) return false;
  if (mean !== undefined && mean >= FACTOR * median && mean - median >= MARGIN_MS) return true;
  return oldest !== undefined && oldest >= STUCK_MS &&
    oldest >= FACTOR * (withoutOwn(means, mean, means.length - own - 1) ?? 0);
}

/** The mean at a place in the list, if a row's own were not in it. */
function withoutOwn(means: readonly number[], own: number | undefined, at: number): number | undefined {
  const found = means[at];
  return own === undefined || found === undefined || found < own ? found : means[at + 1];
}

function rank({ slow, state }: TopRow): number {
  return slow || state === "silent" ? 1 : 0;
}
