import { Buffer } from "node:buffer";
import { ByteReader } from "./byte_reader.ts";
import { type ByteString, fromByteString, toByteString } from "./byte_string.ts";

/**
 * The value of a header that is not a table, array or byte array: text for a string, null for void, seconds since 1970
 * for a timestamp. Integers are bigints only where a number would round them.
 */
export type HeaderValue = string | number | bigint | boolean | null;

/** The largest table that is read, in bytes. */
export const MAX_TABLE_SIZE = 128 * 1024;
/** At most this many entries of a table are read. */
export const MAX_TABLE_ENTRIES = 1024;

/** How many names of the last table are kept, because the next one often has the same: strings take time to create. */
const MAX_LAST_NAMES = 16;
const lastNames: ByteString[] = [];

/** Whether a table has an entry of that name, with any value; false if it cannot be read. */
export function hasHeader(table: Uint8Array | undefined, name: string): boolean {
  const reader = readerOf(table);
  return reader !== undefined && seek(reader, toByteString(name)) !== undefined;
}

/**
 * The value of the first entry of that name. RabbitMQ also reads the first one, and replaces it when it sets a header of
 * its own, so a second one that a publisher adds is ignored.
 *
 * @returns Undefined if there is none, if it is a table, an array or a byte array, or if it cannot be read.
 */
export function findHeader(table: Uint8Array | undefined, name: string): HeaderValue | undefined {
  const reader = readerOf(table);
  return reader === undefined ? undefined : seek(reader, toByteString(name))?.value;
}

/**
 * All entries of a table, by name; of several with one name, the first. Tables, arrays and byte arrays are not read and
 * have the value `undefined`.
 *
 * @returns Undefined if the table is malformed, larger than {@linkcode MAX_TABLE_SIZE}, or has more entries than
 * {@linkcode MAX_TABLE_ENTRIES}.
 */
export function readHeaders(table: Uint8Array | undefined): Map<string, HeaderValue | undefined> | undefined {
  const headers = new Map<string, HeaderValue | undefined>();
  const read = visitHeaders(table, (name, value) => {
    if (!headers.has(name)) headers.set(name, value);
  });
  return read ? headers : undefined;
}

/**
 * Calls `visit` with each entry of a table in turn, as {@linkcode readHeaders} reads them, also with a name that came
 * before.
 *
 * @returns False if {@linkcode readHeaders} returns undefined: the entries before the fault have been visited.
 */
export function visitHeaders(
  table: Uint8Array | undefined,
  visit: (name: string, value: HeaderValue | undefined) => void,
): boolean {
  if (table === undefined) return true;
  const reader = readerOf(table);
  if (reader === undefined) return false;
  for (let entries = 0; reader.left > 0; entries++) {
    if (entries === MAX_TABLE_ENTRIES) return false;
    const bytes = reader.shortString(lastNames[entries]);
    if (entries < MAX_LAST_NAMES) lastNames[entries] = bytes;
    const name = fromByteString(bytes);
    const value = readValue(reader, reader.uint8());
    if (reader.failed) return false;
    visit(name, value);
  }
  return true;
}

/** A reader of a table; undefined if there is none, or if it is too large. */
function readerOf(table: Uint8Array | undefined): ByteReader | undefined {
  if (table === undefined || table.length > MAX_TABLE_SIZE) return undefined;
  const reader = new ByteReader();
  const bytes = Buffer.isBuffer(table) ? table : Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  reader.reset(bytes, 0, bytes.length);
  return reader;
}

/** Finds an entry, and reads its value; undefined if there is none, or if it cannot be read. */
function seek(reader: ByteReader, name: ByteString): { readonly value: HeaderValue | undefined } | undefined {
  for (let entries = 0; reader.left > 0 && entries < MAX_TABLE_ENTRIES; entries++) {
    if (reader.shortStringIs(name)) {
      const value = readValue(reader, reader.uint8());
      return reader.failed ? undefined : { value };
    }
    skipValue(reader, reader.uint8());
  }
  return undefined;
}

// These are all tags that RabbitMQ's rabbit_binary_parser knows: a message with another one never passes a broker.
// They differ from the specification's (https://www.rabbitmq.com/amqp-0-9-1-errata#section_3).

/** Reads a value; a table, an array or a byte array is skipped by its length. */
function readValue(reader: ByteReader, tag: number): HeaderValue | undefined {
  switch (String.fromCharCode(tag)) {
    case "S":
      return reader.longText();
    case "t":
      return reader.uint8() !== 0;
    case "b":
      return reader.uint8() << 24 >> 24;
    case "B":
      return reader.uint8();
    case "s":
      return reader.uint16() << 16 >> 16;
    case "u":
      return reader.uint16();
    case "I":
      return reader.int32();
    case "i":
      return reader.int32() >>> 0;
    case "l":
    case "L":
      return exact(BigInt(reader.int32()), reader.int32());
    case "T":
      return exact(BigInt(reader.int32() >>> 0), reader.int32());
    case "f":
      return reader.float32();
    case "d":
      return reader.float64();
    case "D":
      return decimal(reader.uint8(), reader.int32() >>> 0);
    case "V":
      return null;
    default:
      skipValue(reader, tag);
      return undefined;
  }
}

/** Skips a value by its length, however deeply it is nested. */
function skipValue(reader: ByteReader, tag: number): void {
  switch (String.fromCharCode(tag)) {
    case "V":
      return;
    case "t":
    case "b":
    case "B":
      reader.take(1);
      return;
    case "s":
    case "u":
      reader.take(2);
      return;
    case "I":
    case "i":
    case "f":
      reader.take(4);
      return;
    case "D":
      reader.take(5);
      return;
    case "l":
    case "L":
    case "T":
    case "d":
      reader.take(8);
      return;
    case "S":
    case "x":
    case "A":
    case "F":
      reader.take(reader.int32() >>> 0);
      return;
    default:
      reader.fail();
  }
}

function exact(high: bigint, low: number): number | bigint {
  const value = high << 32n | BigInt(low >>> 0);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** RabbitMQ's decimals have no sign. */
function decimal(places: number, digits: number): number {
  return digits / 10 ** places;
}
