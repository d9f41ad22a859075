import { assertEquals, assertThrows } from "@std/assert";
import { answerHealth, type HealthStatus, parseHealthAddress } from "../../../lib/cli/health.ts";
import { UsageError } from "../../../lib/cli/command_line.ts";
import type { ServerStatus } from "../../../lib/rpc.ts";

const since = new Date(0);
const queues = [{ queue: "users", consuming: true, pending: 0 }];
const host = "rabbit-1:5672";

/** One of each state, and whether requests can be answered then. */
const STATES: { readonly [State in ServerStatus["state"]]: readonly [HealthStatus, boolean] } = {
  serving: [{ state: "serving", since, host, queues }, true],
  connected: [{ state: "connected", since, host, queues: [] }, false],
  connecting: [{ state: "connecting", since, reason: "no broker listens there", queues }, false],
  blocked: [{ state: "blocked", since, host, reason: "low on memory", queues }, false],
  draining: [{ state: "draining", since, queues }, false],
  closed: [{ state: "closed", since, queues }, false],
};

async function ask(path: string, status: HealthStatus, method = "GET"): Promise<[number, string]> {
  const response = answerHealth(new Request(`http://localhost:8080${path}`, { method }), status);
  return [response.status, await response.text()];
}

for (const [state, [status, ready]] of Object.entries(STATES)) {
  Deno.test(`/readyz is ${ready ? 200 : 503} and /livez is 200 while a server is ${state}`, async () => {
    const [code, body] = await ask("/readyz", status);
    assertEquals(code, ready ? 200 : 503);
    assertEquals(JSON.parse(body), { ok: ready, ...status, since: "1970-01-01T00:00:00.000Z" });
    const [live, liveBody] = await ask("/livez", status);
    assertEquals([live, JSON.parse(liveBody)], [200, { ...JSON.parse(body), ok: true }]);
  });
}

Deno.test("Health checks are one line, escaped, whatever a broker gives as its reason", async () => {
  const reason = "\x1b[2K\r\nb\u2028\u009b\u202e";
  const [, body] = await ask("/readyz", { state: "blocked", since, host, reason, queues });
  // deno-lint-ignore no-control-regex -- these are the characters that must not get through
  assertEquals(body.match(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]/), null);
  assertEquals([body.split("\n").length, JSON.parse(body).reason], [2, reason]);
});

Deno.test("Health checks answer no other path and no other method", async () => {
  const [status] = STATES.serving;
  for (const path of ["/", "/healthz", "/readyz/", "/livez/x", "//livez"]) {
    assertEquals((await ask(path, status))[0], 404, path);
  }
  assertEquals((await ask("/readyz?verbose", status))[0], 200);
  assertEquals((await ask("/readyz", status, "HEAD"))[0], 200);
  for (const method of ["POST", "DELETE"]) assertEquals((await ask("/readyz", status, method))[0], 405);
});

Deno.test("parseHealthAddress() takes a port, for this computer alone, or a host and a port", () => {
  const cases: readonly (readonly [string, string, number])[] = [
    ["8080", "127.0.0.1", 8080],
    ["1", "127.0.0.1", 1],
    ["65535", "127.0.0.1", 65535],
    ["0.0.0.0:8080", "0.0.0.0", 8080],
    ["localhost:80", "localhost", 80],
    ["[::]:8080", "::", 8080],
    ["[::1]:8080", "::1", 8080],
  ];
  for (const [text, hostname, port] of cases) assertEquals(parseHealthAddress(text), { hostname, port });
});

Deno.test("parseHealthAddress() refuses all else, and says what it wants", () => {
  const wrong = [
    "",
    "0",
    "65536",
    "123456",
    "-1",
    "80a",
    ":8080",
    "host:",
    "::1:8080",
    "[::]",
    "http://x:80",
    "a b:80",
    "80:80:80",
  ];
  for (const text of wrong) {
    assertThrows(() => parseHealthAddress(text), UsageError, "want PORT or HOST:PORT", text);
  }
});
