import { checkInteger } from "../contract/validate.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import type { TlsOptions } from "./handshake.ts";

/** How long one attempt to connect may take by default, in ms. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Options that `RpcClient.connect` and `RpcServer.connect` share. */
export interface ConnectOptions {
  /**
   * How long one attempt to reach one host may take, in ms, from 1 to 2,147,483,647. If its name has several addresses,
   * each may take so long.
   *
   * @default {10_000}
   */
  readonly connectTimeout?: number;
  /**
   * How long `connect` keeps trying when no broker answers, in ms, from 0 to
   * 2,147,483,647; with 0, every host is tried once. If a broker refuses the
   * password, the virtual host or TLS, `connect` rejects at once nevertheless.
   *
   * @default {0}
   */
  readonly waitForBroker?: number;
  /**
   * The heartbeat timeout, in seconds, from 0 (no heartbeats) to 65,535; a link
   * that is silent for twice as long counts as lost
   * (https://www.rabbitmq.com/docs/heartbeats).
   *
   * @default {10}
   */
  readonly heartbeat?: number;
  /**
   * The bounds of the wait before a reconnect, in ms, from 1 to 2,147,483,647:
   * the upper limit of the wait doubles from `min` to `max`, and each wait is
   * random below it ("full jitter").
   *
   * @default {{ min: 100, max: 3_000 }}
   */
  readonly backoff?: { readonly min: number; readonly max: number };
  /**
   * How long `close` waits for what is in progress, in ms, from 0 to 2,147,483,647.
   *
   * @default {30_000}
   */
  readonly drainTimeout?: number;
  /**
   * The connection's name in RabbitMQ's management pages and in `rabbitmqctl list_connections client_properties`, at most
   * 255 bytes.
   *
   * @default {"server.ts@web-1 pid=4242 rpc=0.2.0"}, that is script, host (with the permission `--allow-sys=hostname`),
   * process and version of this library
   */
  readonly name?: string;
  /** If it is aborted before the connection is open, `connect` rejects with `canceled`. */
  readonly signal?: AbortSignal;
  /** TLS material for `amqps:` URLs. */
  readonly tls?: TlsOptions;
}

/** Refuses options that are out of their bounds. */
export function checkConnectOptions(options: ConnectOptions): void {
  const { connectTimeout = 1, waitForBroker = 0, heartbeat = 10, backoff = { min: 1, max: 1 }, drainTimeout = 0 } =
    options;
  checkInteger(connectTimeout, "connectTimeout", "connect", 1, MAX_TIMEOUT_MS);
  checkInteger(waitForBroker, "waitForBroker", "connect", 0, MAX_TIMEOUT_MS);
  checkInteger(heartbeat, "heartbeat", "connect", 0, 65_535);
  checkInteger(drainTimeout, "drainTimeout", "connect", 0, MAX_TIMEOUT_MS);
  checkInteger(backoff.min, "backoff.min", "connect", 1, MAX_TIMEOUT_MS);
  checkInteger(backoff.max, "backoff.max", "connect", backoff.min, MAX_TIMEOUT_MS);
  const { name = "", tls = {}, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Cannot connect: 'signal' must be an AbortSignal");
  }
  if (typeof name !== "string") throw new TypeError(`Cannot connect: 'name' must be a string, got ${typeof name}`);
  if (new TextEncoder().encode(name).byteLength > 255) {
    throw new RangeError("Cannot connect: 'name' must have at most 255 bytes");
  }
  if (typeof tls !== "object" || tls === null) throw new TypeError("Cannot connect: 'tls' must be an object");
}
