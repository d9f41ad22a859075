import { type Attributes, SpanStatusCode } from "@opentelemetry/api";
import { type RpcCode, RpcError } from "../contract/errors.ts";
import type { InterceptedCall } from "../contract/interceptor.ts";
import { printable } from "../contract/printable.ts";

/** `rpc.system.name`, and the namespace of this library's own metrics. */
export const SYSTEM = "rabbitmq_rpc";

/** The codes for which the server is to blame: those of the conventions for gRPC. With any other, the caller is. */
const SERVER_ERRORS: ReadonlySet<unknown> = new Set<RpcCode>([
  "unknown",
  "deadline_exceeded",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
]);

/** `rpc.method`: the queue, and the method of a service after a slash, as in gRPC's `Service/Method`. */
export function rpcMethod({ queue, method }: { readonly queue: string; readonly method: string | undefined }): string {
  return method === undefined ? queue : `${queue}/${method}`;
}

/** The attributes of a method, for metrics. */
export function methodAttributes(method: string): Attributes {
  return { "rpc.system.name": SYSTEM, "rpc.method": method };
}

/** The address of the broker, as the URL names it. */
export function brokerAttributes({ broker }: InterceptedCall): Attributes {
  if (broker === undefined) return {};
  const colon = broker.lastIndexOf(":");
  return {
    "server.address": broker.slice(0, colon).replace(/^\[|\]$/g, ""),
    "server.port": Number(broker.slice(colon + 1)),
  };
}

/** The attributes of the request's message; these conventions are still in development. */
export function messageAttributes({ queue, messageId, correlationId }: InterceptedCall): Attributes {
  const attributes: Attributes = { "messaging.system": "rabbitmq", "messaging.destination.name": queue };
  if (messageId !== undefined) attributes["messaging.message.id"] = messageId;
  if (correlationId !== undefined) attributes["messaging.message.conversation_id"] = correlationId;
  return attributes;
}

/** How a call ended: attributes for its span and its duration. */
export function endAttributes(side: InterceptedCall["side"], code: RpcCode | "ok"): Attributes {
  const failed = side === "client" ? code !== "ok" : SERVER_ERRORS.has(code);
  return failed ? { "rpc.status_code": code, "error.type": code } : { "rpc.status_code": code };
}

/** How a call of a client ended that threw. */
export function failureAttributes(error: unknown): Attributes {
  if (error instanceof RpcError) return endAttributes("client", error.code);
  // Wrong options, or an interceptor's own exception: there is no status.
  return { "error.type": error instanceof Error ? error.name : "_OTHER" };
}

/** The status of a span whose call failed; the text may be a stranger's. */
export function failureStatus(error: unknown): { code: SpanStatusCode; message?: string } {
  const { ERROR: code } = SpanStatusCode;
  try {
    return error instanceof Error ? { code, message: printable(String(error.message)) } : { code };
  } catch {
    // It is anything that an interceptor or a handler throws: its text may not be readable.
    return { code };
  }
}
