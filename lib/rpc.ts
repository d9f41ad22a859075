/**
 * Remote procedure calls over RabbitMQ: call a function on another computer as
 * if it were local. Every call ends: in the result, or in one typed error that
 * says what happened and whether the work was done.
 *
 * @example One procedure, a server and a client
 * ```ts
 * import { integer, procedure, RpcClient, RpcServer } from "@rabbitmq-rpc/rpc";
 *
 * const double = procedure({ queue: "double", request: integer(), reply: integer(), idempotent: true });
 *
 * await using server = await RpcServer.connect();
 * await server.serve(double, (n) => 2 * n);
 *
 * await using client = await RpcClient.connect();
 * console.log(await client.call(double, 21)); // 42
 * ```
 *
 * @module
 */
export { RpcError } from "./contract/errors.ts";
export type { RpcCode, RpcErrorOptions, RpcOutcome } from "./contract/errors.ts";
export { isRpcError } from "./contract/typed_error.ts";
export type { DetailsIn, DetailsOut, TypedRpcError } from "./contract/typed_error.ts";
export { bigint, integer } from "./contract/decimal_codecs.ts";
export { bytes, empty, text } from "./contract/plain_codecs.ts";
export { json } from "./contract/json_codec.ts";
export { MAX_BODY_BYTES } from "./contract/codec.ts";
export type { BigintOptions, IntegerOptions } from "./contract/decimal_codecs.ts";
export type { Codec, CodecOptions } from "./contract/codec.ts";
export type { Schema, SchemaIssue, SchemaResult } from "./contract/json_codec.ts";
export { procedure } from "./contract/procedure.ts";
export type {
  AnyProcedure,
  ErrorMap,
  MethodOptions,
  NoErrors,
  Procedure,
  ProcedureOptions,
  QueueOptions,
  QueueSettings,
  QueueType,
} from "./contract/procedure.ts";
export { method, service } from "./contract/service.ts";
export type { AnyMethod, Declared, Method, Methods, ProcedureOf, Service, ServiceOptions } from "./contract/service.ts";
export { provide } from "./contract/interceptor.ts";
export type { AddedBy, InterceptedCall, Interceptor, Next } from "./contract/interceptor.ts";
export type { Headers } from "./contract/headers.ts";
export type { NoErrorsDeclared, ParentContext, RequestContext } from "./contract/request_context.ts";
export { type ClientOf, RpcClient, type RpcClientOptions, type ServersOptions } from "./client/rpc_client.ts";
export type { LastError, MethodInfo, QueueInfo, ServerFigures, ServerInfo } from "./contract/server_info.ts";
export type { CallOptions } from "./client/call_options.ts";
export { RpcServer } from "./server/rpc_server.ts";
export type { Handlers, HandlersOf, RpcServerOptions, ServeOptions, Serving } from "./server/server_options.ts";
export type { Handler } from "./server/request_runner.ts";
export { WorkerPool, type WorkerPoolOptions } from "./server/worker_pool.ts";
export type { ConnectionEvent } from "./events/connection_event.ts";
export type { ClientEvent } from "./events/client_event.ts";
export type { ServerEvent } from "./events/server_event.ts";
export { logEvents, type LogOptions } from "./events/log_events.ts";
export type { LogLevel } from "./events/log_record.ts";
export type { ConnectionStatus } from "./connection/connection_status.ts";
export type { ClientStatus } from "./client/client_status.ts";
export type { QueueStatus, ServerStatus } from "./server/server_status.ts";
export type { ConnectOptions } from "./connection/connect_options.ts";
export type { TlsOptions } from "./connection/handshake.ts";
