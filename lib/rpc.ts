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
export { bigint, bytes, integer, json, MAX_BODY_BYTES, text } from "./contract/codec.ts";
export type {
  BigintOptions,
  Codec,
  CodecOptions,
  IntegerOptions,
  Schema,
  SchemaIssue,
  SchemaResult,
} from "./contract/codec.ts";
export { type Procedure, procedure, type ProcedureOptions, type QueueType } from "./contract/procedure.ts";
export { type CallOptions, RpcClient, type RpcClientOptions } from "./client/rpc_client.ts";
export { RpcServer, type RpcServerOptions, type ServeOptions } from "./server/rpc_server.ts";
export type { Handler } from "./server/request_runner.ts";
export type { RequestContext } from "./server/request_context.ts";
export type { ConnectionEvent } from "./connection/connection_event.ts";
export type { ClientEvent } from "./client/client_event.ts";
export type { ServerEvent } from "./server/server_event.ts";
export type { ConnectOptions } from "./connection/connect_options.ts";
export type { TlsOptions } from "./connection/handshake.ts";
