import type { ByteString } from "./byte_string.ts";

/** 2^32, the factor of the upper half of a 64-bit integer. */
const WORD = 0x1_0000_0000;
/** Up to this many bytes, a loop copies faster than `set`. */
const FEW = 64;

/**
 * Writes the types of AMQP 0-9-1. The caller must make sure that the buffer has room, and that lengths and numbers fit.
 * Whether every string was a byte string is known only afterwards, see {@linkcode ByteWriter.valid}.
 */
export class ByteWriter {
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** All character codes that were written, OR-ed. */
  #seen = 0;

  /** Starts again at a place in a buffer. */
  reset(bytes: Uint8Array, at: number): void {
    this.#bytes = bytes;
    this.#at = at;
    this.#seen = 0;
  }

  /** Where the next byte goes. */
  get at(): number {
    return this.#at;
  }

  /** Whether all strings that were written are byte strings; if not, the bytes are wrong. */
  get valid(): boolean {
    return this.#seen <= 0xff;
  }

  /** Writes an octet. */
  uint8(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  /** Writes a short integer. */
  uint16(value: number): void {
    const at = this.#at;
    const bytes = this.#bytes;
    bytes[at] = value >>> 8;
    bytes[at + 1] = value;
    this.#at = at + 2;
  }

  /** Writes a long integer. */
  uint32(value: number): void {
    this.uint32At(this.skip(4), value);
  }

  /** Writes a long integer at a place that was skipped. */
  uint32At(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }

  /** Leaves out `length` bytes, and returns where they begin. */
  skip(length: number): number {
    const at = this.#at;
    this.#at = at + length;
    return at;
  }

  /** Writes a 64-bit integer, from 0 up to 2^53. */
  uint64(value: number): void {
    this.uint32(value / WORD);
    this.uint32(value);
  }

  /** Writes a short string, of at most 255 bytes. */
  shortString(value: ByteString): void {
    this.#bytes[this.#at++] = value.length;
    this.#string(value);
  }

  /** Writes a long string. */
  longString(value: ByteString): void {
    this.uint32(value.length);
    this.#string(value);
  }

  /** Copies the bytes of `source` from `start` up to `end`. */
  copy(source: Uint8Array, start: number, end: number): void {
    const at = this.#at;
    const bytes = this.#bytes;
    if (end - start > FEW) bytes.set(source.subarray(start, end), at);
    else for (let n = 0; n < end - start; n++) bytes[at + n] = source[start + n] as number;
    this.#at = at + end - start;
  }

  #string(value: ByteString): void {
    const bytes = this.#bytes;
    const at = this.#at;
    const { length } = value;
    let seen = this.#seen;
    for (let n = 0; n < length; n++) {
      const code = value.charCodeAt(n);
      seen |= code;
      bytes[at + n] = code;
    }
    this.#seen = seen;
    this.#at = at + length;
  }
}
