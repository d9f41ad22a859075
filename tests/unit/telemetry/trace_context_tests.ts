import {
  type Context,
  context,
  type ContextManager,
  propagation,
  ROOT_CONTEXT,
  type TextMapPropagator,
  trace,
} from "@opentelemetry/api";
import { assertEquals } from "@std/assert";
import { checkHeaders } from "../../../lib/contract/headers.ts";
import type { ParentContext } from "../../../lib/contract/request_context.ts";
import {
  contextOfCall,
  contextOfRequest,
  noteRequest,
  withTraceContext,
} from "../../../lib/telemetry/trace_context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT: ParentContext = { signal: new AbortController().signal, deadline: undefined, propagated: {} };

function contextIn(traceId: string, spanId = "b7ad6b7169203331"): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1 });
}

/** Registers a propagator that writes these headers, until it is disposed of. */
function propagating(
  written: readonly (readonly [string, string])[],
  extract?: TextMapPropagator["extract"],
): Disposable {
  propagation.setGlobalPropagator({
    inject: (_, carrier, setter) => {
      for (const [name, value] of written) setter.set(carrier, name, value);
    },
    extract: extract ?? ((context) => context),
    fields: () => [],
  });
  return { [Symbol.dispose]: () => propagation.disable() };
}

/** Makes a context the active one, until it is disposed of. */
function active(current: Context): Disposable {
  const manager: ContextManager = {
    active: () => current,
    with: (_, fn, thisArg, ...args) => fn.call(thisArg, ...args),
    bind: (_, target) => target,
    enable: () => manager,
    disable: () => manager,
  };
  context.setGlobalContextManager(manager);
  return { [Symbol.dispose]: () => context.disable() };
}

Deno.test("The headers of the propagator are added, and replace those of the call", () => {
  using _propagator = propagating([["traceparent", "new"], ["tracestate", "a=1"]]);
  const headers = Object.freeze({ tenant: "acme", traceparent: "old" });
  assertEquals(withTraceContext(headers, ROOT_CONTEXT), { tenant: "acme", traceparent: "new", tracestate: "a=1" });
  assertEquals(headers.traceparent, "old");
});

Deno.test("Without a propagator no header is added", () => {
  assertEquals(withTraceContext({ tenant: "acme" }, ROOT_CONTEXT), { tenant: "acme" });
});

Deno.test("Headers of a propagator that must not be sent are left out", () => {
  using _propagator = propagating([["x-b3-traceid", "1"], ["B3", "1"], ["baggage", "ä"], ["b3", "1"]]);
  assertEquals(withTraceContext({}, ROOT_CONTEXT), { b3: "1" });
});

Deno.test("Headers of a propagator that have no room are left out, and the call is made", () => {
  using _propagator = propagating([["traceparent", "t".repeat(55)], ["baggage", "b".repeat(8_000)], ["b3", "1"]]);
  for (const [room, names] of [[8_192, ["big", "traceparent", "baggage", "b3"]], [100, ["big", "traceparent", "b3"]]]) {
    const big = "x".repeat(Number(room) === 8_192 ? 8_192 - 66 - 8_007 - 3 - 3 : 8_192 - Number(room));
    const headers = withTraceContext({ big }, ROOT_CONTEXT);
    assertEquals(Object.keys(headers), names);
    checkHeaders(headers, "call");
  }
  const full = Object.fromEntries(Array.from({ length: 63 }, (_, n) => [`h${n}`, ""]));
  const headers = withTraceContext(full, ROOT_CONTEXT);
  assertEquals(Object.keys(headers).slice(63), ["traceparent"]);
  checkHeaders(headers, "call");
});

Deno.test("A header that replaces another takes only the room that it needs more", () => {
  using _propagator = propagating([["traceparent", "t".repeat(55)]]);
  const rest = "x".repeat(8_192 - 66 - 4);
  const headers = withTraceContext({ rest, traceparent: "o".repeat(55) }, ROOT_CONTEXT);
  assertEquals(headers["traceparent"], "t".repeat(55));
  const longer = withTraceContext({ rest: `${rest}x`, traceparent: "o".repeat(54) }, ROOT_CONTEXT);
  assertEquals(longer["traceparent"], "o".repeat(54));
});

Deno.test("The context of a request is what the propagator finds, and never the server's own", () => {
  const own = contextIn("f".repeat(32));
  using _active = active(own);
  using _propagator = propagating([], (context, carrier, getter) => {
    assertEquals([context, getter.keys(carrier)], [ROOT_CONTEXT, ["traceparent", "bad"]]);
    assertEquals([getter.get(carrier, "traceparent"), getter.get(carrier, "bad")], ["%20", undefined]);
    return contextIn(TRACE);
  });
  const found = contextOfRequest({ traceparent: "%20", bad: "%%%" });
  assertEquals(trace.getSpanContext(found)?.traceId, TRACE);
});

Deno.test("A propagator that throws finds no context", () => {
  using _propagator = propagating([], () => {
    throw new Error("no");
  });
  assertEquals(contextOfRequest({}), ROOT_CONTEXT);
});

Deno.test("A call has the active context, or that of its parent if the active one is of another trace", () => {
  const request = contextIn(TRACE);
  const inside = contextIn(TRACE, "1".repeat(16));
  const foreign = contextIn("f".repeat(32));
  noteRequest(PARENT, request);
  for (
    const [current, parent, expected] of [
      [ROOT_CONTEXT, undefined, ROOT_CONTEXT],
      [foreign, undefined, foreign],
      [ROOT_CONTEXT, PARENT, request],
      [foreign, PARENT, request],
      [inside, PARENT, inside],
      [foreign, { ...PARENT }, foreign],
    ] as const
  ) {
    using _active = active(current);
    assertEquals(contextOfCall(parent) === expected, true);
  }
});
