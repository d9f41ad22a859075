import { runs } from "../../support/runs.ts";
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fromByteString } from "../../../lib/wire/byte_string.ts";
import { readHeaders } from "../../../lib/wire/field_table.ts";
import type { Delivery, Returned } from "../../../lib/wire/message.ts";
import { AmqplibOracle, type Event, type Message } from "../../support/amqplib_oracle.ts";
import { bodies, confirm, cut, deliver, frame, header, type Heard, Recorder, returnOf } from "../../support/wire.ts";
import { bodyLength, bodyOf, properties, rawTable, shortBytes } from "../../support/wire_arbitraries.ts";

const oracle = await AmqplibOracle.open();
/** The channels that are open. Frames of others are for somebody else. */
const OPEN = [1, 2, 3];
const MAX_FRAME_SIZE = 8_192;
/**
 * Methods after which amqplib here goes another way: `basic.get-ok`, of which it expects nothing, and method 60 of class
 * 0, which it takes for a content header of class 60.
 */
const UNLIKE: ReadonlySet<number> = new Set([0x003c_0047, 60]);

const channelOf = fc.constantFrom(...OPEN);
const deliveryTag = fc.oneof(fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());

/** A message on its way to us, as its frames and as what must come of them. */
const message = fc.record({
  channel: channelOf,
  isReturn: fc.boolean(),
  consumerTag: shortBytes,
  deliveryTag,
  redelivered: fc.boolean(),
  replyCode: fc.integer({ min: 0, max: 0xffff }),
  replyText: shortBytes,
  exchange: shortBytes,
  routingKey: shortBytes,
  properties: properties(shortBytes),
  headers: rawTable,
  length: bodyLength(4_096).map((length) => Math.min(length, 9_000)),
  place: fc.nat(9_999),
  frameSize: fc.constantFrom(4_088, 4_088, 100, 1_000, 8_184),
}).map((plan) => {
  const { channel, length, frameSize } = plan;
  const properties = { ...plan.properties, headers: plan.headers };
  const body = bodyOf(length, plan.place);
  const method = plan.isReturn ? returnOf(channel, plan) : deliver(channel, plan);
  return {
    ...plan,
    properties,
    body,
    frames: [method, header(channel, length, properties), ...bodies(channel, body, frameSize)],
  };
});

const other = fc.record({ channel: fc.constantFrom(0, 7, ...OPEN), type: fc.constantFrom(1, 8) }).map((
  { channel, type },
) => ({ channel, frames: [type === 8 ? frame(8, channel, Buffer.alloc(0)) : declareOk(channel)] }));

const confirmation = fc.record({
  channel: channelOf,
  confirm: fc.record({ deliveryTag, multiple: fc.boolean(), nack: fc.boolean() }),
}).map((plan) => ({ ...plan, frames: [confirm(plan.channel, plan.confirm)] }));

function declareOk(channel: number): Buffer {
  return frame(1, channel, Buffer.from("\0\x32\0\x0b\x01q\0\0\0\0\0\0\0\0", "latin1"));
}

interface Item {
  readonly channel: number;
  readonly frames: readonly Buffer[];
}

/** Items of several channels, each whole and in order on its channel, frame by frame as `picks` mixes the channels. */
function interleave(items: readonly Item[], picks: readonly number[]): Buffer[] {
  const queues = new Map<number, Buffer[]>();
  for (const { channel, frames } of items) queues.set(channel, [...(queues.get(channel) ?? []), ...frames]);
  const mixed: Buffer[] = [];
  for (let n = 0; queues.size > 0; n++) {
    const channels = Array.from(queues.keys());
    const channel = channels[(picks[n % picks.length] ?? 0) % channels.length] ?? 0;
    const queue = queues.get(channel) ?? [];
    const next = queue.shift();
    if (next !== undefined) mixed.push(next);
    if (queue.length === 0) queues.delete(channel);
  }
  return mixed;
}

