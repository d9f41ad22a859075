/**
 * Random contents of frames, for fast-check.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { HeaderList, Properties } from "../../lib/wire/message.ts";
import { entry, long } from "./wire.ts";

/** Optional fields of a record: absent as often as not. */
function maybe<T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(values, { nil: undefined, freq: 2 });
}

function fromCodes(codes: readonly number[]): string {
  return String.fromCharCode(...codes);
}

const SAMPLES = [
  "",
  "a",
  "rpc_queue",
  "amq.gen-0123456789abcdefABCDEF",
  "größe",
  "日本語",
  "😀",
  "\ud800",
  "a\udfffb",
  "\ud800\ud800\udc00",
  "\u0000",
  "\u007f\u0080\u07ff\u0800\uffff",
  "\ufeffbom",
  "__proto__",
  "\xce",
  "x".repeat(254),
  "x".repeat(255),
  "ö".repeat(127),
  "ö".repeat(127) + "x",
];

/** Texts of any UTF-16, lone surrogates too, whose UTF-8 is a short string. */
export const shortText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...SAMPLES),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 }).map(fromCodes),
  fc.array(fc.integer({ min: 0x20, max: 0x7e }), { maxLength: 40 }).map(fromCodes),
);

/** Short strings of any bytes. */
export const shortBytes: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    "a",
    "rpc_queue",
    "\xff",
    "\0",
    "\xce",
    "gr\xc3\xb6\xc3\x9fe",
    "\x80".repeat(255),
    "x".repeat(254),
  ),
  fc.array(fc.integer({ min: 0, max: 0xff }), { maxLength: 20 }).map(fromCodes),
  fc.array(fc.integer({ min: 0x20, max: 0x7e }), { maxLength: 40 }).map(fromCodes),
);

const longText = fc.oneof(
  { weight: 8, arbitrary: shortText },
  { weight: 1, arbitrary: fc.constantFrom("v".repeat(256), "ö".repeat(300), "v".repeat(2_048)) },
);

/** Headers as texts, each name once. */
export const headerTexts: fc.Arbitrary<HeaderList> = fc.uniqueArray(fc.tuple(shortText, longText), {
  maxLength: 4,
  selector: ([name]) => name.toWellFormed(),
});

const octet = fc.integer({ min: 0, max: 255 });
const timestamp = fc.oneof(fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());

/** All properties but the headers, of such strings. */
export function properties(text: fc.Arbitrary<string>): fc.Arbitrary<Omit<Properties, "headers" | "clusterId">> {
  return fc.record({
    contentType: maybe(text),
    contentEncoding: maybe(text),
    deliveryMode: maybe(octet),
    priority: maybe(octet),
    correlationId: maybe(text),
    replyTo: maybe(text),
    expiration: maybe(text),
    messageId: maybe(text),
    timestamp: maybe(timestamp),
    type: maybe(text),
    userId: maybe(text),
    appId: maybe(text),
  });
}

/** A table of long strings, as bytes. */
export const rawTable: fc.Arbitrary<Uint8Array | undefined> = maybe(
  fc.uniqueArray(fc.tuple(fc.string({ maxLength: 10 }), shortBytes), {
    maxLength: 3,
    selector: ([name]) => name,
  }).map((entries) => Buffer.concat(entries.map(([name, value]) => entry(name, "S", long(value))))),
);

/** The largest frames that are asked for. */
export const frameMax: fc.Arbitrary<number> = fc.constantFrom(4_096, 4_097, 8_192, 131_072);

/** Lengths of bodies, mostly small, and every threshold from both sides. */
export function bodyLength(frameMax: number): fc.Arbitrary<number> {
  const room = frameMax - 8;
  const near = [
    2_047,
    2_048,
    4_087,
    4_088,
    4_089,
    8_191,
    8_192,
    room - 1,
    room,
    room + 1,
    2 * room,
    2 * room + 1,
    3 * room,
  ];
  return fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 0, max: 300 }) },
    { weight: 1, arbitrary: fc.constantFrom(...near.filter((length) => length <= 40_000 || length === room + 1)) },
    { weight: 1, arbitrary: fc.integer({ min: 1_500, max: 2_500 }) },
  );
}

const pattern = Buffer.alloc(400_000);
for (let n = 0; n < pattern.length; n++) pattern[n] = n * 7 ^ n >>> 8;

/** A body of such a length; others at other places differ. */
export function bodyOf(length: number, place: number): Buffer {
  return pattern.subarray(place, place + length);
}
