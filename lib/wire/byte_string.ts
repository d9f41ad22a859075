import { Buffer } from "node:buffer";

/**
 * Bytes as a string with one character, U+0000 to U+00FF, for each.
 *
 * The short strings of AMQP are bytes, and a peer may send other bytes than UTF-8. Decoded as text, such bytes become
 * U+FFFD, and an echoed correlation id would differ from the one that came. A byte string keeps every byte, can be a key
 * of a `Map`, and equals the text if that is ASCII.
 */
export type ByteString = string;

/** From this length on, in bytes, a native call is faster than a loop over characters (Deno 2.9). */
const NATIVE_LENGTH = 12;

/**
 * Encodes a text as UTF-8. ASCII is returned unchanged; a lone surrogate becomes U+FFFD, as in every UTF-8 encoder.
 */
export function toByteString(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

/** Decodes bytes as UTF-8, for display; invalid bytes become U+FFFD. */
export function fromByteString(bytes: ByteString): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}

/** Reads the bytes from `start` up to `end`, which must be within the buffer. */
export function readByteString(bytes: Buffer, start: number, end: number): ByteString {
  if (end - start >= NATIVE_LENGTH) return bytes.toString("latin1", start, end);
  let text = "";
  for (let at = start; at < end; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

/** Whether the bytes at `start` equal `text`; the buffer must hold at least `text.length` bytes from there. */
export function startsWith(bytes: Uint8Array, start: number, text: ByteString): boolean {
  for (let n = 0; n < text.length; n++) {
    if (bytes[start + n] !== text.charCodeAt(n)) return false;
  }
  return true;
}

function isAscii(text: string): boolean {
  for (let n = 0; n < text.length; n++) {
    if (text.charCodeAt(n) > 0x7f) return false;
  }
  return true;
}
