import { Buffer } from "node:buffer";
import { type RpcCode, RpcError } from "./errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The error that a codec throws. */
export function refuse(code: RpcCode, message: string, details?: unknown): RpcError {
  return new RpcError(code, message, { outcome: "not_executed", details });
}

/** Quotes at most 64 characters of a peer's text, for an error message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/** Up to this many bytes, a loop is several times faster than the decoder. */
const SHORT = 32;

/** Decodes a short ASCII body; undefined if it is longer, or not ASCII. */
function decodeAscii(body: Uint8Array): string | undefined {
  if (body.length > SHORT) return undefined;
  let text = "";
  for (let n = 0; n < body.length; n++) {
    const byte = body[n] as number;
    if (byte > 127) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** `Buffer.from` takes the memory of short texts from Node's pool; separate memory costs five times as much. */
export function encodeText(text: string): Uint8Array {
  return Buffer.from(text);
}

/** Decodes a body as UTF-8. */
export function decodeText(body: Uint8Array, what: string): string {
  const ascii = decodeAscii(body);
  if (ascii !== undefined) return ascii;
  try {
    return decoder.decode(body);
  } catch {
    throw refuse("invalid_argument", `Cannot decode ${what}: the body is not valid UTF-8`);
  }
}
