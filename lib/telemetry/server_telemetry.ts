import { type Context, context, type Span, SpanKind, trace } from "@opentelemetry/api";
import { type RpcCode, RpcError } from "../contract/errors.ts";
import type { InterceptedCall, Interceptor, Next, ServerEvent } from "../rpc.ts";
import {
  brokerAttributes,
  endAttributes,
  failureStatus,
  messageAttributes,
  methodAttributes,
  rpcMethod,
  SYSTEM,
} from "./attributes.ts";
import { instruments, isOn, tracer } from "./sdk.ts";
import { contextOfRequest, noteRequest } from "./trace_context.ts";

/** From this delay on, in ms, a span starts when its request arrived, not when its interceptors were called. */
const NOTABLE_DELAY_MS = 1;

/** The time of day in ms, with fractions where the clock has not been set since the process started. */
function timeOfDay(): number {
  const coarse = Date.now();
  const fine = performance.timeOrigin + performance.now();
  return fine >= coarse && fine < coarse + 1 ? fine : coarse;
}

function startSpan(call: InterceptedCall, name: string, before: Context): Span {
  const waited = performance.now() - (call.arrivedAt ?? Infinity);
  return tracer().startSpan(name, {
    kind: SpanKind.SERVER,
    attributes: { ...methodAttributes(name), ...brokerAttributes(call), ...messageAttributes(call) },
    ...(waited > NOTABLE_DELAY_MS ? { startTime: timeOfDay() - waited } : {}),
  }, before);
}

function endSpan(span: Span, code: RpcCode | "ok", thrown: unknown): void {
  const end = endAttributes("server", code);
  span.setAttributes(end);
  if ("error.type" in end) {
    span.setStatus(failureStatus(thrown));
    if (thrown instanceof Error && !(thrown instanceof RpcError)) span.recordException(thrown);
  }
  span.end();
}

async function tracedRequest(next: Next, call: InterceptedCall): Promise<unknown> {
  const { activeRequests } = instruments();
  const name = rpcMethod(call);
  const before = contextOfRequest(call.headers);
  const span = startSpan(call, name, before);
  const traced = trace.setSpan(before, span);
  if (call.context !== undefined) noteRequest(call.context, traced);
  const method = methodAttributes(name);
  let thrown: unknown;
  activeRequests.add(1, method);
  // Not when `next` ends: the server may still find that the reply cannot be encoded, or that the caller has left.
  call.onAnswer?.((code) => {
    activeRequests.add(-1, method);
    endSpan(span, code, thrown);
  });
  try {
    return await context.with(traced, () => next(call));
  } catch (error) {
    thrown = error;
    throw error;
  }
}

/** `rpc.method` of a request that has ended. The names of unknown methods are their callers', and without number. */
function endedMethod(event: ServerEvent & { readonly type: "handled" }): string {
  return event.code === "unimplemented" && !event.executed ? "_OTHER" : rpcMethod(event);
}

/** Spans and metrics of a server's requests. */
export function serverTelemetry(): Interceptor {
  let lost = 0;

  function onEvent(event: ServerEvent): void {
    if (event.type === "disconnected") lost++;
    const reconnected = event.type === "connected" && lost > 0;
    if (reconnected) lost--;
    if (!isOn()) return;
    const { serverDuration, refusedRequests, rejectedRequests, serverReconnects } = instruments();
    if (reconnected) serverReconnects.add(1, { "rpc.system.name": SYSTEM });
    else if (event.type === "rejected_request") rejectedRequests.add(1, methodAttributes(event.queue));
    else if (event.type === "handled") {
      const attributes = { ...methodAttributes(endedMethod(event)), ...endAttributes("server", event.code) };
      serverDuration.record(event.duration / 1_000, attributes);
      if (!event.executed) refusedRequests.add(1, attributes);
    }
  }

  const interceptor = (next: Next): Next => (call) => isOn() ? tracedRequest(next, call) : next(call);
  return Object.assign(interceptor, { enabled: isOn, onEvent });
}
