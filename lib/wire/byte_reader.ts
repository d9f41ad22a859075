import { Buffer } from "node:buffer";
import { type ByteString, readByteString, startsWith } from "./byte_string.ts";

/** 2^32, the factor of the upper half of a 64-bit integer. */
const WORD = 0x1_0000_0000;

/** Shared, because an allocation takes longer than to read a small table. */
const NOTHING = Buffer.alloc(0);

/**
 * Reads the types of AMQP 0-9-1 from part of a buffer. A read beyond that part returns zero or an empty string and sets
 * {@linkcode ByteReader.failed}, so that a caller checks once, at the end.
 */
export class ByteReader {
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #failed = false;

  /** Starts again with the bytes from `start` up to `end`, which must be within the buffer. */
  reset(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#failed = false;
  }

  /** Drops the reference to the buffer, so that its memory can be freed. */
  release(): void {
    this.reset(NOTHING, 0, 0);
  }

  /** Whether a read went beyond the end, or {@linkcode ByteReader.fail} was called. */
  get failed(): boolean {
    return this.#failed;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Marks the reader as failed: nothing more is read. */
  fail(): void {
    this.#failed = true;
    this.#at = this.#end;
  }

  /** Skips `length` bytes and returns where they begin; do not use that place if the reader has failed. */
  take(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) {
      this.fail();
      return this.#end;
    }
    this.#at = at + length;
    return at;
  }

  /** Reads an octet. */
  uint8(): number {
    const at = this.#at;
    if (at >= this.#end) {
      this.#failed = true;
      return 0;
    }
    this.#at = at + 1;
    return this.#bytes[at] as number;
  }

  /** Reads a short integer. */
  uint16(): number {
    const at = this.take(2);
    if (this.#failed) return 0;
    return (this.#bytes[at] as number) << 8 | (this.#bytes[at + 1] as number);
  }

  /** Reads a long integer as signed; `>>> 0` makes it unsigned. */
  int32(): number {
    const at = this.take(4);
    if (this.#failed) return 0;
    const bytes = this.#bytes;
    return (bytes[at] as number) << 24 | (bytes[at + 1] as number) << 16 | (bytes[at + 2] as number) << 8 |
      (bytes[at + 3] as number);
  }

  /** Reads an unsigned 64-bit integer, rounded if it is above 2^53. */
  uint64(): number {
    const high = this.int32() >>> 0;
    return high * WORD + (this.int32() >>> 0);
  }

  /** Reads a short string. Returns `previous` if the bytes are equal: most are, and it needs no new memory. */
  shortString(previous: ByteString = ""): ByteString {
    const length = this.uint8();
    const at = this.take(length);
    if (this.#failed) return "";
    const bytes = this.#bytes;
    if (length === previous.length && startsWith(bytes, at, previous)) return previous;
    return readByteString(bytes, at, at + length);
  }

  /** Reads a short string and returns whether it equals `value`. */
  shortStringIs(value: ByteString): boolean {
    const length = this.uint8();
    const at = this.take(length);
    return !this.#failed && length === value.length && startsWith(this.#bytes, at, value);
  }

  /** Reads a float of 32 bits. */
  float32(): number {
    const at = this.take(4);
    return this.#failed ? 0 : this.#bytes.readFloatBE(at);
  }

  /** Reads a float of 64 bits. */
  float64(): number {
    const at = this.take(8);
    return this.#failed ? 0 : this.#bytes.readDoubleBE(at);
  }

  /** Reads bytes that have their 32-bit length before them; returns a view. */
  longBytes(): Buffer {
    const length = this.int32() >>> 0;
    const at = this.take(length);
    return this.#failed ? NOTHING : this.#bytes.subarray(at, at + length);
  }

  /** Reads UTF-8 text that has its length in 32 bits before it; invalid bytes become U+FFFD. */
  longText(): string {
    const length = this.int32() >>> 0;
    const at = this.take(length);
    return this.#failed ? "" : this.#bytes.toString("utf8", at, at + length);
  }
}
