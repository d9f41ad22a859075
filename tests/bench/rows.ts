import type { QueueKind } from "./peer.ts";
import type { PeerInfo } from "./peers.ts";

/** What is asked of every peer alike. */
export interface Row {
  readonly queueKind: QueueKind;
  readonly inFlight: number;
  readonly bodyBytes: number;
  readonly servers: number;
}

export const IN_FLIGHT = [1, 100, 1_000, 10_000] as const;
export const QUEUE_KINDS = ["classic", "quorum"] as const;

/** A row whose bodies alone take more than this is left out. */
const MAX_BYTES_IN_FLIGHT = 64 * 1024 * 1024;

const plain = { bodyBytes: 2, servers: 1 };
const MORE = [
  { bodyBytes: 1024, servers: 1 },
  { bodyBytes: 64 * 1024, servers: 1 },
  { bodyBytes: 2, servers: 2 },
  { bodyBytes: 2, servers: 4 },
];

/** The rows to measure, and those of them that would take too much memory. */
export function rows(
  { full, inFlight, queueKinds }: {
    full: boolean;
    inFlight: readonly number[];
    queueKinds: readonly QueueKind[];
  },
): { readonly rows: readonly Row[]; readonly leftOut: readonly Row[] } {
  const all = [plain, ...(full ? MORE : [])].flatMap((more) =>
    queueKinds.flatMap((queueKind) => inFlight.map((count) => ({ queueKind, inFlight: count, ...more })))
  );
  const fits = (row: Row): boolean => row.inFlight * row.bodyBytes <= MAX_BYTES_IN_FLIGHT;
  return { rows: all.filter(fits), leftOut: all.filter((row) => !fits(row)) };
}

/** Whether a peer can do what a row asks. */
export function canDo({ atMost = Infinity }: PeerInfo, row: Row): boolean {
  return row.inFlight <= atMost;
}

/** A row's name, for people. */
export function nameOf({ queueKind, inFlight, bodyBytes, servers }: Row): string {
  const parts = [`${queueKind} queue`, `${inFlight.toLocaleString("en")} in flight`];
  if (bodyBytes !== plain.bodyBytes) parts.push(`bodies of ${bodyBytes / 1024} KiB`);
  if (servers !== plain.servers) parts.push(`${servers} servers`);
  return parts.join(", ");
}
