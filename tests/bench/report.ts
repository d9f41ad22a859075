import type { Criterion } from "./criteria.ts";
import type { RowResults } from "./results.ts";
import { nameOf } from "./rows.ts";

const COLUMNS = [
  "peer",
  "calls/s",
  "p50 ms",
  "p99 ms",
  "client CPU s/10k",
  "server CPU s/10k",
  "client MB",
  "server MB",
  "× floor",
  "× amqplib noDelay",
  "× best library",
];

/** A table whose first row is its head. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const lines = rows.map((row) => {
    const cells = widths.map((width, column) => {
      const cell = row[column] ?? "";
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${cells.join(" | ")} |`;
  });
  const rule = widths.map((width, column) => column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
}

function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "";
}

/** Three digits that count, for a time in ms. */
function ms(value: number): string {
  return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** One row of the bench as a table of its peers. */
export function table(results: RowResults): string {
  const { bestLibrary } = results;
  const floor = results.find("floor");
  const amqplib = results.find("amqplib-nodelay");
  const lines = results.peers.map((peer) => [
    peer.label,
    Math.round(results.median(peer, "callsPerSecond")).toLocaleString("en"),
    ms(results.median(peer, "p50")),
    ms(results.median(peer, "p99")),
    fixed(results.median(peer, "clientCpu"), 2),
    fixed(results.median(peer, "serverCpu"), 2),
    fixed(results.median(peer, "clientRss") / 1e6, 0),
    fixed(results.median(peer, "serverRss") / 1e6, 0),
    fixed(results.ratio(peer, floor), 2),
    fixed(results.ratio(peer, amqplib), 2),
    fixed(results.ratio(peer, bestLibrary), 2),
  ]);
  const best = bestLibrary === undefined ? "" : `\n\nThe best library here is ${bestLibrary.label}.`;
  return `### ${nameOf(results.row)}\n\n${markdown([COLUMNS, ...lines])}${best}`;
}

/** The goals as a table. */
export function criteriaTable(criteria: readonly Criterion[]): string {
  const show = (value: number, unit: string): string =>
    Number.isFinite(value) ? `${fixed(value, unit === "B" || value >= 100 ? 0 : 2)} ${unit}` : "not measured";
  const lines = criteria.map(({ goal, figures, unit, pass }) => [
    goal,
    show(figures.classic, unit),
    pass === undefined ? "" : pass ? "pass" : "miss",
    show(figures.quorum, unit),
  ]);
  return markdown([["goal (it counts for the classic queue)", "classic", "", "quorum"], ...lines]);
}

/** All that was measured, for machines. */
export function toJson(results: RowResults): unknown {
  const { bestLibrary } = results;
  return {
    ...results.row,
    bestLibrary: bestLibrary?.id,
    peers: results.peers.map((peer) => ({
      id: peer.id,
      callsPerSecond: results.median(peer, "callsPerSecond"),
      p50: results.median(peer, "p50"),
      p99: results.median(peer, "p99"),
      clientCpuPer10000: results.median(peer, "clientCpu"),
      serverCpuPer10000: results.median(peer, "serverCpu"),
      clientPeakRss: results.median(peer, "clientRss"),
      serverPeakRss: results.median(peer, "serverRss"),
      toFloor: results.ratio(peer, results.find("floor")),
      toAmqplibNoDelay: results.ratio(peer, results.find("amqplib-nodelay")),
      toBestLibrary: results.ratio(peer, bestLibrary),
      samples: results.samples(peer),
    })),
  };
}
