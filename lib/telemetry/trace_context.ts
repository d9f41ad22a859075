import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type TextMapGetter,
  type TextMapSetter,
  trace,
} from "@opentelemetry/api";
import { type Headers, isSendable, MAX_HEADER_BYTES, MAX_HEADERS } from "../contract/headers.ts";
import type { ParentContext } from "../rpc.ts";

/** The trace context of each request whose handler is running, for calls with `{ parent: context }`. */
const requests = new WeakMap<ParentContext, Context>();

/** Headers to which a propagator adds, within the limits that headers have. */
interface Carrier {
  readonly headers: Record<string, string>;
  count: number;
  bytes: number;
}

/** What must not be sent, or has no room, is left out: a call must not fail because it is traced. */
const SETTER: TextMapSetter<Carrier> = {
  set(carrier, name, value) {
    const { headers } = carrier;
    if (!isSendable(name, value)) return;
    const replaced = headers[name];
    const count = carrier.count + (replaced === undefined ? 1 : 0);
    const bytes = carrier.bytes + value.length + (replaced === undefined ? name.length : -replaced.length);
    if (count > MAX_HEADERS || bytes > MAX_HEADER_BYTES) return;
    headers[name] = value;
    carrier.count = count;
    carrier.bytes = bytes;
  },
};

function isDecodable(value: string): boolean {
  try {
    decodeURIComponent(value);
    return true;
  } catch {
    return false;
  }
}

/** Malformed percent-encoding is left out: Deno's propagator would log a stack for each such request. */
const GETTER: TextMapGetter<Headers> = {
  keys: (headers) => Object.keys(headers),
  get(headers, name) {
    const value = headers[name];
    return value !== undefined && isDecodable(value) ? value : undefined;
  },
};

/** The context that a request brings; none of the server's own, so that requests do not inherit one from each other. */
export function contextOfRequest(headers: Headers): Context {
  try {
    return propagation.extract(ROOT_CONTEXT, headers, GETTER);
  } catch {
    return ROOT_CONTEXT;
  }
}

/** Notes the trace context in which the handler of a request runs. */
export function noteRequest(request: ParentContext, traced: Context): void {
  requests.set(request, traced);
}

/** The context of a new call: the active one, unless the call is made for a request of another trace. */
export function contextOfCall(parent: ParentContext | undefined): Context {
  const active = context.active();
  const request = parent === undefined ? undefined : requests.get(parent);
  if (request === undefined) return active;
  const traceId = trace.getSpanContext(active)?.traceId;
  return traceId !== undefined && traceId === trace.getSpanContext(request)?.traceId ? active : request;
}

/** The headers of a call, with its trace context. */
export function withTraceContext(headers: Headers, traced: Context): Headers {
  const carrier: Carrier = { headers: { ...headers }, count: 0, bytes: 0 };
  for (const [name, value] of Object.entries(headers)) {
    carrier.count++;
    carrier.bytes += name.length + value.length;
  }
  propagation.inject(traced, carrier, SETTER);
  return carrier.headers;
}
