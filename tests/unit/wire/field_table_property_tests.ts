import { runs } from "../../support/runs.ts";
import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { fromByteString } from "../../../lib/wire/byte_string.ts";
import { findHeader, hasHeader, type HeaderValue, readHeaders } from "../../../lib/wire/field_table.ts";
import { AmqplibOracle } from "../../support/amqplib_oracle.ts";
import { deliver, entry, header, long, uint } from "../../support/wire.ts";
import { shortBytes } from "../../support/wire_arbitraries.ts";

const oracle = await AmqplibOracle.open();

const SIZES = { b: 1, B: 1, t: 1, s: 2, u: 2, I: 4, i: 4, l: 8, L: 8, T: 8 } as const;

/** The tag and the bytes of a value. */
type Value = readonly [tag: string, bytes: Uint8Array];

const integer: fc.Arbitrary<Value> = fc.tuple(
  fc.constantFrom(...Object.keys(SIZES) as (keyof typeof SIZES)[]),
  fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), fc.integer({ min: -2, max: 300 }).map(BigInt)),
).map(([tag, value]) => [tag, uint(SIZES[tag], value)]);

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

const scalar: fc.Arbitrary<Value> = fc.oneof(
  { weight: 4, arbitrary: integer },
  { weight: 4, arbitrary: shortBytes.map((text): Value => ["S", long(text)]) },
  { weight: 1, arbitrary: fc.constant<Value>(["V", Buffer.alloc(0)]) },
  { weight: 1, arbitrary: fc.double().map((value): Value => ["d", float64(value)]) },
  { weight: 1, arbitrary: bytesOf(4).map((value): Value => ["f", value]) },
  { weight: 1, arbitrary: bytesOf(5).map((value): Value => ["D", value]) },
  { weight: 1, arbitrary: shortBytes.map((text): Value => ["x", long(text)]) },
);

const value: fc.Arbitrary<Value> = fc.oneof(
  { weight: 6, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }).map((values): Value => ["A", long(arrayOf(values))]) },
  { weight: 1, arbitrary: scalar.map(([tag, bytes]): Value => ["F", long(entry("inner", tag, bytes))]) },
);

const name = fc.oneof(fc.constantFrom("", "a", "x-death", "__proto__", "gr\xc3\xb6\xc3\x9fe", "\xff"), shortBytes);
const entries = fc.uniqueArray(fc.tuple(name, value), { maxLength: 5, selector: ([name]) => fromByteString(name) });

function float64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

function arrayOf(values: readonly Value[]): Buffer {
  return Buffer.concat(values.flatMap(([tag, bytes]) => [Buffer.from(tag), bytes]));
}

function tableOf(entries: readonly (readonly [name: string, value: Value])[]): Buffer {
  return Buffer.concat(entries.map(([name, [tag, bytes]]) => entry(name, tag, bytes)));
}

/** The table as amqplib reads it, by name; undefined where it throws. */
function readByAmqplib(headers: Uint8Array): Map<string, unknown> | undefined {
  const bytes = Buffer.concat([deliver(1), header(1, 0, { headers })]);
  const [event] = oracle.decode(bytes, { maxFrameSize: 0, open: [1] });
  if (event?.kind !== "delivery") return undefined;
  return new Map(Object.entries(event.message.properties.headers ?? {}));
}

/** amqplib's value in the form of ours; nothing for what ours does not read. */
function plain(value: unknown): HeaderValue | undefined {
  if (typeof value !== "object" || value === null) return value as HeaderValue;
  if (!("!" in value && "value" in value)) return undefined;
  if (value["!"] === "timestamp") return value.value as number;
  const { places, digits } = value.value as { places: number; digits: number };
  return digits / 10 ** places;
}

/** Every name is found on its own as it is read with all. */
function assertConsistent(table: Uint8Array, headers: ReadonlyMap<string, HeaderValue | undefined>): void {
  for (const [name, value] of headers) {
    // A name that is not UTF-8 cannot be asked for.
    if (name.includes("\ufffd")) continue;
    assertEquals(findHeader(table, name), value);
    assertEquals(hasHeader(table, name), true);
  }
  assertEquals([findHeader(table, "absent"), hasHeader(table, "absent")], [undefined, false]);
}

/** The names in a table, in order and as often as they are there; as far as it can be read. */
function namesOf(table: Buffer): string[] {
  const names: string[] = [];
  const fixed: Record<string, number> = { ...SIZES, f: 4, d: 8, D: 5, V: 0 };
  for (let at = 0; at < table.length;) {
    const end = at + 1 + (table[at] ?? 0);
    names.push(table.toString("utf8", at + 1, end));
    const size = fixed[String.fromCharCode(table[end] ?? 0)];
    if (size === undefined && end + 5 > table.length) break;
    at = end + 1 + (size ?? 4 + table.readUInt32BE(end + 1));
  }
  return names;
}

/** What amqplib has read is what we have read; it rounds integers. */
function assertSame(headers: ReadonlyMap<string, HeaderValue | undefined>, theirs: ReadonlyMap<string, unknown>): void {
  for (const [name, value] of headers) {
    const expected = plain(theirs.get(name));
    assertEquals(typeof value === "bigint" ? Number(value) : value, expected);
  }
  assertEquals(headers.size, theirs.size);
}

Deno.test("tables of every type of value are read as amqplib reads them", () => {
  fc.assert(
    fc.property(entries, (entries) => {
      const table = tableOf(entries);
      const headers = readHeaders(table);
      assertEquals(Array.from(headers?.keys() ?? []), entries.map(([name]) => fromByteString(name)));
      if (headers === undefined) return;
      assertConsistent(table, headers);
      const theirs = readByAmqplib(table);
      // amqplib throws on 'L', which RabbitMQ and ours read; within what ours skips as well.
      if (theirs !== undefined) assertSame(headers, theirs);
      else assertEquals(table.includes("L"), true);
    }),
    runs(15_000),
  );
});

Deno.test("tables that were spoilt are read as amqplib reads them, or not at all", () => {
  const spoil = fc.record({ place: fc.nat(500), value: fc.nat(255), cut: fc.boolean() });
  fc.assert(
    fc.property(entries, fc.array(spoil, { minLength: 1, maxLength: 3 }), (entries, spoils) => {
      let table = tableOf(entries);
      for (const { place, value, cut } of spoils) {
        const at = place % (table.length + 1);
        if (cut) table = table.subarray(0, at);
        else if (at < table.length) table[at] = value;
      }
      const names = entries.map(([name]) => fromByteString(name));
      const headers = readHeaders(table);
      for (const name of names) {
        // Whatever is wrong behind it, what is found is what is read.
        if (headers === undefined || name.includes("\ufffd")) continue;
        assertEquals(findHeader(table, name), headers.get(name));
        assertEquals(hasHeader(table, name), headers.has(name));
      }
      const theirs = readByAmqplib(table);
      // Of entries with one name the first counts here, the last in amqplib; and amqplib reads on where the values of an
      // array go beyond its length, in the midst of the entry after it.
      const alike = new Set(namesOf(table)).size === namesOf(table).length &&
        Array.from(headers?.values() ?? []).every((value) => value !== undefined);
      if (headers !== undefined && theirs !== undefined && alike) assertSame(headers, theirs);
      // Without an exception, whatever the bytes.
      for (const name of names) findHeader(table, name);
    }),
    runs(10_000),
  );
});
