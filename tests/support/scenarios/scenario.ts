/**
 * What a client and a server do together, told so that it can be compared: over memory and over a broker.
 *
 * @module
 */

import { type ClientEvent, type RpcClient, RpcError, type RpcServer, type ServerEvent } from "../../../lib/rpc.ts";
import type { MemoryClientOptions, MemoryServerOptions } from "../../../lib/testing.ts";

/** The two sides, and what may happen to them. */
export interface Scene {
  readonly client: RpcClient;
  readonly server: RpcServer;
  /** A queue of the scenario's own. */
  readonly queue: string;
  /** Another one. */
  readonly otherQueue: string;
  /** Cuts the connections of both sides. */
  disconnect(): void;
}

/** Something that happens between a client and a server. */
export interface Scenario {
  /** A sentence. */
  readonly name: string;
  readonly client?: MemoryClientOptions;
  readonly server?: MemoryServerOptions;
  /**
   * Whether it loses its connections, so that events depend on how fast they are back, and are not compared.
   *
   * @default {false}
   */
  readonly disconnects?: boolean;
  /** Gives what there is to compare; an error is told by {@linkcode told}. */
  readonly run: (scene: Scene) => Promise<unknown>;
  readonly expected: unknown;
}

/** What is the same wherever a scenario runs. */
export interface Story {
  readonly result: unknown;
  /** The events of the client and of the server, without those of connections. */
  readonly events: readonly string[];
}

/** What both sides of a place to run are created with. */
export interface Wiring {
  readonly client: MemoryClientOptions;
  readonly server: MemoryServerOptions;
}

/** What varies from run to run: ids, places, and what the broker says of a queue if it answers soon enough. */
function plain(text: string, { queue, otherQueue }: Scene): string {
  return text
    .replaceAll(otherQueue, "OTHER")
    .replaceAll(queue, "QUEUE")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "ID")
    .replace(/: the queue has \d+ consumers?.*/, "")
    .replace(/(Lost the connection to ).*?:\d+: [^,]*/, "$1BROKER")
    .replace(/(inequivalent arg '[\w-]+').*/, "$1");
}

/** What a call ended in, if that is an error. */
export function told(error: unknown): unknown {
  if (!(error instanceof RpcError)) return error instanceof Error ? `${error.name}: ${error.message}` : error;
  const { code, outcome, message, details, id, cause } = error;
  return {
    code,
    outcome,
    message,
    ...(details === undefined ? {} : { details }),
    ...(id === undefined ? {} : { id: "ID" }),
    // Other causes are the library's own errors.
    ...(cause === undefined || cause instanceof RpcError ? {} : { cause: String(cause) }),
  };
}

/** What a call ends in: its result or its error. */
export function end(call: Promise<unknown>): Promise<unknown> {
  return call.catch(told);
}

/** Replaces what varies in every text of a value. */
function plainly(value: unknown, scene: Scene): unknown {
  if (typeof value === "string") return plain(value, scene);
  if (Array.isArray(value)) return value.map((item) => plainly(item, scene));
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plainly(item, scene)]));
}

/** A server hears of the end of a call's time by its own clock or by the client's cancel, whichever is first. */
function late(code: string): string {
  return code === "canceled" || code === "deadline_exceeded" ? "canceled or deadline_exceeded" : code;
}

function eventText(event: ClientEvent | ServerEvent): string | undefined {
  switch (event.type) {
    case "called":
      return `called ${event.queue} ${event.method ?? ""}: ${event.code} ${event.outcome ?? ""}, ` +
        // How often a call is repeated depends on the time that the server takes.
        `written ${event.attempts > 1 ? "several times" : event.attempts}`;
    case "handled":
      return `handled ${event.queue} ${event.method ?? ""}: ${late(event.code)}${event.redelivered ? ", again" : ""}`;
    case "expired_request":
    case "canceled_request":
      return `given up ${event.queue}`;
    case "handler_error":
      return `handler_error ${event.queue} ${event.method ?? ""}: ${String(event.error)}`;
    case "adopted_queue":
    case "rejected_request":
    case "reply_dropped":
      return `${event.type} ${event.queue}: ${event.reason}`;
    case "caller_left":
    case "returned_request":
    case "consumer_canceled":
      return `${event.type} ${event.queue}`;
    case "late_reply":
      return event.type;
    default:
      return undefined;
  }
}

/** Runs a scenario between a client and a server that `connect` gives, and closes both. */
export async function tell(
  { client = {}, server = {}, disconnects = false, run }: Scenario,
  connect: (wiring: Wiring) => Promise<Scene & AsyncDisposable>,
): Promise<Story> {
  const events: string[] = [];
  const onEvent = (event: ClientEvent | ServerEvent): void => {
    const text = eventText(event);
    if (text !== undefined) events.push(text);
  };
  await using opened = new AsyncDisposableStack();
  const scene = opened.use(
    await connect({
      client: { timeout: 5_000, drainTimeout: 2_000, ...client, onEvent },
      server: { drainTimeout: 2_000, ...server, onEvent },
    }),
  );
  const result = await run(scene);
  // What is left is finished, so that all events are there.
  await opened.disposeAsync();
  return {
    result: plainly(result, scene),
    // Where calls overlap, their ends have no order.
    events: disconnects ? [] : events.map((text) => plain(text, scene)).sort(),
  };
}
