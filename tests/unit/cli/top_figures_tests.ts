import { assertEquals, assertLess } from "@std/assert";
import { TopFigures, type TopRow } from "../../../lib/cli/top_figures.ts";
import type { MethodInfo, QueueInfo, ServerInfo } from "../../../lib/contract/server_info.ts";

const METHOD: MethodInfo = {
  name: undefined,
  requests: 0,
  codes: {},
  refused: 0,
  handled: 0,
  processingTime: 0,
  p50: undefined,
  p99: undefined,
  lastError: undefined,
};

/** A server whose handler has run `handled` times so far, `ms` in all. */
function server(id: string, handled: number, ms: number, more: Partial<ServerInfo> = {}): ServerInfo {
  return {
    id,
    name: id,
    version: undefined,
    library: "rpc/1",
    state: "serving",
    consumers: 1,
    uptime: 10_000,
    prefetch: 1,
    inFlight: 0,
    oldest: undefined,
    rejected: 0,
    methods: [{ ...METHOD, requests: handled, codes: { ok: handled }, handled, processingTime: ms }],
    omitted: 0,
    roundTrip: 1,
    ...more,
  };
}

function queue(servers: readonly ServerInfo[], consumers = servers.length): QueueInfo {
  return { messages: 0, consumers, servers };
}

function slow(rows: readonly TopRow[]): string[] {
  return rows.filter((row) => row.slow).map(({ name }) => name);
}

Deno.test("The first time, means are those since the start, and there are no rates", () => {
  const [row] = new TopFigures().update(queue([server("a", 10, 50)]));
  assertEquals([row?.mean, row?.rate, row?.errorRate], [5, undefined, undefined]);
});

Deno.test("Later, rates and means are those since the last question, by the clock of the server", () => {
  const figures = new TopFigures();
  figures.update(queue([server("a", 10, 50)]));
  const methods = [{
    ...METHOD,
    requests: 34,
    codes: { ok: 30, internal: 2, canceled: 2 },
    handled: 30,
    processingTime: 250,
  }];
  const [row] = figures.update(queue([server("a", 0, 0, { methods, uptime: 12_000 })]));
  assertEquals([row?.rate, row?.errorRate, row?.mean], [12, 1, 10]);
  const [idle] = figures.update(queue([server("a", 0, 0, { methods, uptime: 13_000 })]));
  assertEquals([idle?.rate, idle?.mean], [0, undefined]);
});

Deno.test("A server three times as slow as the others is slow, and comes first", () => {
  const rows = new TopFigures().update(queue([server("a", 10, 50), server("c", 10, 160), server("b", 10, 52)]));
  assertEquals(rows.map(({ name }) => name), ["c", "a", "b"]);
  assertEquals(slow(rows), ["c"]);
});

Deno.test("Of two servers, one that is slower by little is not slow, nor one that is slower by microseconds", () => {
  assertEquals(slow(new TopFigures().update(queue([server("a", 10, 50), server("b", 10, 149)]))), []);
  assertEquals(slow(new TopFigures().update(queue([server("a", 10, 1), server("b", 10, 10)]))), []);
  assertEquals(slow(new TopFigures().update(queue([server("a", 10, 1), server("b", 10, 12)]))), ["b"]);
});

Deno.test("A server alone, or whose others did nothing, is not slow", () => {
  assertEquals(slow(new TopFigures().update(queue([server("a", 10, 5_000)]))), []);
  assertEquals(slow(new TopFigures().update(queue([server("a", 10, 5_000), server("b", 0, 0)]))), []);
});

Deno.test("A server whose request hangs is slow, though no handler has ended", () => {
  const figures = new TopFigures();
  figures.update(queue([server("a", 10, 100), server("b", 10, 100)]));
  const hanging = { inFlight: 1, uptime: 11_000 };
  const fine = server("b", 20, 200, { uptime: 11_000 });
  assertEquals(slow(figures.update(queue([server("a", 10, 100, { ...hanging, oldest: 900 }), fine]))), []);
  const later = server("b", 30, 300, { uptime: 12_000 });
  const rows = figures.update(queue([server("a", 10, 100, { ...hanging, uptime: 12_000, oldest: 1_900 }), later]));
  assertEquals(slow(rows), ["a"]);
});

Deno.test("A server that has answered before and does not now is named, as long as a consumer is silent", () => {
  const figures = new TopFigures();
  figures.update(queue([server("a", 1, 1), server("b", 1, 1)]));
  const rows = figures.update(queue([server("a", 2, 2, { uptime: 11_000 })], 2));
  assertEquals(rows.map(({ name, state }) => [name, state]), [["b", "silent"], ["a", "serving"]]);
  const again = figures.update(queue([server("a", 2, 2, { uptime: 11_000 })], 2));
  assertEquals(again.map(({ name, state }) => [name, state]), [["b", "silent"], ["a", "serving"]]);
  const gone = figures.update(queue([server("a", 3, 3, { uptime: 12_000 })], 1));
  assertEquals(gone.map(({ name }) => name), ["a"]);
});

Deno.test("Servers of one name are told apart", () => {
  const rows = new TopFigures().update(queue([
    server("1111-a", 0, 0, { name: "x" }),
    server("2222-b", 0, 0, { name: "x" }),
    server("3333-c", 0, 0, { name: "y\x1b" }),
  ]));
  assertEquals(rows.map(({ name }) => name), ["x #1111", "x #2222", "y\\x1b"]);
});

Deno.test("A restarted server begins anew", () => {
  const figures = new TopFigures();
  figures.update(queue([server("a", 10, 50)]));
  const [row] = figures.update(queue([server("b", 3, 6, { uptime: 10 })]));
  assertEquals([row?.rate, row?.mean], [undefined, 2]);
});

Deno.test("Each server is compared with the others, as if their means were sorted for it alone", () => {
  let seed = 1;
  const random = (below: number): number => (seed = seed * 48_271 % 2_147_483_647) % below;
  for (let round = 0; round < 500; round++) {
    const servers = Array.from({ length: 1 + random(6) }, (_, at) => {
      const handled = random(4) === 0 ? 0 : 1;
      const oldest = random(2) === 0 ? undefined : 500 * random(8);
      return server(`${at}`, handled, handled * random(10) ** random(4), { oldest });
    });
    const wanted = servers.filter(({ id, oldest }) => {
      const means = servers.filter((other) => other.id !== id).flatMap(({ methods }) => meanOf(methods) ?? [])
        .sort((a, b) => a - b);
      const mean = meanOf(servers.find((one) => one.id === id)?.methods ?? []);
      const median = means[Math.floor((means.length - 1) / 2)];
      if (median === undefined) return false;
      if (mean !== undefined && mean >= 3 * median && mean - median >= 1) return true;
      return oldest !== undefined && oldest >= 1_000 && oldest >= 3 * (means.at(-1) ?? 0);
    });
    assertEquals(slow(new TopFigures().update(queue(servers))), wanted.map(({ name }) => name));
  }
});

function meanOf([method]: readonly MethodInfo[]): number | undefined {
  return method === undefined || method.handled === 0 ? undefined : method.processingTime / method.handled;
}

Deno.test("Ten thousand answers are compared in a moment", () => {
  const servers = Array.from({ length: 10_000 }, (_, at) => server(`${at}`, 1, at));
  const startedAt = performance.now();
  new TopFigures().update(queue(servers));
  assertLess(performance.now() - startedAt, 5_000);
});
