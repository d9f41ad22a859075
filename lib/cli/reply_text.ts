import { Buffer } from "node:buffer";
import { escapeUnprintable, jsonEscape, printableJson } from "../contract/printable.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(body: Uint8Array): string | undefined {
  try {
    return decoder.decode(body);
  } catch {
    return undefined;
  }
}

/**
 * A body as JSON on one line: a body that is JSON as it is, so that no digit of a long number is lost; any other text as
 * a string; other bytes as `{"base64": "..."}`.
 */
export function bodyAsJson(body: Uint8Array): string {
  const text = textOf(body);
  if (text === undefined) return JSON.stringify({ base64: Buffer.from(body).toString("base64") });
  if (!isJson(text)) return printableJson(text);
  // Between its values JSON has no other control characters, and within strings none.
  return escapeUnprintable(text.trim().replaceAll(/[\t\r\n]/g, " "), jsonEscape);
}

/** Whether a text is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A body for a person: no control characters but line ends and tabs; what is not text, in hex digits. */
export function bodyForTerminal(body: Uint8Array): string {
  const text = textOf(body);
  if (text === undefined) return Buffer.from(body).toString("hex");
  return text.split(/(\r?\n|\t)/).map((part, at) => at % 2 === 1 ? part : escapeUnprintable(part)).join("");
}
