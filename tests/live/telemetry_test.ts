import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import type { Options } from "amqplib";
import { type Collector, collector, type ExportedMetric, type ExportedSpan } from "../support/collector.ts";
import { READY } from "../support/lab_server.ts";
import { interop, PIKA_PEER } from "../support/pika.ts";
import { type Live, live, plainCall, publishRaw, queueInfo, waitFor } from "../support/live.ts";
import { plainServer } from "../support/plain_server.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { denoArgs, type Script, start } from "../support/script.ts";
import type { TracedConfig } from "../support/traced_peer.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

function queues({ url, queue }: Live): TracedConfig {
  return { url, inner: queue, outer: `${queue}.outer` };
}

function peer(role: string, config: TracedConfig, env: Record<string, string>): Script {
  return start(denoArgs("tests/support/traced_peer.ts", role, JSON.stringify(config)), env);
}

async function started(script: Script): Promise<Script> {
  await script.printed(READY);
  return script;
}

/** Ends a server or client, which exports all that it still has. */
async function stop(...scripts: readonly Script[]): Promise<void> {
  for (const script of scripts) {
    script.kill("SIGTERM");
    const { stderr } = await script.ended();
    assertEquals(stderr, "");
  }
}

async function succeeded(script: Script): Promise<void> {
  const { code, stderr } = await script.ended();
  assertEquals([code, stderr], [0, ""]);
}

/** A span and its children, in the order of their names. */
interface Tree {
  readonly span: string;
  readonly children: readonly Tree[];
}

function tree(spans: readonly ExportedSpan[], parent = ""): readonly Tree[] {
  return spans.filter(({ parentSpanId }) => parentSpanId === parent)
    .map(({ service, kind, name, spanId }) => ({ span: `${service} ${kind} ${name}`, children: tree(spans, spanId) }));
}

function only<T>(items: readonly T[], fits: (item: T) => boolean): T {
  const found = items.filter(fits);
  const [first] = found;
  assert(first !== undefined && found.length === 1, `${found.length} fit, of ${Deno.inspect(items, { depth: 6 })}`);
  return first;
}

/** The value of a metric, by the attributes of a series. */
function values(metrics: readonly ExportedMetric[], name: string): Record<string, number> {
  const { points } = only(metrics, (metric) => metric.name === name);
  return Object.fromEntries(points.map(({ attributes, value }) => {
    const { "rpc.method": method, "rpc.status_code": code = "", "error.type": error = "" } = attributes;
    return [[method, code, error].filter((part) => part !== "" && part !== undefined).join(" "), value];
  }));
}

live("One trace goes over a client, a server and its nested calls", { run: true }, async (found) => {
  await using exports = collector();
  const config = queues(found);
  await using inner = await started(peer("inner", config, exports.env("inner")));
  await using outer = await started(peer("outer", config, exports.env("outer")));
  await using client = peer("nested", config, exports.env("client"));
  await succeeded(client);
  await stop(outer, inner);

  const { spans } = exports;
  const nested = {
    span: `outer CLIENT ${config.inner}`,
    children: [{ span: `inner SERVER ${config.inner}`, children: [] }],
  };
  const name = `${config.outer}/nested`;
  assertEquals(tree(spans), [{
    span: `client CLIENT ${name}`,
    children: [{ span: `outer SERVER ${name}`, children: [nested, nested] }],
  }]);
  assertEquals(new Set(spans.map(({ traceId }) => traceId)).size, 1);

  // The names and values of the conventions, and no others.
  const sent = only(spans, ({ service }) => service === "client");
  const broker = new URL(found.url);
  const attributes = {
    "rpc.system.name": "rabbitmq_rpc",
    "rpc.method": name,
    "rpc.status_code": "ok",
    "server.address": broker.hostname,
    "server.port": Number(broker.port),
    "messaging.system": "rabbitmq",
    "messaging.destination.name": config.outer,
    "messaging.message.id": sent.attributes["messaging.message.id"] ?? "",
  };
  assertMatch(String(attributes["messaging.message.id"]), /^[0-9a-f-]{36}$/);
  assertEquals(sent.attributes, attributes);
  const received = only(spans, (span) => span.service === "outer" && span.name === name);
  const { "messaging.message.conversation_id": id, ...others } = received.attributes;
  assertEquals(others, attributes);
  assertMatch(String(id), /^[0-9a-f-]{36}$/);
  for (const { status, message, events } of spans) assertEquals([status, message, events], ["UNSET", "", []]);
});