const traffic = fc.record({
  items: fc.array(
    fc.oneof({ weight: 4, arbitrary: message }, { weight: 1, arbitrary: confirmation }, {
      weight: 1,
      arbitrary: other,
    }),
    { minLength: 1, maxLength: 4 },
  ),
  picks: fc.array(fc.nat(4), { minLength: 1, maxLength: 8 }),
  /** Where the chunks are cut, in thousandths of all. */
  cuts: fc.array(fc.nat(1_000), { maxLength: 6 }),
});

function chunksOf(bytes: Buffer, cuts: readonly number[]): Uint8Array[] {
  return cut(bytes, cuts.map((cut) => Math.round(cut * bytes.length / 1_000)));
}

function decode(bytes: Buffer, cuts: readonly number[]): Heard[] {
  return new Recorder(OPEN, { maxFrameSize: MAX_FRAME_SIZE, maxBodySize: 1_000_000 }).push(...chunksOf(bytes, cuts));
}

function decodeByAmqplib(bytes: Buffer): Event[] {
  return oracle.decode(bytes, { maxFrameSize: MAX_FRAME_SIZE, open: OPEN });
}

function defined(record: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

/** Byte strings as the texts that amqplib makes of them. */
function texts(record: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(defined(record)).map((
      [name, value],
    ) => [name, typeof value === "string" ? fromByteString(value) : value]),
  );
}

/** Our message in a form that can be compared. */
function shown({ properties: { headers, ...properties }, body, malformed: _, ...fields }: Delivery | Returned) {
  return {
    fields: texts(fields),
    properties: texts(properties),
    headers: headers === undefined ? undefined : Array.from(readHeaders(headers) ?? []).sort(),
    content: Buffer.from(body).toString("hex"),
  };
}

/** amqplib's message in the same form. */
function shownByAmqplib({ fields, properties: { headers, ...properties }, content }: Message) {
  return {
    fields: defined(fields),
    properties: defined(properties),
    headers: typeof headers === "object" && headers !== null ? Object.entries(headers).sort() : undefined,
    content: content.toString("hex"),
  };
}

/** Ours is what amqplib gave; its headers are compared elsewhere where they may be other than strings. */
function assertSame(ours: Heard, theirs: Event, withHeaders: boolean): void {
  assertEquals(ours.kind, theirs.kind);
  if (theirs.kind === "broken" || ours.kind === "fault") return;
  assertEquals(channelOfHeard(ours), theirs.channel);
  if (
    (ours.kind === "delivery" || ours.kind === "return") && (theirs.kind === "delivery" || theirs.kind === "return")
  ) {
    const [mine, other] = [shown(ours.message), shownByAmqplib(theirs.message)];
    assertEquals(mine.fields, other.fields);
    assertEquals(mine.properties, other.properties);
    assertEquals(mine.content, other.content);
    if (withHeaders) assertEquals(mine.headers, other.headers);
  } else if (ours.kind === "confirm" && theirs.kind === "confirm") {
    const { deliveryTag, multiple } = theirs.fields;
    assertEquals<unknown>(ours.confirm, { deliveryTag, multiple, nack: theirs.nack });
  }
}

/** amqplib says of all heartbeats that they are of channel 0. */
function channelOfHeard(heard: Exclude<Heard, { kind: "fault" }>): number {
  return heard.kind === "other" && heard.frame[0] === 8 ? 0 : heard.channel;
}

Deno.test("traffic of several channels, cut anywhere, is what was sent, byte for byte, and what amqplib gives", () => {
  fc.assert(
    fc.property(traffic, ({ items, picks, cuts }) => {
      const bytes = Buffer.concat(interleave(items, picks));
      const heard = decode(bytes, cuts);
      for (const channel of [0, 7, ...OPEN]) {
        const ours = heard.filter((event) => event.kind !== "fault" && event.channel === channel);
        assertEquals(ours.map(plain), items.filter((item) => item.channel === channel).map(plainItem));
      }
      const theirs = decodeByAmqplib(bytes);
      assertEquals(heard.length, theirs.length);
      heard.forEach((event, n) => assertSame(event, theirs[n] ?? { kind: "broken" }, true));
    }),
    runs(10_000),
  );
});

