import type { Counter, Histogram, Meter, UpDownCounter } from "@opentelemetry/api";

/** The bounds that the semantic conventions give for the duration of calls, in seconds. */
const DURATION_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** What is measured. `rpc.*` are names of the semantic conventions, `rabbitmq_rpc.*` are this library's own. */
export class Instruments {
  readonly clientDuration: Histogram;
  readonly serverDuration: Histogram;
  readonly activeCalls: UpDownCounter;
  readonly activeRequests: UpDownCounter;
  readonly retries: Counter;
  readonly lateReplies: Counter;
  readonly refusedRequests: Counter;
  readonly rejectedRequests: Counter;
  readonly clientReconnects: Counter;
  readonly serverReconnects: Counter;

  constructor(meter: Meter) {
    const duration = { unit: "s", advice: { explicitBucketBoundaries: DURATION_BOUNDS } };
    this.clientDuration = meter.createHistogram("rpc.client.call.duration", {
      ...duration,
      description: "Measures the duration of an outgoing Remote Procedure Call (RPC).",
    });
    this.serverDuration = meter.createHistogram("rpc.server.call.duration", {
      ...duration,
      description: "Measures the duration of an incoming Remote Procedure Call (RPC).",
    });
    this.activeCalls = meter.createUpDownCounter("rabbitmq_rpc.client.call.active", {
      unit: "{call}",
      description: "Calls that have not ended.",
    });
    this.activeRequests = meter.createUpDownCounter("rabbitmq_rpc.server.request.active", {
      unit: "{request}",
      description: "Requests whose handler or interceptors are running.",
    });
    this.retries = meter.createCounter("rabbitmq_rpc.client.retries", {
      unit: "{retry}",
      description: "Requests that were written again, counted when their call ends.",
    });
    this.lateReplies = meter.createCounter("rabbitmq_rpc.client.late_replies", {
      unit: "{reply}",
      description: "Replies that no call waited for.",
    });
    this.refusedRequests = meter.createCounter("rabbitmq_rpc.server.refused_requests", {
      unit: "{request}",
      description: "Requests that ended without their handler being started.",
    });
    this.rejectedRequests = meter.createCounter("rabbitmq_rpc.server.rejected_requests", {
      unit: "{request}",
      description: "Requests without a reply queue that the server accepts; they got no answer.",
    });
    const reconnects = { unit: "{reconnect}", description: "Connections opened again after a loss." };
    this.clientReconnects = meter.createCounter("rabbitmq_rpc.client.reconnects", reconnects);
    this.serverReconnects = meter.createCounter("rabbitmq_rpc.server.reconnects", reconnects);
  }
}
