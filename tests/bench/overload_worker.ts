/**
 * One side of the overload lab, in a process of its own: a server, or a client that makes calls at a rate whatever comes
 * back. It is told what to do by its only argument, and by lines on stdin; it says what it saw in lines of JSON.
 *
 * @module
 */

import type { Procedure, QueueType, RequestContext, RpcError } from "../../lib/rpc.ts";
import { sleep } from "../support/handlers.ts";

/** How long the handler of a method takes, in ms: evenly spread from the first to the second. */
export type Spread = readonly [least: number, most: number];

/** What both sides know. */
interface Place {
  readonly url: string;
  readonly queue: string;
  readonly queueType: QueueType;
  /** The methods, all called equally often. */
  readonly methods: Readonly<Record<string, Spread>>;
}

/** A server of the lab. */
export interface ServerPlan extends Place {
  readonly side: "server";
  readonly prefetch: number;
  /** Its handlers take this many times as long. */
  readonly slowness: number;
}

/** A client of the lab. */
export interface ClientPlan extends Place {
  readonly side: "client";
  /** How long each call may take, in ms. */
  readonly timeout: number;
  /** How far its monotonic clock is from that of the machine, in ms. */
  readonly shift: number;
  /** How much faster its clock runs, in parts per million. */
  readonly drift: number;
  /** Whether it sends its clock. */
  readonly clock: boolean;
}

/** What a client did between two lines on stdin. */
export interface ClientSaid {
  readonly type: "calls";
  readonly offered: number;
  /** Those of the offered calls that were answered by now. */
  readonly offeredAndAnswered: number;
  readonly answered: number;
  readonly refused: number;
  readonly late: number;
  readonly other: number;
  /** The answered calls of each method. */
  readonly byMethod: Readonly<Record<string, number>>;
  /** The message of the last call of `other`. */
  readonly lastError: string;
}

/** What a server did between two lines on stdin. */
export interface ServerSaid {
  readonly type: "work";
  /** Handlers that ran to the end, and how long all of them took, in ms. */
  readonly finished: number;
  readonly finishedMs: number;
  /** Those that were aborted. */
  readonly wasted: number;
  readonly wastedMs: number;
}

function say(said: object): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(said)}\n`));
}

/** Moves the clock of this process, before the library is loaded. */
function moveClock({ shift, drift }: ClientPlan): void {
  const now = performance.now.bind(performance);
  Object.defineProperty(performance, "now", { value: () => now() * (1 + drift / 1e6) + shift });
}

async function makeService({ queue, queueType, methods }: Place) {
  const { integer, method, service } = await import("../../lib/rpc.ts");
  const made = Object.keys(methods).map((name) =>
    [name, method({ request: integer(), reply: integer(), idempotent: true })] as const
  );
  return service({ queue, queueType, methods: Object.fromEntries(made), default: Object.keys(methods)[0] ?? "" });
}

async function* lines(): AsyncGenerator<string> {
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) yield* text.trim().split("\n");
}

async function serve(plan: ServerPlan): Promise<void> {
  const { RpcServer } = await import("../../lib/rpc.ts");
  const server = await RpcServer.connect(plan.url, { onEvent: () => {} });
  const nothing = { finished: 0, finishedMs: 0, wasted: 0, wastedMs: 0 };
  let work = { ...nothing };
  const handlers = Object.entries(plan.methods).map(([name, [least, most]]) => {
    const handler = async (n: number, { signal }: RequestContext): Promise<number> => {
      const started = performance.now();
      try {
        await sleep(plan.slowness * (least + (most - least) * Math.random()), signal);
      } catch (error) {
        work.wasted++;
        work.wastedMs += performance.now() - started;
        throw error;
      }
      work.finished++;
      work.finishedMs += performance.now() - started;
      return n;
    };
    return [name, handler] as const;
  });
  await server.serve(await makeService(plan), Object.fromEntries(handlers), { prefetch: plan.prefetch });
  say({ type: "ready" });
  for await (const _ of lines()) {
    say({ type: "work", ...work } satisfies ServerSaid);
    work = { ...nothing };
  }
}

/** The counts of a client since it was last asked. */
class Tally {
  offered = 0;
  offeredAndAnswered = 0;
  answered = 0;
  refused = 0;
  late = 0;
  other = 0;
  byMethod: Record<string, number> = {};
  lastError = "";

  failed({ code, outcome, message }: RpcError): void {
    if (code === "resource_exhausted" && outcome === "not_executed") this.refused++;
    else if (code === "deadline_exceeded") this.late++;
    else {
      this.other++;
      this.lastError = message;
    }
  }
}

/** On stdin, a number sets the rate in calls/s; `many N` keeps N calls open instead; `tell` says what was done. */
async function call(plan: ClientPlan): Promise<void> {
  moveClock(plan);
  const { RpcClient } = await import("../../lib/rpc.ts");
  if (!plan.clock) (await import("../../lib/client/request_publisher.ts")).requestClock.enabled = false;
  const client = await RpcClient.connect(plan.url, { onEvent: () => {} });
  const { methods } = await makeService(plan);
  const procedures = Object.entries(methods) as unknown as [string, Procedure<number, number, number, number>][];
  let tally = new Tally();
  let made = 0;
  async function callOnce(timeout = plan.timeout): Promise<void> {
    const [name, procedure] = procedures[made++ % procedures.length] as typeof procedures[number];
    const noted = tally;
    noted.offered++;
    try {
      await client.call(procedure, 1, { timeout });
      noted.offeredAndAnswered++;
      // What is answered later belongs to the time in which it is answered.
      tally.answered++;
      tally.byMethod[name] = 1 + (tally.byMethod[name] ?? 0);
    } catch (error) {
      tally.failed(error as RpcError);
    }
  }

  let rate = 0;
  let due = performance.now();
  // Poisson: the times between two calls are exponential, as those of many independent callers are.
  setInterval(() => {
    const now = performance.now();
    if (rate === 0) due = now;
    while (rate > 0 && due <= now) {
      callOnce();
      due -= Math.log(1 - Math.random()) * 1000 / rate;
    }
  }, 2);

  let width = 0;
  async function lane(): Promise<void> {
    while (width > 0) await callOnce(60_000);
  }

  say({ type: "ready" });
  for await (const line of lines()) {
    if (line.startsWith("many ")) {
      width = Number(line.slice(5));
      for (let n = 0; n < width; n++) lane();
    } else if (line === "tell") {
      const said = tally;
      tally = new Tally();
      say({ type: "calls", ...said } satisfies ClientSaid);
    } else {
      rate = Number(line);
    }
  }
}

if (import.meta.main) {
  const plan = JSON.parse(Deno.args[0] ?? "{}") as ServerPlan | ClientPlan;
  if (plan.side === "server") await serve(plan);
  else await call(plan);
  Deno.exit();
}
