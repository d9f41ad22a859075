import type { QueueKind } from "./peer.ts";
import { BEFORE } from "./peers.ts";
import { ratioOf, type Results, type RowResults } from "./results.ts";

/** One goal, and how near this run came to it. */
export interface Criterion {
  readonly goal: string;
  readonly figures: Readonly<Record<QueueKind, number>>;
  readonly unit: string;
  /** Whether the classic queue's figure, which counts, is good enough; absent where it was not measured. */
  readonly pass: boolean | undefined;
}

/** Below this multiple of plain amqplib the floor is no floor. */
export const FLOOR_MARGIN = 1.3;
/** What a pending call may take, in bytes of heap. */
const MAX_HEAP = 1024;

interface Goal {
  readonly goal: string;
  readonly figure: (queueKind: QueueKind) => number;
  /** Absent for a figure that is there to compare another with. */
  readonly good?: (figure: number) => boolean;
  readonly unit?: string;
}

/** How often the slowest of the peers that leave Nagle on is beaten, at the least. */
function marginOverNagle(one: RowResults): number {
  const ours = one.find("ours");
  return Math.min(...one.peers.filter(({ nagle }) => nagle).map((peer) => one.ratio(peer, ours, "p50")));
}

/** Our p99 in units of the lowest that a peer has. */
function p99OverBest(row: RowResults): number {
  const best = row.best(({ kind }) => kind === "plain" || kind === "library", (peer) => row.median(peer, "p99"));
  return row.ratio(row.find("ours"), best, "p99");
}

/** What a call costs a peer at 10,000 in flight, in units of what it costs at 100. */
function costOf10000(results: Results, queueKind: QueueKind, id: string): number {
  const [few, many] = [results.find(queueKind, 100), results.find(queueKind, 10_000)];
  const [peer, samePeer] = [few?.find(id), many?.find(id)];
  if (peer === undefined || samePeer === undefined) return NaN;
  return ratioOf(few?.samples(peer) ?? [], many?.samples(samePeer) ?? [], "callsPerSecond");
}

/** The goals of the work on speed, with their figures. */
export function criteria(results: Results, heapPerCall: Readonly<Record<QueueKind, number>>): readonly Criterion[] {
  const at = (inFlight: number, figure: (row: RowResults) => number) => (queueKind: QueueKind): number => {
    const row = results.find(queueKind, inFlight);
    return row === undefined ? NaN : figure(row);
  };
  const oursTo = (id: string, figure: "callsPerSecond" | "p50" = "callsPerSecond") => (row: RowResults): number =>
    row.ratio(row.find("ours"), row.find(id), figure);
  const goals: Goal[] = [
    {
      goal: "floor check: 100 in flight, the floor's calls/s at least 1.3 times amqplib's with noDelay",
      figure: at(100, (row) => row.ratio(row.find("floor"), row.find("amqplib-nodelay"))),
      good: (figure) => figure >= FLOOR_MARGIN,
    },
    {
      goal: "1 in flight: p50 at most 1.35 times amqplib's with noDelay",
      figure: at(1, oursTo("amqplib-nodelay", "p50")),
      good: (figure) => figure <= 1.35,
    },
    {
      goal: "1 in flight: p50 at least 50 times better than every peer whose defaults leave Nagle on",
      figure: at(1, marginOverNagle),
      good: (figure) => figure >= 50,
    },
    {
      goal: "100 in flight: calls/s at least 1.3 times the best RPC library's",
      figure: at(100, (row) => row.ratio(row.find("ours"), row.bestLibrary)),
      good: (figure) => figure >= 1.3,
    },
    {
      goal: "100 in flight: p99 below every peer's (as a part of the lowest)",
      figure: at(100, p99OverBest),
      good: (figure) => figure < 1,
    },
    {
      goal: "100 in flight: calls/s at least 1.0 times amqplib's with noDelay",
      figure: at(100, oursTo("amqplib-nodelay")),
      good: (figure) => figure >= 1,
    },
    {
      goal: "10,000 in flight: a call costs at most 1.15 times what it costs at 100",
      figure: (queueKind) => costOf10000(results, queueKind, "ours"),
      good: (figure) => figure <= 1.15,
    },
    {
      goal: "(the same of the floor, which is what it costs the broker)",
      figure: (queueKind) => costOf10000(results, queueKind, "floor"),
    },
    {
      goal: "10,000 in flight: at most 1,024 bytes of heap per pending call",
      figure: (queueKind) => heapPerCall[queueKind],
      good: (figure) => figure <= MAX_HEAP,
      unit: "B",
    },
    {
      goal: "100 in flight: calls/s at least 0.65 of the floor's",
      figure: at(100, oursTo("floor")),
      good: (figure) => figure >= 0.65,
    },
    {
      goal: "1 in flight: calls/s at least 0.60 of the floor's",
      figure: at(1, oursTo("floor")),
      good: (figure) => figure >= 0.6,
    },
    {
      goal: "100 in flight: calls/s with two headers of 20 bytes at least 0.93 of those without",
      figure: at(100, (row) => row.ratio(row.find("ours-headers"), row.find("ours"))),
      good: (figure) => figure >= 0.93,
    },
    {
      goal: "100 in flight: calls/s with telemetry that has no SDK at least 0.98 of those without",
      figure: at(100, (row) => row.ratio(row.find("ours-telemetry"), row.find("ours"))),
      good: (figure) => figure >= 0.98,
    },
    {
      goal: "100 in flight: calls/s at least 0.98 of those of the checkout before",
      figure: at(100, (row) => row.ratio(row.find("ours"), row.peers.find(({ id }) => id.startsWith(BEFORE)))),
      good: (figure) => figure >= 0.98,
    },
  ];
  return goals.map(({ goal, figure, good, unit = "×" }) => {
    const figures = { classic: figure("classic"), quorum: figure("quorum") };
    return { goal, figures, unit, pass: Number.isFinite(figures.classic) ? good?.(figures.classic) : undefined };
  });
}
