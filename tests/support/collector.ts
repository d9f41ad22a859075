/**
 * A collector for OpenTelemetry: takes what programs export over OTLP, as JSON.
 *
 * @module
 */

/** A value of an attribute. */
export type AttributeValue = string | number | boolean;

/** A span as it was exported. */
export interface ExportedSpan {
  readonly service: string;
  readonly scope: string;
  readonly name: string;
  readonly kind: "INTERNAL" | "SERVER" | "CLIENT";
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentSpanId: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly status: "UNSET" | "OK" | "ERROR";
  readonly message: string;
  /** The names of its events, such as `exception`. */
  readonly events: readonly string[];
  /** In ms. */
  readonly duration: number;
}

/** One series of a metric. */
export interface Point {
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** The sum of a counter, the number of values of a histogram. */
  readonly value: number;
  /** The sum of the values of a histogram; 0 for others. */
  readonly sum: number;
}

/** A metric as it was last exported. */
export interface ExportedMetric {
  readonly service: string;
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly kind: "histogram" | "counter" | "updown";
  /** The bounds of a histogram's buckets. */
  readonly bounds: readonly number[];
  readonly points: readonly Point[];
}

/** A running collector. */
export interface Collector extends AsyncDisposable {
  /** The variables of the environment that make Deno export to it, under the name of a service. */
  env(service: string): Record<string, string>;
  /** All spans of this project so far, as they came. */
  readonly spans: readonly ExportedSpan[];
  /** The metrics of this project that a service has exported last. */
  metrics(service: string): readonly ExportedMetric[];
}

// The parts of OTLP that are read; see https://opentelemetry.io/docs/specs/otlp/.
interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, AttributeValue>>;
}
interface Resource {
  readonly resource: { readonly attributes: readonly KeyValue[] };
}
interface Scope {
  readonly scope: { readonly name: string };
}
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly KeyValue[];
  readonly events: readonly { readonly name: string }[];
  readonly status: { readonly code: number; readonly message: string };
}
interface OtlpPoint {
  readonly attributes: readonly KeyValue[];
  readonly count?: string;
  readonly sum?: number;
  readonly asDouble?: number;
  readonly asInt?: string;
  readonly explicitBounds?: readonly number[];
}
interface OtlpMetric {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly histogram?: { readonly dataPoints: readonly OtlpPoint[] };
  readonly sum?: { readonly dataPoints: readonly OtlpPoint[]; readonly isMonotonic: boolean };
}
interface Export {
  readonly resourceSpans?: readonly (Resource & {
    readonly scopeSpans: readonly (Scope & { readonly spans: readonly OtlpSpan[] })[];
  })[];
  readonly resourceMetrics?: readonly (Resource & {
    readonly scopeMetrics: readonly (Scope & { readonly metrics: readonly OtlpMetric[] })[];
  })[];
}

const KINDS = ["INTERNAL", "INTERNAL", "SERVER", "CLIENT"] as const;
const STATUSES = ["UNSET", "OK", "ERROR"] as const;

function plain(attributes: readonly KeyValue[]): Record<string, AttributeValue> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0] ?? ""]));
}

function serviceOf({ resource }: Resource): string {
  return String(plain(resource.attributes)["service.name"]);
}

function readSpan(service: string, scope: string, span: OtlpSpan): ExportedSpan {
  const { name, traceId, spanId, parentSpanId, attributes, status, events } = span;
  return {
    service,
    scope,
    name,
    kind: KINDS[span.kind] ?? "INTERNAL",
    traceId,
    spanId,
    parentSpanId,
    attributes: plain(attributes),
    status: STATUSES[status.code] ?? "UNSET",
    message: status.message,
    events: events.map((event) => event.name),
    duration: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
  };
}

function readMetric(service: string, metric: OtlpMetric): ExportedMetric {
  const { name, unit, description, histogram, sum } = metric;
  const points = histogram?.dataPoints ?? sum?.dataPoints ?? [];
  return {
    service,
    name,
    unit,
    description,
    kind: histogram !== undefined ? "histogram" : sum?.isMonotonic ? "counter" : "updown",
    bounds: points[0]?.explicitBounds ?? [],
    points: points.map(({ attributes, count, sum = 0, asDouble, asInt }) => ({
      attributes: plain(attributes),
      sum,
      value: Number(count ?? asDouble ?? asInt),
    })),
  };
}

/** Starts a collector on 127.0.0.1. What is exported by other scopes than this project's and the tests' is left out. */
export function collector(): Collector {
  const spans: ExportedSpan[] = [];
  const metrics = new Map<string, ExportedMetric>();

  function isOurs({ scope }: Scope): boolean {
    return scope.name === "@rabbitmq-rpc/rpc" || scope.name === "test";
  }

  function take(exported: Export): void {
    for (const resource of exported.resourceSpans ?? []) {
      for (const scope of resource.scopeSpans.filter(isOurs)) {
        spans.push(...scope.spans.map((span) => readSpan(serviceOf(resource), scope.scope.name, span)));
      }
    }
    for (const resource of exported.resourceMetrics ?? []) {
      for (const scope of resource.scopeMetrics.filter(isOurs)) {
        const service = serviceOf(resource);
        for (const metric of scope.metrics) metrics.set(`${service} ${metric.name}`, readMetric(service, metric));
      }
    }
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    take(await request.json());
    return Response.json({});
  });
  return {
    env: (service) => ({
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      OTEL_SERVICE_NAME: service,
    }),
    spans,
    metrics: (service) => Array.from(metrics.values()).filter((metric) => metric.service === service),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
