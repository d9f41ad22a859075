import type { QueueInfo } from "../contract/server_info.ts";
import { describeQueue } from "./server_rows.ts";
import { type Column, table, truncate } from "./table.ts";
import type { TopRow } from "./top_figures.ts";
import { formatCount, formatDuration, formatRate, plural } from "./units.ts";

const COLUMNS: readonly Column[] = [
  { title: "SERVER", align: "left", shrinks: true },
  { title: "", align: "left" },
  { title: "CALLS", drop: 1 },
  { title: "ERRORS", drop: 4 },
  { title: "IN FLIGHT", drop: 3 },
  { title: "OLDEST", drop: 6 },
  { title: "MEAN" },
  { title: "P50", drop: 5 },
  { title: "P99", drop: 2 },
];

/** How a frame is drawn. */
export interface FrameOptions {
  readonly width: number;
  /** How many lines there may be. */
  readonly height: number;
  /** Whether slow servers are bold. */
  readonly styled: boolean;
}

/** What `rpc top` shows, as lines. */
export function frame(queue: string, info: QueueInfo, rows: readonly TopRow[], options: FrameOptions): string[] {
  const { width, height, styled } = options;
  const head = [describeQueue(queue, info), describeTotals(rows)].map((line) => truncate(line, width));
  if (rows.length === 0) {
    return [...head, "", "No server of this library has answered"].map((line) => truncate(line, width));
  }
  const [titles = "", ...lines] = table(COLUMNS, rows.map(cells), width);
  // The two lines of the head, an empty one, the titles, and one below for the cursor.
  const room = Math.max(1, height - 5);
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1);
  const drawn = shown.map((line, at) => styled && rows[at]?.slow ? `\x1b[1m${line}\x1b[22m` : line);
  const more = lines.length - shown.length;
  return [...head, "", titles, ...drawn, ...(more > 0 ? [truncate(`and ${formatCount(more)} more`, width)] : [])];
}

function describeTotals(rows: readonly TopRow[]): string {
  const rates = rows.flatMap(({ rate }) => rate ?? []);
  const inFlight = rows.reduce((sum, row) => sum + row.inFlight, 0);
  const servers = plural(rows.length, "server");
  if (rates.length === 0) return `${servers}, ${formatCount(inFlight)} in flight`;
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  const errors = sum(rows.flatMap(({ errorRate }) => errorRate ?? []));
  const calls = formatRate(sum(rates), "calls");
  return `${servers}, ${formatCount(inFlight)} in flight, ${calls}, ${formatRate(errors, "errors")}`;
}

function cells({ name, slow, state, rate, errorRate, inFlight, oldest, mean, p50, p99 }: TopRow): string[] {
  const time = (ms: number | undefined): string => ms === undefined ? "-" : formatDuration(ms);
  const perSecond = (count: number | undefined): string => count === undefined ? "-" : formatRate(count);
  return [
    name,
    slow ? "SLOW" : state === "serving" ? "" : state === "silent" ? "NO ANSWER" : state,
    perSecond(rate),
    perSecond(errorRate),
    state === "silent" ? "-" : formatCount(inFlight),
    time(oldest),
    time(mean),
    time(p50),
    time(p99),
  ];
}
