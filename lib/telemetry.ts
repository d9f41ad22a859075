/**
 * OpenTelemetry: traces and metrics of calls, for clients and servers.
 *
 * They go to the SDK that is registered with `@opentelemetry/api`: with `OTEL_DENO=true`, that is Deno's own. Without
 * an SDK the interceptors do nothing, and no header is sent. An SDK may be registered later; it then gets the calls that
 * start after that.
 *
 * @example A server and a client
 * ```ts
 * import { integer, procedure, RpcClient, RpcServer } from "@rabbitmq-rpc/rpc";
 * import { telemetry } from "@rabbitmq-rpc/rpc/telemetry";
 *
 * const double = procedure({ queue: "double", request: integer(), reply: integer(), idempotent: true });
 *
 * await using server = await RpcServer.connect(undefined, { interceptors: [telemetry.server()] });
 * await server.serve(double, (n) => 2 * n);
 *
 * await using client = await RpcClient.connect(undefined, { interceptors: [telemetry.client()] });
 * console.log(await client.call(double, 21)); // one trace: a span of the client, and the server's as its child
 * ```
 *
 * @module
 */
import type { Interceptor } from "./rpc.ts";
import { clientTelemetry } from "./telemetry/client_telemetry.ts";
import { serverTelemetry } from "./telemetry/server_telemetry.ts";

/** The type of {@linkcode telemetry}. */
export interface Telemetry {
  /**
   * An interceptor for clients. Every call is a span of kind CLIENT, which covers all its attempts, and its context is
   * sent in the headers `traceparent` and `tracestate`.
   *
   * @returns The interceptor; put it first in the option `interceptors` of `RpcClient.connect`.
   */
  client(): Interceptor;
  /**
   * An interceptor for servers. Every request that reaches the interceptors is a span of kind SERVER, the child of the
   * client's span; calls inside the handler are its children. The metrics count all requests.
   *
   * @returns The interceptor; put it first in the option `interceptors` of `RpcServer.connect`.
   */
  server(): Interceptor;
}

/**
 * Interceptors that report calls to OpenTelemetry, by its semantic conventions for RPC. Names of spans, metrics and
 * attributes are listed in the README.
 *
 * @example
 * ```ts
 * import { RpcClient } from "@rabbitmq-rpc/rpc";
 * import { telemetry } from "@rabbitmq-rpc/rpc/telemetry";
 *
 * await using client = await RpcClient.connect(undefined, { interceptors: [telemetry.client()] });
 * console.assert(client.status.state === "connected");
 * ```
 */
export const telemetry: Telemetry = { client: clientTelemetry, server: serverTelemetry };
