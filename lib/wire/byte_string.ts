import { Buffer } from "node:buffer";

/**
 * Bytes as a string with one character, U+0000 to U+00FF, for each.
 *
 * The short strings of AMQP are bytes: nothing makes a peer send UTF-8. Decoded as text, what is not UTF-8 becomes
 * U+FFFD, and a correlation id that is echoed is no longer the one that came. As a byte string it stays what it was,
 * is a key of a `Map`, and is the text itself as long as that is ASCII.
 */
export type ByteString = string;

/** From this length on, in bytes, a native call is faster than characters one by one (Deno 2.9). */
const NATIVE_LENGTH = 12;

/**
 * Encodes a text as UTF-8. What is ASCII is given back as it is; a lone surrogate becomes U+FFFD, as with every
 * encoder of UTF-8.
 */
export function toByteString(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

/** Decodes bytes as UTF-8, to be shown; what is not UTF-8 becomes U+FFFD. */
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

/** Whether the bytes that begin at `start` are those of `text`; as many as that has must be there. */
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