live("Metrics have the names, units and bounds of the conventions", { run: true }, async (found) => {
  await using exports = collector();
  const config = queues(found);
  await using inner = await started(peer("inner", config, exports.env("inner")));
  await using outer = await started(peer("outer", config, exports.env("outer")));
  await using client = peer("nested", config, exports.env("client"));
  await succeeded(client);
  await stop(outer, inner);

  const name = `${config.outer}/nested`;
  const broker = new URL(found.url);
  const system = { "rpc.system.name": "rabbitmq_rpc" };
  const address = { "server.address": broker.hostname, "server.port": Number(broker.port) };
  const method = { ...system, "rpc.method": name };
  /** The metrics of a service, without the sums of their durations: those are the durations of its spans. */
  function metricsOf(service: string): readonly unknown[] {
    const spans = exports.spans.filter((span) => span.service === service && span.kind !== "INTERNAL");
    const durations = spans.reduce((sum, { duration }) => sum + duration / 1_000, 0);
    const metrics = exports.metrics(service).toSorted((one, other) => one.name < other.name ? -1 : 1);
    return metrics.map((metric) => ({
      ...metric,
      points: metric.points.map(({ attributes, value, sum }) => {
        assertAlmostEquals(sum, metric.kind === "histogram" ? durations : 0, 0.05);
        return { attributes, value };
      }),
    }));
  }
  assertEquals(metricsOf("client"), [
    {
      service: "client",
      name: "rabbitmq_rpc.client.call.active",
      unit: "{call}",
      description: "Calls that have not ended.",
      kind: "updown",
      bounds: [],
      points: [{ attributes: method, value: 0 }],
    },
    {
      service: "client",
      name: "rpc.client.call.duration",
      unit: "s",
      description: "Measures the duration of an outgoing Remote Procedure Call (RPC).",
      kind: "histogram",
      bounds: BOUNDS,
      points: [{ attributes: { ...method, ...address, "rpc.status_code": "ok" }, value: 1 }],
    },
  ]);
  assertEquals(metricsOf("inner"), [
    {
      service: "inner",
      name: "rabbitmq_rpc.server.request.active",
      unit: "{request}",
      description: "Requests whose handler or interceptors are running.",
      kind: "updown",
      bounds: [],
      points: [{ attributes: { ...system, "rpc.method": config.inner }, value: 0 }],
    },
    {
      service: "inner",
      name: "rpc.server.call.duration",
      unit: "s",
      description: "Measures the duration of an incoming Remote Procedure Call (RPC).",
      kind: "histogram",
      bounds: BOUNDS,
      points: [{ attributes: { ...system, "rpc.method": config.inner, "rpc.status_code": "ok" }, value: 2 }],
    },
  ]);
});

live(
  "Fifty requests of one read, and the calls that they make, have the right parents",
  { run: true },
  async (found) => {
    await using exports = collector();
    const config = queues(found);
    await using link = relay(portOf(found.url));
    await using inner = await started(peer("inner", config, exports.env("inner")));
    const far = { ...config, url: through(found.url, link.port) };
    await using outer = await started(peer("outer", far, exports.env("outer")));
    link.stall();
    await using client = await started(peer("many", config, exports.env("client")));
    // Fifty are delivered to the relay, to be read at once; the last one waits for them.
    await waitFor("fifty are delivered", async () => (await queueInfo(found.url, config.outer))?.messages === 1);
    link.resume();
    await succeeded(client);
    await stop(outer, inner);

    const work = `${config.outer}/work`;
    for (let n = 0; n < 51; n++) {
      const caller = only(exports.spans, ({ name }) => name === `caller ${n}`);
      assertEquals(tree(exports.spans, caller.spanId), [{
        span: `client CLIENT ${work}`,
        children: [{
          span: `outer SERVER ${work}`,
          children: [{
            span: `outer INTERNAL work ${n}`,
            children: [{
              span: `outer CLIENT ${config.inner}`,
              children: [{ span: `inner SERVER ${config.inner}`, children: [] }],
            }],
          }],
        }],
      }]);
    }
    assertEquals(exports.spans.length, 51 * 6);
  },
);

