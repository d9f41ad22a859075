import { findHeader } from "./field_table.ts";

/**
 * The header with the time at which a message was sent: whole ms on a clock of the sender's own that runs steadily, in
 * decimal digits. Its zero is anywhere; receivers compare such times of one sender only.
 */
export const SENT_AT = "rpc-sent-at";

/** The header that RabbitMQ 4 sets if its interceptors are enabled: ms since 1970 on the clock of a node. */
const BROKER_TIMESTAMP = "timestamp_in_ms";

/** The tag of a long string in a table. */
const LONG_STRING = 0x53;
/** Length and characters of the name, the tag, and the length of the value. */
const HEAD = 1 + SENT_AT.length + 1 + 4;
/** The digit 0. */
const ZERO = 0x30;
/** 2^53 has 16 digits. */
const MAX_DIGITS = 15;

let lastMs = NaN;
let lastHeader: readonly [name: string, value: string] = [SENT_AT, ""];

/** The time at which a message is sent, as a header: one for all that are sent in the same ms. */
export function sentAtHeader(now: number): readonly [name: string, value: string] {
  const ms = Math.floor(now);
  if (ms !== lastMs) {
    lastMs = ms;
    lastHeader = [SENT_AT, String(ms)];
  }
  return lastHeader;
}

/**
 * How many bytes of a table its first entry takes, if that is {@linkcode SENT_AT} as this library writes it; else 0. Most
 * requests have no other header, or have it first: a search would take ten times as long.
 */
export function sentAtLength(table: Uint8Array): number {
  if (table.length <= HEAD) return 0;
  const digits = table[HEAD - 1] as number;
  const length = HEAD + digits;
  if (table.length < length || table[0] !== SENT_AT.length || digits === 0 || digits > MAX_DIGITS) return 0;
  if (table[HEAD - 5] !== LONG_STRING || table[HEAD - 4] !== 0 || table[HEAD - 3] !== 0 || table[HEAD - 2] !== 0) {
    return 0;
  }
  for (let n = 0; n < SENT_AT.length; n++) if (table[n + 1] !== SENT_AT.charCodeAt(n)) return 0;
  for (let n = HEAD; n < length; n++) if (!isDigit(table[n] as number)) return 0;
  return length;
}

/** The time in an entry of which {@linkcode sentAtLength} has returned the `length`, in ms. */
export function readFirstSentAt(table: Uint8Array, length: number): number {
  let ms = 0;
  for (let n = HEAD; n < length; n++) ms = 10 * ms + (table[n] as number) - ZERO;
  return ms;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= ZERO + 9;
}

/** The time at which a message was sent; undefined if it does not say. */
export function readSentAt(table: Uint8Array): number | undefined {
  return toMs(findHeader(table, SENT_AT));
}

/** The time at which the broker got a message, on the broker's clock; undefined if it does not say. */
export function readBrokerTime(table: Uint8Array): number | undefined {
  return toMs(findHeader(table, BROKER_TIMESTAMP));
}

function toMs(value: unknown): number | undefined {
  if (typeof value === "string" && /^\d{1,15}$/.test(value)) return Number(value);
  return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
}
