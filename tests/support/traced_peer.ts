/**
 * Servers and clients in processes of their own, with telemetry: `inner`, `outer`, or what a client is to do. Takes a
 * role, and the URL and the queues as JSON, a {@linkcode TracedConfig}. Prints `READY` when it is.
 *
 * @module
 */

import { SpanKind, trace } from "@opentelemetry/api";
import {
  integer,
  method,
  procedure,
  RpcClient,
  type RpcClientOptions,
  type RpcCode,
  RpcError,
  RpcServer,
  service,
  text,
} from "../../lib/rpc.ts";
import { telemetry } from "../../lib/telemetry.ts";
import { sleep } from "./handlers.ts";
import { READY } from "./lab_server.ts";

/** Where the peers meet. */
export interface TracedConfig {
  readonly url: string;
  readonly inner: string;
  readonly outer: string;
}

const { url, inner, outer }: TracedConfig = JSON.parse(Deno.args[1] ?? "{}");
const tracer = trace.getTracer("test");

const double = procedure({
  queue: inner,
  queueType: "classic",
  request: integer(),
  reply: integer(),
  idempotent: true,
});
const calls = service({
  queue: outer,
  queueType: "classic",
  methods: {
    nested: method({ request: integer(), reply: integer() }),
    work: method({ request: integer(), reply: integer() }),
    fail: method({ request: text(), reply: text({ maxBytes: 10 }) }),
    slow: method({ request: text(), reply: text() }),
  },
});

async function connect(options: RpcClientOptions = {}): Promise<RpcClient> {
  return await RpcClient.connect(url, {
    interceptors: [telemetry.client()],
    backoff: { min: 10, max: 50 },
    ...options,
  });
}

async function serveInner(): Promise<void> {
  await using server = await RpcServer.connect(url, { interceptors: [telemetry.server()] });
  await server.serve(double, (n) => 2 * n, { prefetch: 100 });
  console.log(READY);
  await server.untilSignal();
}

/** Runs work outside the asynchronous context in which it was asked for. */
function runElsewhere(): <T>(work: () => Promise<T>) => Promise<T> {
  const jobs: (() => void)[] = [];
  setInterval(() => {
    for (const job of jobs.splice(0)) job();
  }, 5);
  return (work) => new Promise((resolve, reject) => jobs.push(() => work().then(resolve, reject)));
}

async function serveOuter(): Promise<void> {
  await using client = await connect();
  const elsewhere = runElsewhere();
  await using server = await RpcServer.connect(url, {
    interceptors: [telemetry.server()],
    backoff: { min: 10, max: 50 },
    onEvent: (event) => event.type === "connected" && console.log(event.type),
  });
  await server.serve(calls, {
    async nested(n, context) {
      const plain = await client.call(double, n);
      const given = await elsewhere(() => client.call(double, n, { parent: context }));
      return plain + given;
    },
    async work(n) {
      await sleep(50 - n);
      return await tracer.startActiveSpan(`work ${n}`, async (span) => {
        await sleep(n % 5);
        const result = await client.call(double, n);
        span.end();
        return result;
      });
    },
    fail(how) {
      if (how === "long") return "longer than 10 bytes";
      if (how === "Error") throw new TypeError("the handler is broken");
      throw new RpcError(how as RpcCode, "a reason");
    },
    async slow(_, { signal }) {
      await sleep(60_000, signal);
      return "";
    },
  }, { prefetch: 50 });
  console.log(READY);
  await server.untilSignal();
  Deno.exit();
}

async function callNested(): Promise<void> {
  await using client = await connect();
  await client.of(calls).nested(1);
}

async function callMany(): Promise<void> {
  await using client = await connect();
  const api = client.of(calls);
  console.log(READY);
  await Promise.all(
    Array.from(
      { length: 51 },
      (_, n) =>
        tracer.startActiveSpan(`caller ${n}`, { kind: SpanKind.INTERNAL }, async (span) => {
          await sleep(n % 7);
          await api.work(n);
          span.end();
        }),
    ),
  );
}

async function callFailing(): Promise<void> {
  await using client = await connect();
  const api = client.of(calls);
  const unknown = procedure({ queue: outer, request: text(), reply: text() });
  const missing = procedure({ queue: `${outer}.missing`, request: text(), reply: text() });
  const failing = [
    api.fail("Error"),
    api.fail("long"),
    api.fail("not_found"),
    api.fail("data_loss"),
    api.nested(Number.NaN),
    api.slow("", { timeout: 100 }),
    api.slow("", { signal: AbortSignal.timeout(100) }),
    client.call(missing, ""),
    client.call({ ...unknown, method: "x".repeat(100) }, ""),
    client.call({ ...unknown, method: "nested" }, "not a number"),
  ];
  for (const { status } of await Promise.allSettled(failing)) {
    if (status === "fulfilled") throw new Error("Expected every call to fail");
  }
}

async function callOnce(): Promise<void> {
  const stopped = new Promise<void>((resolve) => Deno.addSignalListener("SIGTERM", resolve));
  await using client = await connect({ onEvent: ({ type }) => type === "late_reply" && console.log(type) });
  console.log(READY);
  console.log("result", await client.call(double, 1));
  await stopped;
}

const ROLES: Readonly<Record<string, () => Promise<void>>> = {
  inner: serveInner,
  outer: serveOuter,
  nested: callNested,
  many: callMany,
  failing: callFailing,
  once: callOnce,
};

await ROLES[Deno.args[0] ?? ""]?.();
