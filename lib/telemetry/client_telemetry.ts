import { type Attributes, context, SpanKind, trace } from "@opentelemetry/api";
import type { ClientEvent, InterceptedCall, Interceptor, Next } from "../rpc.ts";
import {
  brokerAttributes,
  endAttributes,
  failureAttributes,
  failureStatus,
  messageAttributes,
  methodAttributes,
  rpcMethod,
  SYSTEM,
} from "./attributes.ts";
import { instruments, isOn, tracer } from "./sdk.ts";
import { contextOfCall, withTraceContext } from "./trace_context.ts";

async function tracedCall(next: Next, call: InterceptedCall): Promise<unknown> {
  const { activeCalls, clientDuration } = instruments();
  const name = rpcMethod(call);
  const method = methodAttributes(name);
  const callAttributes = { ...method, ...brokerAttributes(call) };
  const before = contextOfCall(call.parent);
  const attributes = { ...callAttributes, ...messageAttributes(call) };
  const span = tracer().startSpan(name, { kind: SpanKind.CLIENT, attributes }, before);
  const traced = trace.setSpan(before, span);
  const startedAt = performance.now();
  activeCalls.add(1, method);
  let end: Attributes = {};
  try {
    const headers = withTraceContext(call.headers, traced);
    const reply = await context.with(traced, () => next({ ...call, headers }));
    end = endAttributes("client", "ok");
    return reply;
  } catch (error) {
    end = failureAttributes(error);
    span.setStatus(failureStatus(error));
    throw error;
  } finally {
    activeCalls.add(-1, method);
    clientDuration.record((performance.now() - startedAt) / 1_000, { ...callAttributes, ...end });
    span.setAttributes(end);
    span.end();
  }
}

/** Spans and metrics of a client's calls. */
export function clientTelemetry(): Interceptor {
  let lost = 0;

  function onEvent(event: ClientEvent): void {
    if (event.type === "disconnected") lost++;
    const reconnected = event.type === "connected" && lost > 0;
    if (reconnected) lost--;
    if (!isOn()) return;
    const { retries, lateReplies, clientReconnects } = instruments();
    if (reconnected) clientReconnects.add(1, { "rpc.system.name": SYSTEM });
    else if (event.type === "late_reply") lateReplies.add(1, { "rpc.system.name": SYSTEM });
    else if (event.type === "called" && event.attempts > 1) {
      retries.add(event.attempts - 1, methodAttributes(rpcMethod(event)));
    }
  }

  const interceptor = (next: Next): Next => (call) => isOn() ? tracedCall(next, call) : next(call);
  return Object.assign(interceptor, { enabled: isOn, onEvent });
}
