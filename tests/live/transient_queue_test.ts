import { Buffer } from "node:buffer";
import { assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { RpcClient, RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { double } from "../support/lab_server.ts";
import { listen, SOON } from "../support/lab.ts";
import { isAtLeast, live, waitFor, withChannel } from "../support/live.ts";
import { portOf, through } from "../support/relay.ts";
import { type ScanningRelay, scanningRelay } from "../support/scanning_relay.ts";
import { denoArgs, start } from "../support/script.ts";

const FEATURE = "transient_nonexcl_queues";

/** What RabbitMQ says before it closes the connection. */
const DENIED = `INTERNAL_ERROR - Feature \`${FEATURE}\` is deprecated.\nIts use is not permitted by default`;

/** The frame of a `connection.close` with the reply code 541. */
function closeFrame(): Uint8Array {
  const text = Buffer.from(DENIED);
  const payload = Buffer.concat([
    Buffer.from([0, 10, 0, 50, 541 >> 8, 541 & 255, text.length]),
    text,
    Buffer.from([0, 50, 0, 10]),
  ]);
  const head = Buffer.from([1, 0, 0, 0, 0, 0, payload.length]);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

/** Whether these bytes declare this queue, neither passive nor durable nor exclusive. */
function declaresTransient(bytes: Buffer, queue: string): boolean {
  // queue.declare: class 50, method 10, two reserved octets, the name, and the flags.
  const at = bytes.indexOf(Buffer.concat([Buffer.from([0, 50, 0, 10, 0, 0, queue.length]), Buffer.from(queue)]));
  return at >= 0 && ((bytes[at + 7 + queue.length] ?? 0) & 0b111) === 0;
}

/** A broker that permits no transient queues, as upstream's RabbitMQ from 4.3 on: whoever declares one is cut off. */
function denying(url: string, queue: string): ScanningRelay {
  return scanningRelay(
    portOf(url),
    (bytes) => declaresTransient(bytes, queue) ? { lastWords: closeFrame() } : bytes,
  );
}

function assertDenied(error: RpcError, queue: string): void {
  assertEquals([error.code, error.outcome], ["failed_precondition", "not_executed"]);
  for (const part of [queue, FEATURE, '"quorum"', `deprecated_features.permit.${FEATURE} = true`]) {
    assertStringIncludes(error.message, part);
  }
}

live("Where transient queues are not permitted, serve() says so, and nothing else is cut", async ({ url, queue }) => {
  await using broker = denying(url, queue);
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(through(url, broker.port), { onEvent: events.onEvent });
  const other = double(`${queue}.other`);
  await using _serving = await server.serve(other, (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  const calls = Promise.all(Array.from({ length: 100 }, (_, n) => client.call(other, n)));
  const began = performance.now();
  for (let tries = 1; tries <= 3; tries++) {
    const error = await assertRejects(
      () => server.serve(double(queue, { queueType: "transient" }), (n) => n),
      RpcError,
    );
    assertDenied(error, queue);
    assertEquals(broker.cuts, tries);
  }
  assertLess(performance.now() - began, 5_000);
  assertEquals(await calls, Array.from({ length: 100 }, (_, n) => 2 * n));
  assertEquals(await client.call(other, 21), 42);
  assertEquals(events.losses, 0);
  await withChannel(url, (channel) => channel.deleteQueue(other.queue));
});

live("A transient queue that exists is served where none may be declared", async ({ url, queue }) => {
  // Durable, because the broker of this test may deny transient ones as well.
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const events = listen<ServerEvent>();
  await using server = await RpcServer.connect(url, { onEvent: events.onEvent });
  await server.serve(double(queue, { queueType: "transient" }), (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 21), 42);
  assertEquals([events.losses, events.of("adopted_queue").length], [0, 1]);
});

live("A transient queue that is lost and not permitted any more cuts nothing either", async ({ url, queue }) => {
  let permitted = true;
  await using broker = scanningRelay(portOf(url), (bytes) => {
    return !permitted && declaresTransient(bytes, queue) ? { lastWords: closeFrame() } : bytes;
  });
  // As durable as the broker of this test wants it: what counts is how the server declares it again.
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const events = listen<ServerEvent>();
  const options = { onEvent: events.onEvent, backoff: SOON };
  await using server = await RpcServer.connect(through(url, broker.port), options);
  await server.serve(double(queue, { queueType: "transient" }), (n) => 2 * n);
  permitted = false;
  await withChannel(url, (channel) => channel.deleteQueue(queue));
  const denied = await waitFor("it was refused three times", () => {
    const errors = events.of("retrying").map(({ error }) => error);
    return errors.length >= 3 && errors;
  });
  for (const error of denied) assertDenied(error, queue);
  assertEquals(events.losses, 0);
  // It is served again as soon as it exists. Permitted only then, or the server may declare it first, as a transient one.
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  permitted = true;
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 21), 42);
});

live("deno task server --queue-type transient runs, or exits with 1 and the reason", { run: true }, async (use) => {
  const { url, queue } = use;
  const args = denoArgs("server.ts", "--url", url, "--queue", queue, "--queue-type", "transient");
  const began = performance.now();
  await using serving = start(args);
  if (await isAtLeast(url, "4.3")) {
    const { code, stderr } = await serving.ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, FEATURE);
    assertLess(performance.now() - began, 5_000);
  } else {
    await serving.printed(" [x] Awaiting RPC requests");
    // As an old tutorial server does; other arguments would be refused.
    await withChannel(url, (channel) => channel.assertQueue(queue, { durable: false }));
  }
});
