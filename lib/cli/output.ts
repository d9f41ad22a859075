/** When so much waits to be written, in bytes, whoever writes waits too. */
const HIGH_WATER = 64 * 1024;

/** Where output goes. */
export interface Sink {
  write(bytes: Uint8Array): Promise<number>;
}

/** The output cannot be written, as on a full disk. */
export class OutputError extends Error {
  override name = "OutputError";

  constructor(cause: unknown) {
    super(`Cannot write the output: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/**
 * Standard output without blocking: a reader that stops for a while (`| less`) must not stop the heartbeats. What is
 * written in one turn goes out in one write.
 */
export class Output {
  readonly #sink: Sink;
  readonly #broken = new AbortController();
  readonly #encoder = new TextEncoder();
  #waiting: Uint8Array[] = [];
  #size = 0;
  #writing: Promise<void> | undefined;
  #failure: OutputError | undefined;

  constructor(sink: Sink = Deno.stdout) {
    this.#sink = sink;
  }

  /** Aborted when the reader has gone, as with `| head`, or when a write has failed. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  /** Writes a line. */
  async line(text: string): Promise<void> {
    await this.write(this.#encoder.encode(`${text}\n`));
  }

  /** Writes bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#broken.signal.aborted) return;
    this.#waiting.push(bytes);
    this.#size += bytes.length;
    this.#writing ??= this.#writeAll().finally(() => this.#writing = undefined);
    if (this.#size > HIGH_WATER) await this.#writing;
  }

  /**
   * Waits until all is written.
   *
   * @throws {OutputError} If a write has failed, unless the reader has gone.
   */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        // What else is written in this turn goes out with it.
        await new Promise((resolve) => setTimeout(resolve));
        const chunk = concat(this.#waiting, this.#size);
        this.#waiting = [];
        this.#size = 0;
        for (let at = 0; at < chunk.length;) at += await this.#sink.write(chunk.subarray(at));
      }
    } catch (error) {
      this.#waiting = [];
      this.#size = 0;
      // Whoever writes a line does not wait for it, so nobody would catch what is thrown here.
      if (!(error instanceof Deno.errors.BrokenPipe)) this.#failure = new OutputError(error);
      this.#broken.abort(this.#failure ?? new Error("The reader of the output has gone"));
    }
  }
}

/** The chunks as one; `size` is that of all. */
export function concat(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
