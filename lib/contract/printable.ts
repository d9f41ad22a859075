/** How much of a text is shown, in UTF-16 code units. */
const MAX_LENGTH = 1_000;

/** Control characters, marks that change the direction of text, and line separators: a terminal would act on them. */
// deno-lint-ignore no-control-regex -- these are the characters that must not get through
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/** Makes a text from a peer safe for a log or terminal: one line, no escape sequences, a bounded length. */
export function printable(text: string): string {
  return escapeUnprintable(text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text);
}

/** Escapes the characters on which a terminal would act; `escape` gets the code of each. */
export function escapeUnprintable(text: string, escape: (code: number) => string = shortEscape): string {
  return text.replace(UNPRINTABLE, (character) => escape(character.charCodeAt(0)));
}

function shortEscape(code: number): string {
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : jsonEscape(code);
}

/** An escape as JSON has it. */
export function jsonEscape(code: number): string {
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** A value as JSON that may be written to a terminal. */
export function printableJson(value: unknown): string {
  return escapeUnprintable(JSON.stringify(value), jsonEscape);
}

/** How many causes of an error are shown. */
const MAX_CAUSES = 5;
/** How many frames of each stack are shown: an error may have any number of lines that look like frames. */
const MAX_FRAMES = 20;

/** An error with its stack and causes, each line printable. A message cannot add lines that look like the stack. */
export function printableError(error: unknown): string {
  const lines: string[] = [];
  try {
    addLines(lines, error);
  } catch {
    // It is anything that a handler throws: it may have no text, or its parts cannot be read.
    lines.push("(what was thrown cannot be shown)");
  }
  return lines.join("\n");
}

function addLines(lines: string[], error: unknown): void {
  let cause = error;
  for (let depth = 0; depth <= MAX_CAUSES && (depth === 0 || cause !== undefined); depth++) {
    const head = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    lines.push(`${depth === 0 ? "" : "  Caused by: "}${printable(head)}`);
    if (!(cause instanceof Error)) return;
    const stack = String(cause.stack ?? "").slice(String(cause).length);
    const frames = stack.split("\n").filter((line) => /^\s+at /.test(line)).slice(0, MAX_FRAMES);
    lines.push(...frames.map((frame) => `    ${printable(frame.trim())}`));
    cause = cause.cause;
  }
}
