import { checkInteger } from "../contract/validate.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import type { TlsOptions } from "./handshake.ts";

/** How long one attempt to connect takes at the most, where no option says so, in ms. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** How `connect` of both sides behaves. */
export interface ConnectOptions {
  /**
   * How long one attempt to reach one host may take, in ms, from 1 to 2,147,483,647.
   *
   * @default {10_000}
   */
  readonly connectTimeout?: number;
  /**
   * How long `connect` keeps trying when no broker answers, in ms, from 0 to
   * 2,147,483,647; at 0 every host is tried once. A broker that refuses (password,
   * virtual host, TLS) ends it at once all the same.
   *
   * @default {0}
   */
  readonly waitForBroker?: number;
  /**
   * Seconds of silence after which the broker is asked for a sign of life, from 0 (never)
   * to 65,535; the link counts as lost after about two of them
   * (https://www.rabbitmq.com/docs/heartbeats).
   *
   * @default {10}
   */
  readonly heartbeat?: number;
  /**
   * The bounds of the wait before a reconnect, in ms: it doubles from `min` to
   * `max`, and each wait is drawn at random below that ("full jitter").
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
  /** The connection's name in RabbitMQ's management pages; no more than 255 bytes. */
  readonly name?: string;
  /** Ends `connect` with `canceled` when it is aborted before there is a connection. */
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
