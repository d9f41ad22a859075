import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { type ClientEvent, RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { settlesWithin } from "../../lib/contract/deadline.ts";
import { double } from "../support/lab_server.ts";
import { listen, SOON } from "../support/lab.ts";
import { live, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { failure } from "../support/pair.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { start } from "../support/script.ts";
import { gated } from "../support/handlers.ts";

live("RpcClient.close() does not hang on a stalled link, wherever replies go", async ({ url, queue }) => {
  await withChannel(url, (channel) => channel.assertQueue(queue));
  await using link = relay(portOf(url));
  const clients = await Promise.all((["queue", "direct"] as const).map((replies) => {
    return RpcClient.connect(through(url, link.port), { replies, drainTimeout: 100, onEvent: () => {} });
  }));
  const calls = clients.map((client) => failure(client.call(double(queue), 1)));
  await waitFor("the requests are in the queue", async () => (await queueInfo(url, queue))?.messages === 2);
  link.stall();
  const began = performance.now();
  await Promise.all(clients.map((client) => client.close()));
  // The drain, and a second each for the channels' and the connection's goodbye.
  assertLess(performance.now() - began, 4_000);
  assertEquals((await Promise.all(calls)).map(({ code }) => code), ["canceled", "canceled"]);
  assertEquals(clients.map(({ pending }) => pending), [0, 0]);
});

live("RpcServer.close() does not hang on a stalled link, and the request goes elsewhere", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const server = await RpcServer.connect(through(url, link.port), { drainTimeout: 100, onEvent: () => {} });
  const started = Promise.withResolvers<void>();
  await server.serve(double(queue), async (n, { signal }) => {
    started.resolve();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    return n;
  });
  await using client = await RpcClient.connect(url);
  const call = client.call(double(queue), 21);
  await started.promise;
  link.stall();
  const began = performance.now();
  await server.close();
  assertLess(performance.now() - began, 4_000);
  link.cut();
  await using other = await RpcServer.connect(url);
  await other.serve(double(queue), (n) => 2 * n);
  assertEquals(await call, 42);
});

live("close() during a reconnect that gets no answer ends it", async ({ url }) => {
  await using link = relay(portOf(url));
  const events = listen<ClientEvent>();
  const client = await RpcClient.connect(through(url, link.port), { backoff: SOON, onEvent: events.onEvent });
  link.stall();
  link.cut();
  await waitFor("the client tries again", () => link.accepted === 2);
  const began = performance.now();
  await client.close();
  assertLess(performance.now() - began, 1_000);
  assertEquals(events.of("connected").length, 1);
  assert(await queueInfo(url, "lab.none") === undefined);
});

/** A process that connects, says so, and closes when its link has stalled; it must then end by itself. */
const CLOSES = `
  const [side, url, queue] = Deno.args;
  const { integer, procedure, RpcClient, RpcServer } = await import(new URL("lib/rpc.ts", ROOT).href);
  const called = procedure({ queue, queueType: "classic", request: integer(), reply: integer() });
  const options = { drainTimeout: 100, onEvent: () => {} };
  const peer = await (side === "client" ? RpcClient : RpcServer).connect(url, options);
  if (side === "client") peer.call(called, 1).catch(() => {});
  else await peer.serve(called, () => new Promise(() => {}));
  const told = Promise.withResolvers();
  Deno.addSignalListener("SIGUSR2", told.resolve);
  console.log("connected");
  await told.promise;
  Deno.removeSignalListener("SIGUSR2", told.resolve);
  await peer.close();
  console.log("closed");
`;

/** Runs a process that closes one side on a link that has stalled; gives how it ended, and what it printed. */
async function closeStalled(url: string, queue: string, side: "client" | "server"): Promise<unknown> {
  await using link = relay(portOf(url));
  const code = `const ROOT = ${JSON.stringify(new URL("../../", import.meta.url).href)};${CLOSES}`;
  await using script = start([Deno.execPath(), "eval", "--quiet", code, side, through(url, link.port), queue]);
  await script.printed("connected");
  link.stall();
  script.kill("SIGUSR2");
  if (!await settlesWithin(script.ended(), 20_000)) throw new Error(`The ${side} still runs: ${script.stderr}`);
  return await script.ended();
}

live("A client and a server that were closed on a stalled link leave no process alive", { run: true }, async (live) => {
  const { url, queue } = live;
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const ended = await Promise.all((["client", "server"] as const).map((side) => closeStalled(url, queue, side)));
  assertEquals(ended, Array(2).fill({ code: 0, stdout: "connected\nclosed\n", stderr: "" }));
});

live("RpcServer.close() over a stalled link ends in time, and the process lives on", async ({ url, queue }) => {
  await using link = relay(Number(new URL(url).port || 5672));
  const server = await RpcServer.connect(through(url, link.port), {
    drainTimeout: 200,
    heartbeat: 1,
    onEvent: () => {},
  });
  const gate = gated();
  await server.serve(double(queue), gate.handler);
  await publishRaw(url, queue, "1", { replyTo: "amq.gen-nobody", correlationId: "c" });
  await gate.started;
  link.stall();
  gate.release();
  await server.close();
  // An ack on a closing channel would be an uncaught error, which ends the test run.
  await waitFor("the request is back", async () => (await queueInfo(url, queue))?.messages === 1, 60_000);
});

live("RpcClient.close() stops the work of the calls that it gives up on", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { onEvent: () => {} });
  const stopped = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  await server.serve(double(queue), (n, { signal }) => {
    started.resolve();
    return new Promise<number>((resolve) =>
      signal.addEventListener("abort", () => {
        stopped.resolve();
        resolve(n);
      })
    );
  });
  const client = await RpcClient.connect(url, { drainTimeout: 50 });
  const call = assertRejects(() => client.call(double(queue), 1, { timeout: 60_000 }), RpcError);
  await started.promise;
  await client.close();
  assertEquals((await call).code, "canceled");
  await stopped.promise;
});
