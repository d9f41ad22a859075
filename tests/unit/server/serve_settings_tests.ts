import { assertEquals, assertThrows } from "@std/assert";
import { serveSettings } from "../../../lib/server/serve_settings.ts";

const MODULE = "file:///heavy.ts";

Deno.test("serveSettings() has 10 requests in progress for handlers, and as many as workers for a module", () => {
  assertEquals(serveSettings({}, {}).prefetch, 10);
  const { module, workers, prefetch, loadShedding } = serveSettings(MODULE, { workers: 3 });
  assertEquals([module, workers, prefetch, loadShedding], [MODULE, 3, 3, true]);
  assertEquals(serveSettings(new URL(MODULE), { workers: 3, prefetch: 20 }).prefetch, 20);
  const all = serveSettings(MODULE, {});
  assertEquals([all.workers, all.prefetch], [navigator.hardwareConcurrency, navigator.hardwareConcurrency]);
});

Deno.test("serveSettings() refuses what is out of its bounds", () => {
  for (const workers of [0, 1.5, 1_001]) {
    assertThrows(() => serveSettings(MODULE, { workers }), RangeError, "'workers'");
  }
  for (const prefetch of [0, 65_536]) assertThrows(() => serveSettings({}, { prefetch }), RangeError, "'prefetch'");
  assertEquals(serveSettings(MODULE, { workers: 1_000 }).workers, 1_000);
  assertThrows(() => serveSettings({}, { workers: 2 }), TypeError, "needs the URL of a module");
});