live("A failed call has status and error type on both sides, by whose fault it was", { run: true }, async (found) => {
  await using exports = collector();
  const config = queues(found);
  await using outer = await started(peer("outer", config, exports.env("outer")));
  await using client = peer("failing", config, exports.env("client"));
  await succeeded(client);
  await stop(outer);

  function ends(service: string): readonly string[] {
    return exports.spans.filter((span) => span.service === service).map(({ name, attributes, status, events }) => {
      const { "rpc.status_code": code, "error.type": error = "-" } = attributes;
      return [name.replace(config.outer, "outer"), code, error, status, ...events].join(" ");
    }).sort();
  }
  const odd = "x".repeat(100);
  assertEquals(ends("client"), [
    "outer.missing unavailable unavailable ERROR",
    "outer/fail data_loss data_loss ERROR",
    "outer/fail internal internal ERROR",
    "outer/fail internal internal ERROR",
    "outer/fail not_found not_found ERROR",
    "outer/nested invalid_argument invalid_argument ERROR",
    "outer/nested invalid_argument invalid_argument ERROR",
    "outer/slow canceled canceled ERROR",
    "outer/slow deadline_exceeded deadline_exceeded ERROR",
    `outer/${odd} unimplemented unimplemented ERROR`,
  ]);
  const served = ends("outer");
  assertEquals(served.filter((end) => !end.includes("/slow")), [
    "outer/fail data_loss data_loss ERROR",
    "outer/fail internal internal ERROR",
    "outer/fail internal internal ERROR exception",
    "outer/fail not_found - UNSET",
  ]);
  // At a deadline, the client's cancel may come before the server's own timer.
  const [canceled = "", late = "", ...more] = served.filter((end) => end.includes("/slow"));
  assertEquals([canceled, more], ["outer/slow canceled - UNSET", []]);
  assertMatch(late, /^outer\/slow (?:canceled - UNSET|deadline_exceeded deadline_exceeded ERROR)$/);
  const reasons = exports.spans.filter(({ status }) => status === "ERROR").map(({ message }) => message);
  assert(reasons.includes("the handler is broken"), "the server's span says what its handler threw");
  assert(reasons.includes("a reason"), "the client's span says what the server answered");

  // Requests that do not reach the interceptors are counted, and strangers make no series.
  const metrics = exports.metrics("outer");
  assertEquals(values(metrics, "rabbitmq_rpc.server.refused_requests"), {
    [`${config.outer}/nested invalid_argument`]: 1,
    "_OTHER unimplemented unimplemented": 1,
  });
  const durations = Object.entries(values(metrics, "rpc.server.call.duration"));
  assertEquals(Object.fromEntries(durations.filter(([series]) => !series.includes("/slow"))), {
    [`${config.outer}/fail data_loss data_loss`]: 1,
    [`${config.outer}/fail internal internal`]: 2,
    [`${config.outer}/fail not_found`]: 1,
    [`${config.outer}/nested invalid_argument`]: 1,
    "_OTHER unimplemented unimplemented": 1,
  });
  for (const service of ["client", "outer"]) {
    const active = exports.metrics(service).filter(({ kind }) => kind === "updown");
    for (const { points } of active) for (const { value } of points) assertEquals(value, 0);
  }
});

live("A call that is sent again is one span, and is counted", { run: true }, async (found) => {
  await using exports = collector();
  const config = queues(found);
  await using link = relay(portOf(found.url));
  const contexts: unknown[] = [];
  await using server = await plainServer(found.url, config.inner, ({ message, reply, ack }) => {
    contexts.push(message.properties.headers?.["traceparent"]);
    ack();
    if (contexts.length === 1) {
      link.cut();
      return;
    }
    reply("2");
    // Nobody waits for this one.
    reply("2");
  });
  const far = { ...config, url: through(found.url, link.port) };
  await using client = await started(peer("once", far, exports.env("client")));
  await client.printed("late_reply");
  await client.printed("result 2");
  client.kill("SIGTERM");
  assertEquals((await client.ended()).code, 0);
  assertEquals(server.received.length, 2);

  const span = only(exports.spans, () => true);
  assertEquals([span.kind, span.status, span.attributes["rpc.status_code"]], ["CLIENT", "UNSET", "ok"]);
  assertEquals(contexts, Array(2).fill(`00-${span.traceId}-${span.spanId}-01`));
  const metrics = exports.metrics("client");
  assertEquals(values(metrics, "rabbitmq_rpc.client.retries"), { [config.inner]: 1 });
  assertEquals(values(metrics, "rabbitmq_rpc.client.late_replies"), { "": 1 });
  assertEquals(values(metrics, "rabbitmq_rpc.client.reconnects"), { "": 1 });
  assertEquals(values(metrics, "rpc.client.call.duration"), { [`${config.inner} ok`]: 1 });
});

live("A server counts its reconnects, and requests without an address for the reply", { run: true }, async (found) => {
  await using exports = collector();
  const config = queues(found);
  await using link = relay(portOf(found.url));
  const far = { ...config, url: through(found.url, link.port) };
  await using outer = await started(peer("outer", far, exports.env("outer")));
  link.cut();
  await waitFor("the server has reconnected", () => outer.stdout.split("connected").length === 3);
  await publishRaw(found.url, config.outer, "1");
  await publishRaw(found.url, config.outer, "1");
  // It comes after them.
  const answer = await plainCall(found.url, config.outer, "none", { type: "none" });
  assertEquals(answer.properties.type, "rpc.error");
  outer.kill("SIGTERM");
  await outer.ended();
  const metrics = exports.metrics("outer");
  assertEquals(values(metrics, "rabbitmq_rpc.server.reconnects"), { "": 1 });
  assertEquals(values(metrics, "rabbitmq_rpc.server.rejected_requests"), { [config.outer]: 2 });
});

