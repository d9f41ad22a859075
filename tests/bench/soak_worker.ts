/**
 * One side of the soak, in a process of its own: says once a second what it holds.
 *
 * @module
 */

import { procedure, RpcClient, RpcServer, text } from "../../lib/rpc.ts";
import { quantile, type Usage, usage } from "./meter.ts";
import { bodies, WrongReply } from "./peer.ts";

/** What a side of the soak says once a second. */
export interface SoakSaid {
  readonly type: "second";
  readonly usage: Usage;
  /** Calls or requests that have not ended. */
  readonly pending: number;
  /** Calls that have ended; 0 on the server's side. */
  readonly calls: number;
  /** Of the calls of this second, in ms; 0 on the server's side. */
  readonly p99: number;
  /** Whether all calls have been made. */
  readonly done: boolean;
}

/** What the soak asks for. */
export interface SoakLoad {
  readonly url: string;
  readonly queue: string;
  readonly calls: number;
  /** Calls per second. */
  readonly rate: number;
}

const TICK = 5;
const SECOND = 1_000;

function say(said: SoakSaid | { readonly type: "ready" } | object): void {
  console.log(JSON.stringify(said));
}

function echo(queue: string): ReturnType<typeof procedure<string, string, string, string>> {
  return procedure({ queue, queueType: "classic", request: text(), reply: text() });
}

async function serve({ url, queue }: SoakLoad): Promise<void> {
  const server = await RpcServer.connect(url);
  await server.serve(echo(queue), (request) => request, { prefetch: 200 });
  say({ type: "ready" });
  setInterval(() => {
    say({ type: "second", usage: usage(), pending: server.pending, calls: 0, p99: 0, done: false });
  }, SECOND);
}

async function call({ url, queue, calls, rate }: SoakLoad): Promise<void> {
  const client = await RpcClient.connect(url);
  const requests = bodies(2);
  const procedure = echo(queue);
  const startedAt = performance.now();
  let begun = 0;
  let ended = 0;
  let latencies: number[] = [];

  async function callOnce(request: string): Promise<void> {
    const began = performance.now();
    const reply = await client.call(procedure, request);
    if (reply !== request) throw new WrongReply(request, reply);
    latencies.push(performance.now() - began);
    ended++;
  }

  say({ type: "ready" });
  setInterval(() => {
    const due = Math.min(calls, Math.floor((performance.now() - startedAt) / 1000 * rate));
    for (; begun < due; begun++) callOnce(requests[begun % requests.length] ?? "").catch(fail);
  }, TICK);
  setInterval(() => {
    const p99 = quantile(latencies.toSorted((a, b) => a - b), 0.99);
    latencies = [];
    say({ type: "second", usage: usage(), pending: client.pending, calls: ended, p99, done: ended === calls });
  }, SECOND);
}

function fail(error: unknown): void {
  say({ type: "failed", wrongReply: error instanceof WrongReply, message: String(error) });
}

if (import.meta.main) {
  const [role, json = ""] = Deno.args;
  (role === "server" ? serve : call)(JSON.parse(json)).catch(fail);
  // The end of stdin is the end of the soak.
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}
