import {
  INVALID_SPAN_CONTEXT,
  type Span,
  type SpanOptions,
  trace,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import { assertEquals } from "@std/assert";
import { integer, type Interceptor, procedure } from "../../../lib/rpc.ts";
import { telemetry } from "../../../lib/telemetry.ts";
import { memory } from "../../../lib/testing.ts";

const double = procedure({ queue: "double", request: integer(), reply: integer() });

/** An SDK that only notes the spans that are started, until it is disposed of. */
function registered(started: string[], options: SpanOptions[] = []): Disposable {
  const tracer: Tracer = {
    startSpan(name: string, option: SpanOptions = {}): Span {
      started.push(`${option.kind} ${name}`);
      options.push(option);
      return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    },
    startActiveSpan: (..._: unknown[]) => {
      throw new Error("not used");
    },
  };
  const provider: TracerProvider = { getTracer: () => tracer };
  trace.setGlobalTracerProvider(provider);
  return { [Symbol.dispose]: () => trace.disable() };
}

/** Whether an interceptor was called. */
function calledIn(side: string, called: string[]): Interceptor {
  return (next) => (call) => {
    called.push(side);
    return next(call);
  };
}

Deno.test("telemetry is off without an SDK, and gets the calls after one was registered", async () => {
  const started: string[] = [];
  const client = telemetry.client();
  const server = telemetry.server();
  await using rpc = await memory({ client: { interceptors: [client] }, server: { interceptors: [server] } });
  await rpc.server.serve(double, (n) => 2 * n);
  assertEquals([client.enabled?.(), server.enabled?.()], [false, false]);
  assertEquals(await rpc.client.call(double, 1), 2);
  for (let round = 1; round <= 2; round++) {
    using _sdk = registered(started);
    assertEquals([client.enabled?.(), server.enabled?.()], [true, true]);
    assertEquals(await rpc.client.call(double, 2), 4);
    assertEquals(started, Array(round).fill(["2 double", "1 double"]).flat());
  }
  assertEquals(client.enabled?.(), false);
  assertEquals(await rpc.client.call(double, 3), 6);
  assertEquals(started.length, 4);
});

Deno.test("A span of a server starts when its request arrived, although an earlier handler blocked it", async () => {
  const started: SpanOptions[] = [];
  using _sdk = registered([], started);
  await using rpc = await memory({ server: { interceptors: [telemetry.server()] } });
  let ended = 0;
  await rpc.server.serve(double, (n) => {
    const until = performance.now() + 30;
    while (performance.now() < until);
    ended = Date.now();
    return n;
  });
  await Promise.all([rpc.client.call(double, 1), rpc.client.call(double, 2)]);
  const [, second] = started;
  // The second one ended 60 ms after both arrived.
  const took = ended - Number(second?.startTime);
  assertEquals(took >= 50 && took < 1_000, true, `${took} ms`);
});

Deno.test("Interceptors beside telemetry are called whether it is on or off", async () => {
  const called: string[] = [];
  await using rpc = await memory({
    client: { interceptors: [telemetry.client(), calledIn("client", called)] },
    server: { interceptors: [telemetry.server(), calledIn("server", called)] },
  });
  await rpc.server.serve(double, (n) => 2 * n);
  assertEquals(await rpc.client.call(double, 1), 2);
  using _sdk = registered([]);
  assertEquals(await rpc.client.call(double, 1), 2);
  assertEquals(called, ["client", "server", "client", "server"]);
});

Deno.test("Without an interceptor that is enabled, none is called", async () => {
  const called: string[] = [];
  const [client, server] = (["client", "server"] as const)
    .map((side) => Object.assign(calledIn(side, called), { enabled: () => false }));
  await using rpc = await memory({
    client: { interceptors: client === undefined ? [] : [client] },
    server: { interceptors: server === undefined ? [] : [server] },
  });
  await rpc.server.serve(double, (n) => 2 * n);
  assertEquals(await rpc.client.call(double, 1), 2);
  assertEquals(called, []);
});
