import type { RpcCode } from "./errors.ts";

/** The figures of one method since the server began to serve it. Durations are in ms. */
export interface MethodInfo {
  /** The method of a service; absent for a procedure with a queue of its own. */
  readonly name: string | undefined;
  /** How many requests have ended. */
  readonly requests: number;
  /** How many of them ended with each code; `canceled` and `deadline_exceeded`: the caller has stopped waiting. */
  readonly codes: Readonly<Partial<Record<RpcCode | "ok", number>>>;
  /** How many of them ended before the handler was started. */
  readonly refused: number;
  /** How many times the handler has run to its end. */
  readonly handled: number;
  /** How long the handler has run in total, with the interceptors around it. */
  readonly processingTime: number;
  /** The median of the handler's durations, over about the last half minute with requests; absent if there were none. */
  readonly p50: number | undefined;
  /** Their 99th percentile. */
  readonly p99: number | undefined;
  /** The last error with which requests were answered; absent if there was none. */
  readonly lastError: LastError | undefined;
}

/** The last error with which a server has answered, without its text, which is for the caller alone. */
export interface LastError {
  /** What went wrong. */
  readonly code: RpcCode;
  /** The id under which the server has logged the reason; only with `internal`. */
  readonly id: string | undefined;
  /** How long ago it was, in ms. */
  readonly ago: number;
}

/** What a server tells of itself and of one queue that it serves. Durations are in ms. */
export interface ServerFigures {
  /** A UUID, new each time that a server is started. */
  readonly id: string;
  /** The name of its connection, by default made of script, host and process. */
  readonly name: string;
  /** The option `version` of `RpcServer.connect`. */
  readonly version: string | undefined;
  /** Name and version of the library, such as `rpc/1.0.0`. */
  readonly library: string;
  /** `draining` if it accepts no more requests from this queue. */
  readonly state: "serving" | "draining";
  /** How many consumers it has on the queue; more than one under overload, 0 if it is draining. */
  readonly consumers: number;
  /** How long ago the server was started. */
  readonly uptime: number;
  /** How many requests it has in progress at once, at most. */
  readonly prefetch: number;
  /** How many requests it has accepted and not answered. */
  readonly inFlight: number;
  /** How long ago the oldest of these arrived; absent if there is none. */
  readonly oldest: number | undefined;
  /** How many requests it has rejected because there was no accepted `reply_to`. */
  readonly rejected: number;
  /** The methods, the one with most requests first. */
  readonly methods: readonly MethodInfo[];
  /** How many further methods there are, for which there was no room. */
  readonly omitted: number;
}

/** A server's answer to {@linkcode RpcClient.servers}. */
export interface ServerInfo extends ServerFigures {
  /** How long after the question its answer came, in ms. */
  readonly roundTrip: number;
}

/** What the broker and the servers tell of one queue. */
export interface QueueInfo {
  /** How many requests wait in the queue. */
  readonly messages: number;
  /** How many consumers the queue has; those of plain servers are counted, and give no figures. */
  readonly consumers: number;
  /** The servers of this library that have answered, in the order of their answers. */
  readonly servers: readonly ServerInfo[];
}
