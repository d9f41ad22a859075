/**
 * A user's program on Node or Bun, with the package as npm has it: results, errors, deadlines, cancels, nested calls,
 * telemetry, workers, and a link that is cut.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import process from "node:process";
import {
  integer,
  isRpcError,
  json,
  method,
  procedure,
  RpcClient,
  RpcError,
  RpcServer,
  service,
} from "@rabbitmq-rpc/rpc";
import { telemetry } from "@rabbitmq-rpc/rpc/telemetry";
import { memory } from "@rabbitmq-rpc/rpc/testing";

const broker = new URL(process.env.AMQP_URL ?? "amqp://localhost");
const sockets = new Set();

/** A link to the broker that can be cut. */
const link = createServer((near) => {
  const far = connect(Number(broker.port || 5672), broker.hostname);
  for (const [from, to] of [[near, far], [far, near]]) {
    sockets.add(from);
    from.on("error", () => {});
    from.on("close", () => sockets.delete(from) && to.destroy());
    from.on("data", (bytes) => to.write(bytes));
  }
});
await new Promise((resolve) => link.listen(0, "127.0.0.1", resolve));
const url = new URL(broker);
url.hostname = "127.0.0.1";
url.port = String(link.address().port);

/** How a call ended. */
async function ended(call) {
  try {
    return await call;
  } catch (error) {
    assert(isRpcError(error), String(error?.stack));
    return `${error.code} ${error.outcome}`;
  }
}

const queue = `package_${process.pid}_${Date.now()}`;
const half = procedure({
  queue,
  queueType: "classic",
  request: integer({ min: 0 }),
  reply: integer(),
  idempotent: true,
});
const users = service({
  queue: `${queue}_users`,
  queueType: "classic",
  methods: { find: method({ request: json(), reply: json(), errors: { not_found: json() }, idempotent: true }) },
});

const triple = procedure({ queue: `${queue}_triple`, queueType: "classic", request: integer(), reply: integer() });

const lost = [];
const options = { backoff: { min: 20, max: 100 }, heartbeat: 2_000 };
const client = await RpcClient.connect(String(url), {
  ...options,
  interceptors: [telemetry.client()],
  onEvent: ({ type }) => type === "disconnected" && lost.push(type),
});
assert.equal(await ended(client.call(half, 4)), "unavailable not_executed");

const server = await RpcServer.connect(String(url), {
  ...options,
  interceptors: [telemetry.server()],
  onEvent: ({ type }) => type === "disconnected" && lost.push(type),
});
const aborted = [];
await server.serve(half, async (n, { signal }) => {
  if (n === 0) {
    await new Promise((resolve) => signal.onabort = resolve);
    aborted.push(signal.reason.code);
    throw signal.reason;
  }
  if (n === 3) throw new RpcError("failed_precondition", "3 is odd");
  if (n === 5) throw new TypeError("a secret");
  return n / 2;
}, { prefetch: 100 });
await server.serve(users, {
  async find(request, context) {
    if (request.id !== 7) throw context.error("not_found", { id: request.id });
    return { half: await client.call(half, 14, { parent: context }), from: context.headers["from"] };
  },
});

assert.equal(await ended(client.call(half, 4)), 2);
assert.equal(await ended(client.call(half, 3)), "failed_precondition executed");
assert.equal(await ended(client.call(half, 5)), "internal executed");
assert.equal(await ended(client.call(half, -1)), "out_of_range not_executed");
assert.equal(await ended(client.call(half, 0, { timeout: 200 })), "deadline_exceeded unknown");
assert.equal(await ended(client.call(half, 0, { signal: AbortSignal.timeout(100) })), "canceled unknown");
const api = client.of(users);
assert.deepEqual(await api.find({ id: 7 }, { headers: { from: "package" } }), { half: 7, from: "package" });
assert.equal(await ended(api.find({ id: 8 })), "not_found executed");
const replies = await Promise.all(Array.from({ length: 2_000 }, (_, n) => client.call(half, 2 * n + 2)));
assert.deepEqual(replies, Array.from({ length: 2_000 }, (_, n) => n + 1));
assert.equal((await client.servers(queue)).servers.length, 1);
await server.serve(triple, new URL("package_worker.mjs", import.meta.url), { workers: 1 });
assert.equal(await ended(client.call(triple, 5)), 15);
assert.deepEqual(aborted.map((code) => ["deadline_exceeded", "canceled"].includes(code)), [true, true]);

for (const socket of sockets) socket.destroy();
const calls = Array.from({ length: 20 }, (_, n) => client.call(half, 2 * n + 2, { timeout: 10_000 }));
assert.deepEqual(await Promise.all(calls), Array.from({ length: 20 }, (_, n) => n + 1));
assert(lost.length > 0, "The cut was seen");

const joined = await memory();
await joined.server.serve(half, (n) => n / 2);
assert.equal(await joined.client.call(half, 8), 4);
await joined.close();

await client.close();
await server.close();
assert.deepEqual([client.status.state, server.status.state], ["closed", "closed"]);
link.close();
console.log("The package works");
