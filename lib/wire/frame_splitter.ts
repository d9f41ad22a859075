import { Buffer } from "node:buffer";
import { FRAME_END, FRAME_HEAD, FRAME_OVERHEAD } from "./constants.ts";

/** At most this much memory is allocated for a frame before its bytes arrive, since a peer may announce any size. */
const FIRST_CAPACITY = 256 * 1024;
const NOTHING = Buffer.alloc(0);

/**
 * Splits the bytes of a socket into frames. A frame that is whole in a chunk is not copied; one that is spread over
 * several chunks is copied once.
 *
 * ```ts ignore
 * splitter.push(chunk);
 * while (splitter.next()) use(splitter.bytes, splitter.type, splitter.channel, splitter.start, splitter.end);
 * if (splitter.fault !== undefined) giveUp(splitter.fault);
 * ```
 */
export class FrameSplitter {
  readonly #maxFrameSize: number;
  #chunk: Buffer = NOTHING;
  /** Where the next frame begins in the chunk. */
  #at = 0;
  /** The beginning of a frame that continues in the next chunk. */
  #cut: Buffer = NOTHING;
  #cutLength = 0;
  #fault: string | undefined;

  /** The memory that the current frame is in; valid after `next()` returned true. */
  bytes: Buffer = NOTHING;
  /** The current frame's type, which may be any octet. */
  type = 0;
  /** The current frame's channel. */
  channel = 0;
  /** Where its payload begins in `bytes`; the frame itself begins 7 bytes before. */
  start = 0;
  /** Where its payload ends in `bytes`; the frame itself ends 1 byte after. */
  end = 0;

  /** @param maxFrameSize The largest payload of a frame, in bytes; 0 for no limit. The same limit as amqplib's. */
  constructor(maxFrameSize: number) {
    this.#maxFrameSize = maxFrameSize;
  }

  /** Why the connection is broken: where the next frame begins is not known any more. Absent if all is well. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /**
   * Accepts the next chunk. Its memory must not be written to afterwards, since frames are views of it. Frames that are
   * left of the chunk before come first.
   */
  push(chunk: Uint8Array): void {
    const rest = this.#chunk.length - this.#at;
    if (rest > 0) this.#chunk = Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    else if (Buffer.isBuffer(chunk)) this.#chunk = chunk;
    else this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#at = 0;
  }

  /** Advances to the next frame; false if it has not arrived yet, or after a fault. */
  next(): boolean {
    if (this.#fault !== undefined) return false;
    if (this.#cutLength > 0) return this.#nextCut();
    const chunk = this.#chunk;
    const at = this.#at;
    const left = chunk.length - at;
    if (left < FRAME_HEAD) return this.#fillTo(FRAME_HEAD);
    const size = sizeAt(chunk, at);
    if (this.#maxFrameSize > 0 && size > this.#maxFrameSize) return this.#tooLarge(size);
    if (left < size + FRAME_OVERHEAD) return this.#fillTo(size + FRAME_OVERHEAD);
    this.#at = at + size + FRAME_OVERHEAD;
    return this.#show(chunk, at, size);
  }

  /** Drops the reference to the current frame's memory. */
  release(): void {
    this.bytes = NOTHING;
  }

  /** Completes the frame that an earlier chunk began. */
  #nextCut(): boolean {
    if (this.#cutLength < FRAME_HEAD && !this.#fillTo(FRAME_HEAD)) return false;
    const size = sizeAt(this.#cut, 0);
    if (this.#maxFrameSize > 0 && size > this.#maxFrameSize) return this.#tooLarge(size);
    if (!this.#fillTo(size + FRAME_OVERHEAD)) return false;
    const bytes = this.#cut;
    this.#cut = NOTHING;
    this.#cutLength = 0;
    return this.#show(bytes, 0, size);
  }

  /** Moves bytes from the chunk to the cut frame until that has `length` bytes; returns whether it has. */
  #fillTo(length: number): boolean {
    const count = Math.min(length - this.#cutLength, this.#chunk.length - this.#at);
    this.#grow(this.#cutLength + count, length);
    this.#chunk.copy(this.#cut, this.#cutLength, this.#at, this.#at + count);
    this.#cutLength += count;
    this.#at += count;
    if (this.#at === this.#chunk.length) this.#drop();
    return this.#cutLength === length;
  }

  #grow(needed: number, whole: number): void {
    if (needed <= this.#cut.length) return;
    const capacity = Math.min(whole, Math.max(2 * needed, FIRST_CAPACITY));
    const larger = Buffer.allocUnsafeSlow(capacity);
    this.#cut.copy(larger, 0, 0, this.#cutLength);
    this.#cut = larger;
  }

  #drop(): void {
    this.#chunk = NOTHING;
    this.#at = 0;
  }

  #show(bytes: Buffer, at: number, size: number): boolean {
    const end = at + FRAME_HEAD + size;
    if (bytes[end] !== FRAME_END) return this.#break("Invalid frame");
    this.bytes = bytes;
    this.type = bytes[at] as number;
    this.channel = (bytes[at + 1] as number) << 8 | (bytes[at + 2] as number);
    this.start = at + FRAME_HEAD;
    this.end = end;
    return true;
  }

  #tooLarge(size: number): boolean {
    return this.#break(`Frame size ${size} exceeds maxFrameSize ${this.#maxFrameSize}`);
  }

  #break(fault: string): boolean {
    this.#fault = fault;
    this.#cut = NOTHING;
    this.#cutLength = 0;
    this.#drop();
    return false;
  }
}

function sizeAt(bytes: Buffer, at: number): number {
  return ((bytes[at + 3] as number) << 24 | (bytes[at + 4] as number) << 16 | (bytes[at + 5] as number) << 8 |
    (bytes[at + 6] as number)) >>> 0;
}
