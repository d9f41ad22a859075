import { Buffer } from "node:buffer";
import { type ByteString, readByteString, startsWith } from "./byte_string.ts";

/** What a 32-bit word counts for above another one. */
const WORD = 0x1_0000_0000;

/**
 * Reads the types of AMQP 0-9-1 from part of a buffer, and nothing beyond that part: what would need more gives zero or
 * an empty string, and {@linkcode ByteReader.failed} from then on says so. So a caller asks once, at the end.
 */
export class ByteReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;
  #failed = false;

  /** Begins anew, with the bytes from `start` up to `end`, which must be within the buffer. */
  reset(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#failed = false;
  }

  /** Lets go of the buffer, which would be kept in memory. */
  release(): void {
    this.reset(NOTHING, 0, 0);
  }

  /** Whether something was read that is not there, or was found to be wrong. */
  get failed(): boolean {
    return this.#failed;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Gives up: nothing more is read. */
  fail(): void {
    this.#failed = true;
    this.#at = this.#end;
  }

  /** Skips so many bytes, and gives where they begin; they must not be read if the reader has failed. */
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

  /** Reads a short string; gives `previous` if it has the same bytes, since most do and that needs no memory. */
  shortString(previous: ByteString = ""): ByteString {
    const length = this.uint8();
    const at = this.take(length);
    if (this.#failed) return "";
    const bytes = this.#bytes;
    if (length === previous.length && startsWith(bytes, at, previous)) return previous;
    return readByteString(bytes, at, at + length);
  }

  /** Reads a short string; whether it is this one. */
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

  /** Reads what a 32-bit length comes before, as a view. */
  longBytes(): Buffer {
    const length = this.int32() >>> 0;
    const at = this.take(length);
    return this.#failed ? NOTHING : this.#bytes.subarray(at, at + length);
  }
}

const NOTHING = Buffer.alloc(0);
