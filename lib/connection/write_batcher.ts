import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import {
  ACK_SIZE,
  encodeAck,
  encodeNack,
  encodePublish,
  piecesOfPublish,
  type Place,
  sizeOfPublish,
} from "../wire/frame_encoder.ts";
import type { Publish } from "../wire/message.ts";

/** How many bytes may wait, here and in the socket, before writers should pause. */
const FULL = 512 * 1024;
/** The size of the buffer that gathers the bytes of a turn; it is replaced by a larger one if it is full. */
const GATHERED = 64 * 1024;
/** From this size on, in bytes, a body is not copied into the buffer. */
const LARGE = 8 * 1024;

/**
 * Combines all that is sent in one turn of the event loop into one socket write: with `noDelay`, which low latency
 * needs, each write is a packet and a system call.
 */
export class WriteBatcher {
  readonly #socket: Duplex;
  readonly #waiting = new Set<() => void>();
  #bytes: Buffer = Buffer.allocUnsafeSlow(GATHERED);
  #length = 0;
  #flushing = false;
  #corked = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on("drain", () => this.#drained());
  }

  /** Whether more may be written now; if not, use {@linkcode WriteBatcher.whenRoom}. */
  get hasRoom(): boolean {
    return this.#length + this.#socket.writableLength < FULL;
  }

  /** Calls `notify` once, when there is room again. */
  whenRoom(notify: () => void): void {
    this.#waiting.add(notify);
  }

  /** Writes frames that are encoded already. */
  write(frames: Uint8Array): void {
    if (frames.length < LARGE) {
      const at = this.#reserve(frames.length);
      this.#bytes.set(frames, at);
    } else {
      this.#writeLarge([frames]);
    }
  }

  /** Writes a message; throws before anything is written if it cannot be encoded. */
  publish(place: Place, message: Publish): void {
    if (message.body.length >= LARGE) {
      this.#writeLarge(piecesOfPublish(place, message));
      return;
    }
    const size = sizeOfPublish(message, place.frameMax);
    const at = this.#reserve(size);
    try {
      encodePublish(this.#bytes, at, place, message, size);
    } catch (error) {
      this.#length = at;
      throw error;
    }
  }

  /** Writes an ack. */
  ack(channel: number, deliveryTag: number, multiple: boolean): void {
    const at = this.#reserve(ACK_SIZE);
    encodeAck(this.#bytes, at, channel, deliveryTag, multiple);
  }

  /** Writes a nack of one message. */
  nack(channel: number, deliveryTag: number, requeue: boolean): void {
    const at = this.#reserve(ACK_SIZE);
    encodeNack(this.#bytes, at, channel, deliveryTag, { multiple: false, requeue });
  }

  /** Reserves `size` bytes and returns where they begin; may replace the buffer. */
  #reserve(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#length);
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
    return at;
  }

  /** Writes large pieces to the socket, after what has gathered. */
  #writeLarge(pieces: readonly Uint8Array[]): void {
    this.#reserve(0);
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
    }
    this.#take();
    if (!this.#socket.writable) return;
    for (const piece of pieces) this.#socket.write(piece);
  }

  #flush(): void {
    this.#flushing = false;
    this.#take();
    if (this.#corked) {
      this.#corked = false;
      this.#socket.uncork();
    }
    if (!this.#socket.writableNeedDrain) this.#drained();
  }

  /** Writes what has gathered to the socket. */
  #take(): void {
    const length = this.#length;
    if (length === 0) return;
    this.#length = 0;
    // The connection may have been closed in this turn.
    if (!this.#socket.writable) return;
    const bytes = Buffer.allocUnsafeSlow(length);
    this.#bytes.copy(bytes, 0, 0, length);
    if (this.#bytes.length > 8 * GATHERED) this.#bytes = Buffer.allocUnsafeSlow(GATHERED);
    this.#socket.write(bytes);
  }

  #drained(): void {
    if (this.#waiting.size === 0) return;
    const waiting = Array.from(this.#waiting);
    this.#waiting.clear();
    for (const notify of waiting) notify();
  }
}
