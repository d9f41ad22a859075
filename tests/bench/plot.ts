import type { PeerInfo } from "./peers.ts";
import type { QueueKind } from "./peer.ts";
import type { Results, RowResults } from "./results.ts";

const COLORS = [
  "#7f7f7f",
  "#d62728",
  "#ff9896",
  "#aec7e8",
  "#1f77b4",
  "#98df8a",
  "#2ca02c",
  "#c5b0d5",
  "#9467bd",
  "#bcbd22",
];

const WIDTH = 900;
const PANEL = { width: 340, height: 230, left: 70, top: 40, gapX: 90, gapY: 70 };

interface Panel {
  readonly title: string;
  readonly queueKind: QueueKind;
  readonly figure: "callsPerSecond" | "p99";
  readonly x: number;
  readonly y: number;
}

function panels(queueKinds: readonly QueueKind[]): readonly Panel[] {
  return (["callsPerSecond", "p99"] as const).flatMap((figure, down) =>
    queueKinds.map((queueKind, across) => ({
      title: `${figure === "p99" ? "p99 in ms" : "calls per second"}, ${queueKind} queue`,
      queueKind,
      figure,
      x: PANEL.left + across * (PANEL.width + PANEL.gapX),
      y: PANEL.top + down * (PANEL.height + PANEL.gapY),
    }))
  );
}

/** A logarithmic scale from the power of ten below all values to the one above. */
function scale(
  values: readonly number[],
  from: number,
  to: number,
): { at: (value: number) => number; ticks: number[] } {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    at: (value) => from + (Math.log10(value) - low) / (high - low) * (to - from),
    ticks: Array.from({ length: high - low + 1 }, (_, n) => 10 ** (low + n)),
  };
}

function text(x: number, y: number, content: string, anchor = "middle", weight = "normal"): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-weight="${weight}">${escaped}</text>`;
}

function drawPanel(panel: Panel, rows: readonly RowResults[], peers: readonly PeerInfo[]): string {
  const { x, y, figure } = panel;
  const points = peers.map((peer) =>
    rows.filter((row) => row.peers.includes(peer)).map((row) => [row.row.inFlight, row.median(peer, figure)] as const)
  );
  const across = scale(rows.map(({ row }) => row.inFlight), x, x + PANEL.width);
  const up = scale(points.flat().map(([, value]) => value), y + PANEL.height, y);
  const parts = [text(x + PANEL.width / 2, y - 10, panel.title, "middle", "bold")];
  for (const tick of up.ticks) {
    const at = up.at(tick).toFixed(1);
    parts.push(`<path class="grid" d="M${x} ${at}h${PANEL.width}"/>`);
    parts.push(text(x - 6, Number(at) + 4, tick.toLocaleString("en", { maximumFractionDigits: 3 }), "end"));
  }
  for (const tick of across.ticks) {
    const at = across.at(tick).toFixed(1);
    parts.push(`<path class="grid" d="M${at} ${y}v${PANEL.height}"/>`);
    parts.push(text(Number(at), y + PANEL.height + 16, tick.toLocaleString("en")));
  }
  parts.push(text(x + PANEL.width / 2, y + PANEL.height + 34, "calls in flight"));
  for (const [index, line] of points.entries()) {
    const color = COLORS[index % COLORS.length];
    const at = line.map(([inFlight, value]) => `${across.at(inFlight).toFixed(1)},${up.at(value).toFixed(1)}`);
    const width = peers[index]?.kind === "ours" ? 3 : 1.5;
    parts.push(`<polyline points="${at.join(" ")}" fill="none" stroke="${color}" stroke-width="${width}"/>`);
    for (const point of at) {
      const [cx, cy] = point.split(",");
      parts.push(`<circle cx="${cx}" cy="${cy}" r="${width + 0.5}" fill="${color}"/>`);
    }
  }
  return parts.join("\n");
}

/** Throughput and p99 against calls in flight, as SVG. */
export function plot(results: Results, queueKinds: readonly QueueKind[]): string {
  const plain = results.rows.filter(({ row, peers }) => row.bodyBytes === 2 && row.servers === 1 && peers.length > 0);
  const peers = Array.from(new Set(plain.flatMap((row) => row.peers)));
  const parts = panels(queueKinds).map((panel) =>
    drawPanel(panel, plain.filter(({ row }) => row.queueKind === panel.queueKind), peers)
  );
  const legendTop = PANEL.top + 2 * (PANEL.height + PANEL.gapY) + 10;
  for (const [index, { label }] of peers.entries()) {
    const x = PANEL.left + (index % 2) * (PANEL.width + PANEL.gapX);
    const y = legendTop + Math.floor(index / 2) * 20;
    parts.push(`<path d="M${x} ${y}h24" stroke="${COLORS[index % COLORS.length]}" stroke-width="4"/>`);
    parts.push(text(x + 32, y + 4, label.replaceAll("*", ""), "start"));
  }
  const height = legendTop + Math.ceil(peers.length / 2) * 20 + 10;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<style>.grid{stroke:#ddd;fill:none}</style>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${parts.join("\n")}
</svg>
`;
}
