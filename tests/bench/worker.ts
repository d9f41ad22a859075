/**
 * One side of one peer, in a process of its own; what it is told comes in lines on stdin, what it says are lines of
 * JSON on stdout, and the end of stdin ends it.
 *
 * @module
 */

import { type Measured, Meter, type Usage, usage } from "./meter.ts";
import { type Drive, type Load, WrongReply } from "./peer.ts";
import { findPeer } from "./peers.ts";
import type { ClientSaid, ServerSaid } from "./overload_worker.ts";
import type { SoakSaid } from "./soak_worker.ts";

interface Used<When extends string> {
  readonly type: When;
  readonly usage: Usage;
}

/** What a worker says. */
export type Said =
  | { readonly type: "ready" }
  | Used<"opened">
  | Used<"closed">
  | Used<"usage">
  | { readonly type: "measured"; readonly measured: Measured }
  | SoakSaid
  | ClientSaid
  | ServerSaid
  | { readonly type: "heap"; readonly bytesPerCall: number }
  | { readonly type: "failed"; readonly wrongReply: boolean; readonly message: string };

const encoder = new TextEncoder();

function say(said: Said): void {
  Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(said)}\n`));
}

const WARM_UP_IN_FLIGHT = 100;

async function measure(connect: () => Promise<Drive>, { inFlight, warmUp, window }: Load): Promise<void> {
  const drive = await connect();
  await drive(WARM_UP_IN_FLIGHT, new Meter({ skip: WARM_UP_IN_FLIGHT, window: warmUp }));
  const closed = Promise.withResolvers<void>();
  const meter = new Meter({
    skip: inFlight,
    window,
    opened: () => say({ type: "opened", usage: usage() }),
    closed: () => {
      say({ type: "closed", usage: usage() });
      closed.resolve();
    },
  });
  // Calls that are still on their way then end with this process.
  await Promise.race([drive(inFlight, meter), closed.promise]);
  say({ type: "measured", measured: meter.measured });
}

function fail(error: unknown): void {
  say({ type: "failed", wrongReply: error instanceof WrongReply, message: String(error) });
}

async function work(role: string, id: string, load: Load): Promise<void> {
  const peer = await findPeer(id)?.load?.();
  if (peer === undefined) throw new Error(`There is no peer "${id}"`);
  if (role === "server") await peer.serve(load);
  say({ type: "ready" });
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    for (const line of text.trim().split("\n")) {
      if (line === "go") measure(() => peer.connect(load), load).catch(fail);
      else if (line === "usage") say({ type: "usage", usage: usage() });
    }
  }
  Deno.exit();
}

if (import.meta.main) {
  const [role = "", id = "", load = ""] = Deno.args;
  work(role, id, JSON.parse(load)).catch(fail);
}
