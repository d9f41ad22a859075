/**
 * Requests as no client of good will sends them, repeated by a seed.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { PublishProperties } from "../../lib/wire/message.ts";
import type { Random } from "./random.ts";
import { entry, long, uint } from "./wire.ts";

const KEYS = ["__proto__", "constructor", "hasOwnProperty", "x-death", "x-delivery-count", "traceparent", "", "größe"];
const TEXTS = ["", "\ud800", "a\udfffb", "\0", "\x1b[2J\n", "__proto__", "😀", "rpc.error", "cancel", "x".repeat(255)];
const ENCODINGS = ["", "identity", "binary", "US-ASCII", "8bit", "utf-8", "gzip", "deflate", "br", "\xff\xfe"];
const BODIES = [
  "",
  "30",
  "-0",
  "1e400",
  "99999999999999999999",
  "\x00",
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '"\\ud800"',
  "[".repeat(5_000),
  "\xed\xa0\x80",
  "\xff\xfe\xfd",
  "null",
];
/** Lengths of bodies, in bytes; the largest takes several frames. */
const LENGTHS = [0, 1, 100, 4_089, 8_192, 20_000, 131_057];

/** Random bytes, as a byte string. */
export function randomBytes(random: Random, length: number): string {
  let text = "";
  for (let n = 0; n < length; n++) text += String.fromCharCode(random.integer(0, 255));
  return text;
}

/** A value of a random type, and that type's tag. */
function value(random: Random, depth: number): [tag: string, value: Uint8Array] {
  const tag = random.pick(Array.from(depth > 0 ? "SxAFtbBsuIilLTfdDV" : "SxtbBsuIilLTfdDV"));
  switch (tag) {
    case "S":
    case "x":
      return [tag, long(randomBytes(random, random.integer(0, 40)))];
    case "A": {
      const items = Array.from({ length: random.integer(0, 3) }, () => value(random, depth - 1));
      return [tag, long(Buffer.concat(items.map(([itemTag, item]) => Buffer.concat([Buffer.from(itemTag), item]))))];
    }
    case "F":
      return [tag, long(table(random, depth - 1))];
    case "V":
      return [tag, new Uint8Array()];
    case "D":
      return [tag, Buffer.concat([uint(1, random.integer(0, 255)), uint(4, random.integer(0, 2 ** 32 - 1))])];
    case "f":
    case "d": {
      // Not a number, or without end: for such a one RabbitMQ closes the connection.
      const number = Buffer.alloc(tag === "f" ? 4 : 8);
      const float = random.pick([0, -0, 1e-45, 3.4e38, -1.5, random.next()]);
      if (tag === "f") number.writeFloatBE(float);
      else number.writeDoubleBE(float);
      return [tag, number];
    }
    default: {
      const size = "tbB".includes(tag) ? 1 : "su".includes(tag) ? 2 : "Ii".includes(tag) ? 4 : 8;
      return [tag, Buffer.from(randomBytes(random, size), "latin1")];
    }
  }
}

/** Random bytes for a name; not those by which the broker routes, since it closes the channel if they are no lists. */
function randomKey(random: Random): string {
  const key = randomBytes(random, random.integer(1, 20));
  return key === "CC" || key === "BCC" ? `_${key}` : key;
}

/** The entries of a table, of all types, with keys that mean something to somebody. */
export function table(random: Random, depth = 3): Buffer {
  const entries = Array.from({ length: random.integer(0, 4) }, () => {
    const key = random.chance(50) ? random.pick(KEYS) : randomKey(random);
    const [tag, content] = value(random, depth);
    return entry(Buffer.from(key).toString("latin1"), tag, content);
  });
  return Buffer.concat(entries);
}

function shortText(random: Random): string {
  if (random.chance(50)) return randomBytes(random, random.integer(0, 255));
  return Buffer.from(random.pick(TEXTS)).toString("latin1").slice(0, 255);
}

/** Some of the properties that a broker passes on whatever they are. */
export function oddProperties(random: Random): PublishProperties {
  const some = <T>(make: () => T): T | undefined => random.chance(40) ? make() : undefined;
  return {
    contentType: some(() => shortText(random)),
    contentEncoding: some(() => Buffer.from(random.pick(ENCODINGS), "latin1").toString("latin1")),
    headers: some(() => table(random)),
    deliveryMode: some(() => random.integer(1, 2)),
    priority: some(() => random.integer(0, 255)),
    messageId: some(() => shortText(random)),
    timestamp: some(() => random.pick([0, 2 ** 32, Number.MAX_SAFE_INTEGER])),
    type: some(() => shortText(random)),
    appId: some(() => shortText(random)),
  };
}

/** Properties for which brokers close the channel of whoever publishes them, sooner or later. */
export function refusedProperties(random: Random): PublishProperties {
  return random.pick<PublishProperties>([
    { expiration: "-1" },
    { expiration: "1.5" },
    { expiration: "\xff" },
    { expiration: "99999999999999999999" },
    { expiration: "" },
    { deliveryMode: 0 },
    { deliveryMode: 255 },
    { userId: "somebody else" },
    { replyTo: "amq.rabbitmq.reply-to" },
    { headers: entry("a", "f", uint(4, 0x7fc0_0000)) },
    { headers: entry("a", "d", uint(8, 0x7ff0_0000_0000_0000n)) },
    { headers: entry("CC", "S", long("no list")) },
    { headers: entry("BCC", "I", uint(4, 1)) },
  ]);
}

/** A body: a text that means something to a codec, or random bytes of any length. */
export function oddBody(random: Random): Uint8Array {
  if (random.chance(60)) return Buffer.from(random.pick(BODIES), "latin1");
  const body = Buffer.alloc(random.pick(LENGTHS), random.integer(0, 255));
  body.set(Buffer.from(randomBytes(random, Math.min(body.length, 50)), "latin1"));
  return body;
}

/** An id of arbitrary bytes, no two of which are the same: raw UUIDs, and ids of 255 bytes that are no UTF-8. */
export function oddId(random: Random, n: number): string {
  const unique = Buffer.concat([uint(4, n), Buffer.from(randomBytes(random, 12), "latin1")]).toString("latin1");
  return random.pick([unique, "\xff".repeat(239) + unique, `\0${unique}`, `__proto__${unique}`, unique.slice(0, 4)]);
}

/** An address that leads nowhere: no name, a name of nobody's, a queue of somebody's, or a direct one of any form. */
export function oddAddress(random: Random, taken: readonly string[]): string | undefined {
  const pid = Buffer.from(randomBytes(random, random.integer(0, 40)), "latin1").toString("base64");
  return random.pick([
    undefined,
    "",
    "\xff".repeat(255),
    randomBytes(random, random.integer(1, 255)),
    `amq.gen-${randomBytes(random, 22)}`,
    "amq.gen-",
    "amq.rabbitmq.reply-to.",
    `amq.rabbitmq.reply-to.${pid}.${pid}`,
    `amq.rabbitmq.reply-to.${randomBytes(random, 30)}`,
    random.pick(taken),
  ]);
}