/** What was heard, in the form of {@linkcode plainItem}. */
function plain(heard: Heard): unknown {
  switch (heard.kind) {
    case "delivery":
    case "return": {
      const { body, properties, malformed, ...fields } = heard.message;
      assertEquals(malformed, undefined);
      return { fields, properties: defined(properties), body: Buffer.from(body).toString("hex") };
    }
    case "confirm":
      return heard.confirm;
    case "other":
      return Buffer.from(heard.frame).toString("hex");
    default:
      return heard;
  }
}

/** What an item was made of. */
function plainItem(
  item: typeof traffic extends fc.Arbitrary<infer T> ? T extends { items: (infer I)[] } ? I : never : never,
) {
  if ("confirm" in item) return item.confirm;
  if (!("body" in item)) return item.frames[0]?.toString("hex");
  const { consumerTag, deliveryTag, redelivered, replyCode, replyText, exchange, routingKey } = item;
  return {
    fields: item.isReturn
      ? { replyCode, replyText, exchange, routingKey }
      : { consumerTag, deliveryTag, redelivered, exchange, routingKey },
    properties: defined(item.properties),
    body: item.body.toString("hex"),
  };
}

/** How bytes are spoilt: at a place, in millionths of all. */
const mutation = fc.record({
  kind: fc.constantFrom("set", "flip", "insert", "delete", "cut", "repeat"),
  place: fc.nat(1_000_000),
  value: fc.oneof(fc.constantFrom(0, 1, 2, 3, 8, 0xce, 0xff, 60, 50, 80, 120), fc.nat(255)),
  length: fc.integer({ min: 1, max: 12 }),
});

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(bytes: Buffer, { kind, place, value, length }: Mutation): Buffer {
  const at = Math.floor(place * bytes.length / 1_000_001);
  const before = bytes.subarray(0, at);
  switch (kind) {
    case "set":
      return Buffer.concat([before, Buffer.from([value]), bytes.subarray(at + 1)]);
    case "flip":
      return Buffer.concat([before, Buffer.from([(bytes[at] ?? 0) ^ 1 << value % 8]), bytes.subarray(at + 1)]);
    case "insert":
      return Buffer.concat([before, Buffer.alloc(length, value), bytes.subarray(at)]);
    case "delete":
      return Buffer.concat([before, bytes.subarray(at + length)]);
    case "cut":
      return before;
    default:
      return Buffer.concat([before, bytes.subarray(at, at + length), bytes.subarray(at)]);
  }
}

/**
 * Ours, where it is no refusal, is what amqplib gives; and where amqplib refuses, ours does not give a message. Ours
 * refuses more: what amqplib cuts short without a word, and what RabbitMQ's own decoder refuses.
 */
function assertNoWorse(heard: readonly Heard[], theirs: readonly Event[]): void {
  const violated = new Set<number>();
  let n = 0;
  const next = (): Event | undefined => {
    while (isOf(theirs[n], violated)) n++;
    return theirs[n++];
  };
  for (const ours of heard) {
    if (ours.kind === "violation") {
      violated.add(ours.channel);
      continue;
    }
    if (ours.kind === "other" && violated.has(channelOfHeard(ours))) continue;
    const event = next();
    // Whatever we go on with, amqplib has given up: on all.
    if (event?.kind === "broken") return;
    if (event === undefined) throw new Error(`amqplib did not give ${Deno.inspect(ours)}`);
    if (ours.kind === "fault") throw new Error(`amqplib gave ${Deno.inspect(event)}, ours ${ours.reason}`);
    if (ours.kind === "other" && ours.frame[0] === 1 && UNLIKE.has(Buffer.from(ours.frame).readUInt32BE(7))) return;
    if ("message" in ours && ours.message.malformed !== undefined) assertEquals(ours.kind, event.kind);
    else assertSame(ours, event, false);
  }
  const left = next();
  assert(left === undefined || left.kind === "broken", `amqplib gave ${Deno.inspect(left)}, ours nothing`);
}

