import type { Measured } from "./meter.ts";
import type { Load, QueueKind } from "./peer.ts";
import { command, denoProcess, type PeerInfo, PEERS } from "./peers.ts";
import type { Said } from "./worker.ts";

/** What one peer did in one row, once. */
export interface Sample extends Measured {
  /** CPU seconds per 10,000 calls. */
  readonly clientCpu: number;
  /** That of all servers together. */
  readonly serverCpu: number;
  /** In bytes. */
  readonly clientRss: number;
  /** That of the largest server. */
  readonly serverRss: number;
}

/** A peer that did not do what it should. */
export class PeerFailure extends Error {
  override name = "PeerFailure";
  /** Whether it gave a wrong reply. */
  readonly wrongReply: boolean;

  constructor(message: string, wrongReply: boolean) {
    super(message);
    this.wrongReply = wrongReply;
  }
}

/** How long a worker may be silent, beside the time that it measures, in ms. */
const PATIENCE = 30_000;

/** One side of one peer, as a process. */
export class Worker implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;
  readonly #patience: number;

  constructor(command: Deno.Command, patience: number) {
    this.#child = command.spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = lines(this.#child.stdout);
    this.#patience = patience;
  }

  /** The process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Ends its stdin. */
  async leave(): Promise<void> {
    await this.#input.close();
  }

  async tell(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Waits for the next that it says. */
  async hear<Type extends Said["type"]>(type: Type): Promise<Extract<Said, { type: Type }>> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new PeerFailure(`It said nothing for ${this.#patience} ms`, false)),
        this.#patience,
      );
    });
    try {
      const next = await Promise.race([this.#lines.next(), silence]);
      if (next.done) throw new PeerFailure("Its process ended", false);
      const said = JSON.parse(next.value) as Said;
      if (said.type === type) return said as Extract<Said, { type: Type }>;
      if (said.type === "failed") throw new PeerFailure(said.message, said.wrongReply);
      throw new PeerFailure(`It said ${next.value} instead of "${type}"`, false);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#input.abort().catch(() => {});
    await this.#lines.return?.();
    await this.#child.status;
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

/**
 * Measures one peer in one row, with fresh processes.
 *
 * @throws {PeerFailure} If it crashes, hangs or gives a wrong reply.
 */
export async function measure(peer: PeerInfo, load: Load, servers: number): Promise<Sample> {
  await using stack = new AsyncDisposableStack();
  const patience = PATIENCE + load.warmUp + load.window;
  const start = (role: "server" | "client"): Worker => stack.use(new Worker(command(peer, role, load), patience));
  const client = start("client");
  const serving = Array.from({ length: servers }, () => start("server"));
  await Promise.all([client, ...serving].map((worker) => worker.hear("ready")));

  const used = async (): Promise<{ cpu: number; peakRss: number }> => {
    const all = await Promise.all(serving.map(async (server) => {
      await server.tell("usage");
      return (await server.hear("usage")).usage;
    }));
    return { cpu: all.reduce((sum, { cpu }) => sum + cpu, 0), peakRss: Math.max(...all.map(({ peakRss }) => peakRss)) };
  };
  await client.tell("go");
  const { usage: clientBefore } = await client.hear("opened");
  const before = await used();
  const { usage: clientAfter } = await client.hear("closed");
  const after = await used();
  const { measured } = await client.hear("measured");
  return {
    ...measured,
    clientCpu: (clientAfter.cpu - clientBefore.cpu) / measured.calls * 10_000,
    serverCpu: (after.cpu - before.cpu) / measured.calls * 10_000,
    clientRss: clientAfter.peakRss,
    serverRss: after.peakRss,
  };
}

/** How many bytes of heap one of 10,000 pending calls takes in a client of this library. */
export async function heapPerCall(url: string, queue: string, queueKind: QueueKind): Promise<number> {
  const ours = PEERS.find(({ id }) => id === "ours") as PeerInfo;
  const load: Load = { url, queue, queueKind, inFlight: 1, bodyBytes: 2, prefetch: 200, warmUp: 0, window: 0 };
  await using server = new Worker(command(ours, "server", load), PATIENCE);
  await server.hear("ready");
  await using client = new Worker(denoProcess(["heap.ts", url, queue], ["--v8-flags=--expose-gc"]), PATIENCE);
  await client.hear("ready");
  await server[Symbol.asyncDispose]();
  await client.leave();
  return (await client.hear("heap")).bytesPerCall;
}
