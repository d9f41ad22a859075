/**
 * `deno task server --health`: what a supervisor such as Kubernetes is told, over HTTP.
 *
 * @module
 */

import { assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { live, waitFor, withChannel } from "../support/live.ts";
import { freePort } from "../support/ports.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { denoArgs, type Script, start } from "../support/script.ts";

const AWAITING = " [x] Awaiting RPC requests\n";

interface Answer {
  readonly code: number;
  readonly body: { readonly ok: boolean; readonly state: string; readonly since: string; readonly queues?: unknown };
}

async function ask(port: number, path: "/livez" | "/readyz"): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { code: response.status, body: await response.json() };
}

/** The states of both checks: `200 serving, 200 serving`. */
async function both(port: number): Promise<string> {
  const [live, ready] = await Promise.all([ask(port, "/livez"), ask(port, "/readyz")]);
  return `${live.code} ${live.body.state}, ${ready.code} ${ready.body.state}`;
}

function serve(url: string, port: number, ...args: string[]): Script {
  return start(denoArgs("server.ts", "--url", url, "--health", `${port}`, ...args));
}

live("A server is ready while it serves, and not while it finishes its requests", { run: true }, async (use) => {
  const { url, queue } = use;
  const port = freePort();
  await using serving = serve(url, port, "--queue", queue, "--queue-type", "classic", "--delay", "1s");
  await serving.printed(AWAITING);
  assertEquals(await both(port), "200 serving, 200 serving");
  const { body } = await ask(port, "/readyz");
  assertEquals(body.queues, [{ queue, consuming: true, pending: 0 }]);
  assertEquals(Math.abs(Date.now() - new Date(body.since).getTime()) < 60_000, true);
  assertEquals(JSON.stringify(body).includes("guest"), false);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from("30"), { replyTo, correlationId: "c" });
    await serving.printed(" [.] fib(30)");
    serving.kill("SIGTERM");
    await waitFor("it is not ready", async () => await both(port) === "200 draining, 503 draining");
    assertEquals((await serving.ended()).code, 0);
    assertEquals(
      (await waitFor("the reply", () => channel.get(replyTo, { noAck: true }))).content.toString(),
      "832040",
    );
  });
});

live("A server is alive and not ready while it connects", { run: true }, async ({ url, queue }) => {
  await using link = relay(portOf(url));
  link.stall();
  const port = freePort();
  await using serving = serve(through(url, link.port), port, "--queue", queue);
  const answer = await waitFor("it answers", () => both(port).catch(() => undefined));
  assertEquals(answer, "200 connecting, 503 connecting");
  link.resume();
  await serving.printed(AWAITING);
  assertEquals(await both(port), "200 serving, 200 serving");
});

live("A server is not ready two heartbeats after its broker fell silent, and ready when it is back", {
  run: true,
}, async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const port = freePort();
  const slow = new URL(through(url, link.port));
  slow.searchParams.set("heartbeat", "1");
  await using serving = serve(String(slow), port, "--queue", queue, "--queue-type", "classic");
  await serving.printed(AWAITING);
  link.stall();
  const stalled = performance.now();
  await waitFor("it is not ready", async () => (await ask(port, "/readyz")).code === 503, 10_000);
  // The timers of a busy machine are late.
  assertLess(performance.now() - stalled, 2_400);
  assertEquals(await both(port), "200 connecting, 503 connecting");
  link.resume();
  await waitFor("it is ready", async () => (await ask(port, "/readyz")).code === 200, 20_000);
});

live("A server whose health checks cannot be answered does not start, and says why", { run: true }, async (use) => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await using serving = serve(use.url, port);
  const { code, stdout, stderr } = await serving.ended();
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, `Cannot answer health checks at 127.0.0.1:${port}: the port is taken\n`);
});

live(
  "A server whose health checks are at an address of another computer does not start",
  { run: true },
  async (use) => {
    await using serving = start(denoArgs("server.ts", "--url", use.url, "--health", "203.0.113.1:80"));
    const { code, stderr } = await serving.ended();
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, "Cannot answer health checks at 203.0.113.1:80: ");
  },
);
