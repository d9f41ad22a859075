import type { Sample } from "./pair.ts";
import type { QueueKind } from "./peer.ts";
import type { PeerInfo } from "./peers.ts";
import type { Row } from "./rows.ts";

/** What one peer did in one row: one sample for each round. */
export interface PeerResult {
  readonly peer: PeerInfo;
  readonly samples: readonly Sample[];
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? NaN) + upper) / 2;
}

/** What all peers did in one row. */
export class RowResults {
  readonly row: Row;
  readonly #samples = new Map<PeerInfo, Sample[]>();

  constructor(row: Row) {
    this.row = row;
  }

  add(peer: PeerInfo, sample: Sample): void {
    const samples = this.#samples.get(peer) ?? [];
    this.#samples.set(peer, samples);
    samples.push(sample);
  }

  /** All peers that were measured. */
  get peers(): readonly PeerInfo[] {
    return Array.from(this.#samples.keys());
  }

  samples(peer: PeerInfo): readonly Sample[] {
    return this.#samples.get(peer) ?? [];
  }

  find(id: string): PeerInfo | undefined {
    return this.peers.find((peer) => peer.id === id);
  }

  /** A figure's median over the rounds. */
  median(peer: PeerInfo, figure: keyof Sample): number {
    return median(this.samples(peer).map((sample) => sample[figure]));
  }

  /** The median of the ratios of each round; NaN where there is nothing to compare with. */
  ratio(peer: PeerInfo | undefined, to: PeerInfo | undefined, figure: keyof Sample = "callsPerSecond"): number {
    return peer === undefined || to === undefined ? NaN : ratioOf(this.samples(peer), this.samples(to), figure);
  }

  /** The RPC library that made most calls here, at its best setting. */
  get bestLibrary(): PeerInfo | undefined {
    return this.best(({ kind }) => kind === "library", (peer) => -this.median(peer, "callsPerSecond"));
  }

  /** The peer of some for which a figure is lowest. */
  best(some: (peer: PeerInfo) => boolean, figure: (peer: PeerInfo) => number): PeerInfo | undefined {
    return this.peers.filter(some).toSorted((a, b) => figure(a) - figure(b))[0];
  }
}

/** The median of the ratios of each round. */
export function ratioOf(samples: readonly Sample[], to: readonly Sample[], figure: keyof Sample): number {
  const ratios: number[] = [];
  for (const [round, sample] of samples.entries()) {
    const other = to[round];
    if (other !== undefined) ratios.push(sample[figure] / other[figure]);
  }
  return median(ratios);
}

/** All rows of a run. */
export class Results {
  readonly rows: readonly RowResults[];

  constructor(rows: readonly Row[]) {
    this.rows = rows.map((row) => new RowResults(row));
  }

  /** The row with 2-byte bodies and one server. */
  find(queueKind: QueueKind, inFlight: number): RowResults | undefined {
    return this.rows.find(({ row }) =>
      row.queueKind === queueKind && row.inFlight === inFlight && row.bodyBytes === 2 && row.servers === 1
    );
  }
}
