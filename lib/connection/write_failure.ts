import type { Duplex } from "node:stream";

/** How long what the broker has sent may take to be read after a write has failed, in ms. */
const READ_MS = 1_000;

type WriteCallback = (error?: Error | null) => void;

/**
 * Delays the failure of a write until what the broker sent before it closed the connection is read: a failed write ends
 * a socket at once, with the deliveries and replies that wait in it, as they do after the process stood still.
 */
export class WriteFailure {
  readonly #socket: Duplex;
  /** Of the write in progress: a stream does one at a time. */
  #callback: WriteCallback = () => {};
  #failed = false;

  /** @param socket A connected socket; its methods for writing are replaced. */
  constructor(socket: Duplex) {
    this.#socket = socket;
    const { _write: write, _writev: writev } = socket;
    const written: WriteCallback = (error) => this.#written(error);
    socket._write = (chunk, encoding, callback) => {
      this.#callback = callback;
      write.call(socket, chunk, encoding, written);
    };
    if (writev == null) return;
    socket._writev = (chunks, callback) => {
      this.#callback = callback;
      writev.call(socket, chunks, written);
    };
  }

  /** Whether a write has failed: nothing reaches the broker any more. */
  get failed(): boolean {
    return this.#failed;
  }

  #written(error: Error | null | undefined): void {
    if (error == null || this.#failed || this.#socket.destroyed) {
      this.#callback(error);
      return;
    }
    this.#failed = true;
    // Until then the socket ends by itself when all is read.
    const timer = setTimeout(() => this.#callback(error), READ_MS);
    this.#socket.once("close", () => clearTimeout(timer));
  }
}