function headersOf(traceparent: string): Options.Publish {
  return { headers: { traceparent, tracestate: "vendor=1" } };
}

function assertChild({ spans }: Collector): ExportedSpan {
  const span = only(spans, ({ kind }) => kind === "SERVER");
  assertEquals([span.traceId, span.parentSpanId], [TRACE, PARENT]);
  return span;
}

live("A plain client's trace context is the parent", { run: true }, async (found) => {
  await using exports = collector();
  await using inner = await started(peer("inner", queues(found), exports.env("inner")));
  // With €, because Deno 2.9.6 exports texts of Latin-1 letters alone as if they were UTF-8.
  const properties = { ...headersOf(`00-${TRACE}-${PARENT}-01`), correlationId: "größe €" };
  const answer = await plainCall(found.url, found.queue, "21", properties);
  assertEquals(answer.content.toString(), "42");
  await stop(inner);
  const { attributes } = assertChild(exports);
  assertEquals(attributes["messaging.message.conversation_id"], "größe €");
  assertEquals("messaging.message.id" in attributes, false);
});

interop("A pika client's trace context is the parent", async ({ url, queue, python }) => {
  await using exports = collector();
  await using inner = await started(peer("inner", queues({ url, queue }), exports.env("inner")));
  const traceparent = `traceparent=00-${TRACE}-${PARENT}-01`;
  await using client = start([python, PIKA_PEER, "client", queue, "21", traceparent], { AMQP_URL: url });
  const { code, stdout, stderr } = await client.ended();
  assertEquals([code, stdout], [0, " [.] Got 42\n"], stderr);
  await stop(inner);
  assertChild(exports);
});

live("A trace context that is malformed is ignored, without a word", { run: true }, async (found) => {
  await using exports = collector();
  await using inner = await started(peer("inner", queues(found), exports.env("inner")));
  const odd: readonly Record<string, unknown>[] = [
    { traceparent: "garbage" },
    { traceparent: "x".repeat(20_000), tracestate: ",".repeat(10_000) },
    { traceparent: `00-${TRACE}-${PARENT}-01-more`, tracestate: "%%%" },
    { traceparent: 5, tracestate: { a: 1 } },
    { baggage: "%%%=%%%,%ff=%" },
    { baggage: "=;=;,".repeat(1_000) },
    { traceparent: `00-${"0".repeat(32)}-${"0".repeat(16)}-01` },
  ];
  for (const headers of odd) {
    assertEquals((await plainCall(found.url, found.queue, "21", { headers })).content.toString(), "42");
  }
  await stop(inner);
  assertEquals(exports.spans.length, odd.length);
  assertEquals(exports.spans.filter(({ parentSpanId }) => parentSpanId !== ""), []);
});

for (const on of [true, false]) {
  live(`deno task client ${on ? "sends its trace context with" : "sends none without"} OTEL_DENO`, {
    run: true,
  }, async ({ url, queue }) => {
    await using exports = collector();
    const headers: unknown[] = [];
    await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
      // The library itself sends the time.
      const { "rpc-sent-at": _time, ...others } = message.properties.headers ?? {};
      headers.push(others);
      reply("832040");
      ack();
    });
    const env = on ? exports.env("client") : { OTEL_DENO: "false" };
    await using client = start(denoArgs("client.ts", "--url", url, "--queue", queue, "30"), env);
    const { code, stdout, stderr } = await client.ended();
    assertEquals([code, stdout, stderr], [0, " [x] Requesting fib(30)\n [.] Got 832040\n", ""]);
    const span = on ? only(exports.spans, () => true) : undefined;
    assertEquals(headers, [span === undefined ? {} : { traceparent: `00-${span.traceId}-${span.spanId}-01` }]);
    assertEquals(exports.spans.length, on ? 1 : 0);
  });
}

live("deno task server exports its spans when it ends", { run: true }, async ({ url, queue }) => {
  await using exports = collector();
  await using server = start(denoArgs("server.ts", "--url", url, "--queue", queue), exports.env("fib"));
  await server.printed(" [x] Awaiting RPC requests");
  const answer = await plainCall(url, queue, "30", headersOf(`00-${TRACE}-${PARENT}-01`));
  assertEquals(answer.content.toString(), "832040");
  await stop(server);
  assertChild(exports);
});
