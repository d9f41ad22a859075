/**
 * A server for tests of faults, in a process of its own so that it can be killed: doubles numbers, and writes down what
 * it starts and ends in a file that survives it. Takes one JSON argument, a {@linkcode LabServerConfig}.
 *
 * On its stdin, `stats` prints one line of JSON, a {@linkcode LabServerStats}. On SIGTERM it drains and exits with 0.
 *
 * @module
 */

import v8 from "node:v8";
import vm from "node:vm";
import {
  integer,
  json,
  method,
  type Procedure,
  procedure,
  type ProcedureOptions,
  type RequestContext,
  RpcServer,
  service,
} from "../../lib/rpc.ts";
import { sleep } from "./handlers.ts";

/** From number to number, the same for the lab's clients and servers. */
export type Doubling = Procedure<number, number, number, number>;

/** What may be chosen of {@linkcode double}. */
export type DoubleOptions = Partial<
  Omit<ProcedureOptions<number, number, number, number>, "queue" | "request" | "reply">
>;

/** A procedure from number to number; by default on a queue that is quick to declare and to delete. */
export function double(queue: string, options: DoubleOptions = {}): Doubling {
  return procedure({ queueType: "classic", ...options, queue, request: integer(), reply: integer() });
}

/** The three kinds of procedure, by what happens to a request whose fate is not known. */
export const KINDS = ["true", "absent", "false"] as const;

/** One of {@linkcode KINDS}. */
export type Kind = typeof KINDS[number];

/** The requests that methods refuse with an error that has the request as its details. */
export function isRefused(n: number): boolean {
  return n % 50 === 0;
}

const errors = { failed_precondition: json() } as const;

/** Methods from number to number, one of each kind, over one queue; they send the header `n` back. */
export function doubles(queue: string) {
  const common = { request: integer(), reply: integer(), errors };
  return service({
    queue,
    methods: {
      true: method({ ...common, idempotent: true }),
      absent: method(common),
      false: method({ ...common, idempotent: false }),
    },
  });
}

/** How a server of the lab is to be. */
export interface LabServerConfig {
  readonly urls: readonly string[];
  /** What it serves. */
  readonly procedures: readonly (DoubleOptions & { readonly queue: string })[];
  /** The queue of {@linkcode doubles}; absent if that is not served. Its methods log as the procedures of their kind. */
  readonly service?: string;
  /** Appended to: one line `S|F|A queue number` for each start, finish and abort of a handler. */
  readonly log: string;
  readonly prefetch: number;
  /** How long each handler takes, in ms. */
  readonly delay: number;
  /** The request that kills the process. */
  readonly deadly?: number;
  /** The request whose handler leaves a promise behind that is rejected. */
  readonly detached?: number;
  /** The requests up to this one block the event loop for `delay` ms, in place of waiting. */
  readonly blocking?: number;
  /** The request that blocks the event loop for ever. */
  readonly looping?: number;
  /** In s; that of the library if absent. */
  readonly heartbeat?: number;
}

/** What a server of the lab tells about itself. */
export interface LabServerStats {
  readonly pending: number;
  /** In bytes, after a collection of garbage. */
  readonly heap: number;
  /** How often its connection was lost. */
  readonly losses: number;
}

/** What a server of the lab prints when it consumes. */
export const READY = "ready";

/** What a server of the lab exits with if a rejection was not handled. */
export const UNHANDLED = 70;

/** How much memory JavaScript's objects take, in bytes, after a collection of garbage. */
export function heapInUse(): number {
  v8.setFlagsFromString("--expose-gc");
  const collect: unknown = vm.runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("Cannot collect garbage: V8 has no gc()");
  collect();
  return Deno.memoryUsage().heapUsed;
}

/** Computes without a pause. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

async function main(config: LabServerConfig): Promise<void> {
  const log = Deno.openSync(config.log, { append: true, create: true });
  const encoder = new TextEncoder();
  let losses = 0;
  await using server = await RpcServer.connect(config.urls, {
    waitForBroker: 60_000,
    ...(config.heartbeat === undefined ? {} : { heartbeat: config.heartbeat }),
    onEvent: (event) => {
      if (event.type === "disconnected") losses++;
      if (event.type === "handler_error") console.error(event);
    },
  });
  /** @param queue The name in the log. */
  function handlerOf(queue: string): (n: number, context: Pick<RequestContext, "signal">) => Promise<number> {
    // One write each, and synchronous: a SIGKILL a moment later does not take it back.
    const note = (what: "S" | "F" | "A", n: number): number => log.writeSync(encoder.encode(`${what} ${queue} ${n}\n`));
    return async (n, { signal }) => {
      note("S", n);
      if (n === config.deadly) Deno.exit(1);
      while (n === config.looping);
      if (n === config.detached) Promise.reject(new Error("left behind"));
      if (n <= (config.blocking ?? -1)) block(config.delay);
      try {
        if (n > (config.blocking ?? -1) && config.delay > 0) await sleep(config.delay, signal);
      } catch (error) {
        note("A", n);
        throw error;
      }
      note("F", n);
      return 2 * n;
    };
  }
  const { prefetch } = config;
  for (const { queue, ...options } of config.procedures) {
    await server.serve(double(queue, options), handlerOf(queue), { prefetch });
  }
  if (config.service !== undefined) {
    const methodOf = (kind: Kind) => {
      const handler = handlerOf(config.procedures[KINDS.indexOf(kind)]?.queue ?? "");
      return async (n: number, context: RequestContext<typeof errors>): Promise<number> => {
        context.replyHeaders["n"] = context.headers["n"] ?? "";
        const result = await handler(n, context);
        if (isRefused(n)) throw context.error("failed_precondition", { n });
        return result;
      };
    };
    const handlers = { true: methodOf("true"), absent: methodOf("absent"), false: methodOf("false") };
    await server.serve(doubles(config.service), handlers, { prefetch });
  }

  Deno.addSignalListener("SIGTERM", async () => {
    await server.close();
    Deno.exit(0);
  });
  Deno.stdout.writeSync(encoder.encode(`${READY}\n`));
  for await (const asked of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    if (!asked.includes("stats")) continue;
    const stats: LabServerStats = { pending: server.pending, heap: heapInUse(), losses };
    Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(stats)}\n`));
  }
}

if (import.meta.main) {
  const config: LabServerConfig = JSON.parse(Deno.args[0] ?? "{}");
  if (config.detached === undefined) {
    globalThis.addEventListener("unhandledrejection", (event) => {
      console.error("Unhandled rejection:", event.reason);
      Deno.exit(UNHANDLED);
    });
  }
  await main(config);
}