function isOf(event: Event | undefined, channels: ReadonlySet<number>): boolean {
  return event !== undefined && event.kind !== "broken" && channels.has(event.channel);
}

Deno.test("traffic that was spoilt anywhere gives what amqplib gives, or is refused", () => {
  fc.assert(
    fc.property(traffic, fc.array(mutation, { minLength: 1, maxLength: 4 }), ({ items, picks, cuts }, mutations) => {
      const bytes = mutations.reduce(mutate, Buffer.concat(interleave(items, picks)));
      assertNoWorse(decode(bytes, cuts), decodeByAmqplib(bytes));
    }),
    runs(15_000),
  );
});

Deno.test("frames in any order give what amqplib gives, or are refused", () => {
  const swap = fc.record({ kind: fc.constantFrom("drop", "double", "move"), from: fc.nat(100), to: fc.nat(100) });
  fc.assert(
    fc.property(traffic, fc.array(swap, { minLength: 1, maxLength: 3 }), ({ items, picks, cuts }, swaps) => {
      const frames = interleave(items, picks);
      for (const { kind, from, to } of swaps) {
        const [frame = Buffer.alloc(0)] = frames.splice(from % frames.length, kind === "double" ? 0 : 1);
        if (kind === "move") frames.splice(to % (frames.length + 1), 0, frame);
        if (kind === "double") frames.splice(to % frames.length, 0, frames[from % frames.length] ?? frame);
        if (frames.length === 0) return;
      }
      const bytes = Buffer.concat(frames);
      assertNoWorse(decode(bytes, cuts), decodeByAmqplib(bytes));
    }),
    runs(6_000),
  );
});

Deno.test("frames of any payload give what amqplib gives, or are refused", () => {
  const prefix = fc.constantFrom(
    "003c003c",
    "003c0032",
    "003c0050",
    "003c0078",
    "003c0047",
    "003c0000",
    "00140028",
    "",
    "00",
  );
  const anyFrame = fc.record({
    type: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(1, 2, 3) }, { weight: 1, arbitrary: fc.nat(255) }),
    channel: fc.constantFrom(1, 1, 1, 2, 0),
    prefix,
    // Mostly zeros and small numbers: lengths that fit, bodies that end.
    rest: fc.array(fc.oneof(fc.constantFrom(0, 0, 0, 1, 2), fc.nat(255)), { maxLength: 40 }),
  });
  fc.assert(
    fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 8 }), (frames) => {
      const bytes = Buffer.concat(
        frames.map(({ type, channel, prefix, rest }) =>
          frame(type, channel, Buffer.concat([Buffer.from(prefix, "hex"), Buffer.from(rest)]))
        ),
      );
      assertNoWorse(decode(bytes, [300, 301, 777]), decodeByAmqplib(bytes));
    }),
    runs(15_000),
  );
});

Deno.test("a content header that was spoilt spoils its own message alone", () => {
  const only = fc.array(message, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(only, fc.nat(3), fc.array(mutation, { minLength: 1, maxLength: 3 }), (items, which, mutations) => {
      const frames = items.map(({ frames }) => frames.slice());
      const spoilt = frames[which % frames.length] ?? [];
      // Class, weight and size stay; all behind them is spoilt.
      const payload = spoilt[1]?.subarray(7, -1) ?? Buffer.alloc(0);
      const list = mutations.reduce(mutate, payload.subarray(12));
      spoilt[1] = frame(2, items[which % items.length]?.channel ?? 0, Buffer.concat([payload.subarray(0, 12), list]));
      const before = decode(Buffer.concat(items.flatMap(({ frames }) => frames)), []);
      const after = decode(Buffer.concat(frames.flat()), []);
      assertEquals(after.length, items.length);
      after.forEach((event, n) => {
        if (n !== which % items.length) assertEquals(event, before[n]);
        else if ("message" in event && event.message.malformed === undefined) {
          const { message: { body } } = event;
          assertEquals(Buffer.from(body), items[n]?.body);
        }
      });
    }),
    runs(5_000),
  );
});
