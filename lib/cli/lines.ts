import { UsageError } from "./command_line.ts";

const NEWLINE = 10;
const RETURN = 13;

/**
 * Cuts a stream of bytes into lines. They stay bytes, so a character whose bytes come in two chunks is whole again.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  /** The parts of the line that is not complete yet. */
  #parts: Uint8Array[] = [];
  #size = 0;
  #count = 0;

  /** @param maxBytes The longest line, so that input without line ends does not fill the memory. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The lines that a chunk completes, without their line ends (LF or CRLF).
   *
   * @throws {UsageError} If a line is too long.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(this.#finish(chunk.subarray(start, end)));
      start = end + 1;
    }
    // A copy, because whoever reads may use the memory of the chunk again.
    if (start < chunk.length) this.#keep(chunk.slice(start));
    return lines;
  }

  /** The last line, if the input does not end with a line end. */
  end(): Uint8Array | undefined {
    return this.#size === 0 ? undefined : this.#finish(new Uint8Array());
  }

  #keep(part: Uint8Array): void {
    this.#parts.push(part);
    this.#size += part.length;
    // One more for a carriage return.
    if (this.#size > this.#maxBytes + 1) this.#refuse();
  }

  #finish(last: Uint8Array): Uint8Array {
    const line = new Uint8Array(this.#size + last.length);
    let at = 0;
    for (const part of [...this.#parts, last]) {
      line.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#size = 0;
    const text = line.at(-1) === RETURN ? line.subarray(0, -1) : line;
    if (text.length > this.#maxBytes) this.#refuse();
    this.#count++;
    return text;
  }

  #refuse(): never {
    throw new UsageError(`Line ${this.#count + 1} of standard input has more than ${this.#maxBytes} bytes`);
  }
}

/**
 * The lines of a stream, read as they are asked for.
 *
 * @param signal Ends the reading when it is aborted.
 * @throws {UsageError} If a line is too long.
 */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const splitter = new LineSplitter(maxBytes);
  const reader = stream.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  try {
    if (signal.aborted) return;
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) break;
      yield* splitter.push(value);
    }
    const last = splitter.end();
    if (last !== undefined) yield last;
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}
