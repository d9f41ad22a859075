import { assert, assertEquals } from "@std/assert";
import { widthOf } from "../../../lib/cli/table.ts";
import type { TopRow } from "../../../lib/cli/top_figures.ts";
import { frame } from "../../../lib/cli/top_view.ts";
import type { ServerInfo } from "../../../lib/contract/server_info.ts";

const ROW: TopRow = {
  id: "1",
  name: "server.ts@web-1 pid=4242 rpc=0.1.0",
  version: "1.0.0",
  state: "serving",
  rate: 1_234.5,
  errorRate: 0,
  inFlight: 3,
  oldest: 12,
  mean: 5.25,
  p50: 4.1,
  p99: 23,
  slow: false,
};
const ROWS: readonly TopRow[] = [
  { ...ROW, id: "2", name: "server.ts@web-2 pid=17 rpc=0.1.0", rate: 12, mean: 250, p50: 248, p99: 410, slow: true },
  { ...ROW, id: "3", name: "server.ts@web-3 pid=1 rpc=0.1.0", state: "silent", inFlight: 0, mean: undefined },
  ROW,
];
const INFO = {
  messages: 1_200,
  consumers: 4,
  servers: ROWS.filter(({ state }) => state === "serving").map(() => ({ consumers: 1 })) as unknown as ServerInfo[],
};
const WIDE = { width: Infinity, height: Infinity, styled: false };

Deno.test("A frame shows the queue, all servers, and which one is slow", () => {
  assertEquals(frame("rpc_queue", INFO, ROWS, WIDE), [
    "rpc_queue: 1,200 requests waiting, 4 consumers, 2 without an answer (of another library, or too busy)",
    "3 servers, 6 in flight, 2,481 calls/s, 0 errors/s",
    "",
    "SERVER                                           CALLS  ERRORS  IN FLIGHT  OLDEST     MEAN     P50     P99",
    "server.ts@web-2 pid=17 rpc=0.1.0    SLOW          12/s     0/s          3   12 ms   250 ms  248 ms  410 ms",
    "server.ts@web-3 pid=1 rpc=0.1.0     NO ANSWER  1,235/s     0/s          -   12 ms        -  4.1 ms   23 ms",
    "server.ts@web-1 pid=4242 rpc=0.1.0             1,235/s     0/s          3   12 ms  5.25 ms  4.1 ms   23 ms",
  ]);
});

for (const width of [10, 40, 60, 80, 100, 120]) {
  Deno.test(`A frame at ${width} columns fits, and says which server is slow`, () => {
    const lines = frame("rpc_queue", INFO, ROWS, { ...WIDE, width });
    for (const line of lines) assert(widthOf(line) <= width, line);
    if (width >= 40) assert(/^server\.ts@web.*SLOW.*250 ms/.test(lines[4] ?? ""), lines[4]);
  });
}

Deno.test("A frame has no more lines than the terminal", () => {
  const many = Array.from({ length: 100 }, (_, n) => ({ ...ROW, id: `${n}` }));
  const lines = frame("q", INFO, many, { ...WIDE, height: 24 });
  assertEquals([lines.length, lines.at(-1)], [23, "and 82 more"]);
  const fitting = frame("q", INFO, many.slice(0, 19), { ...WIDE, height: 24 });
  assertEquals(fitting.length, 23);
  assert(!fitting.at(-1)?.includes("more"));
});

Deno.test("A slow server is bold where text may be styled", () => {
  const lines = frame("q", INFO, ROWS, { ...WIDE, styled: true });
  assertEquals(lines.filter((line) => line.includes("\x1b")).map((line) => line.slice(0, 12)), ["\x1b[1mserver.t"]);
});

Deno.test("Without an answer, that is said", () => {
  assertEquals(frame("q", { messages: 0, consumers: 1, servers: [] }, [], WIDE), [
    "q: 0 requests waiting, 1 consumer, 1 without an answer (of another library, or too busy)",
    "0 servers, 0 in flight",
    "",
    "No server of this library has answered",
  ]);
});
