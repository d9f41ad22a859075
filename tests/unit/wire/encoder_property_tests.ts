import { runs } from "../../support/runs.ts";
import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { toByteString } from "../../../lib/wire/byte_string.ts";
import {
  ACK_SIZE,
  encodeAck,
  encodeNack,
  encodePublish,
  encodeReject,
  piecesOfPublish,
  type Place,
  sizeOfPublish,
} from "../../../lib/wire/frame_encoder.ts";
import type { Publish, PublishProperties } from "../../../lib/wire/message.ts";
import { ACK, AmqplibOracle, NACK, PUBLISH, REJECT } from "../../support/amqplib_oracle.ts";
import { bodyLength, bodyOf, frameMax, headerTexts, properties, shortText } from "../../support/wire_arbitraries.ts";

const oracle = await AmqplibOracle.open();
/** What stands where nothing may be written. */
const GUARD = 0xaa;
const target = Buffer.alloc(1_000_000, GUARD);

const channel = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 65_535 }));

/** What one publish is made of, all strings as texts. */
const plan = frameMax.chain((frameMax) =>
  fc.record({
    place: fc.record({ channel, frameMax: fc.constant(frameMax) }),
    exchange: shortText,
    routingKey: shortText,
    mandatory: fc.boolean(),
    properties: properties(shortText),
    headers: fc.option(headerTexts, { nil: undefined }),
    length: bodyLength(frameMax),
    place0: fc.nat(9_999),
  })
);

type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

/** The same texts as byte strings. */
function encoded(texts: PublishProperties): PublishProperties {
  return Object.fromEntries(
    Object.entries(texts).map(([name, value]) => [name, typeof value === "string" ? toByteString(value) : value]),
  );
}

/** What we are to encode, and what amqplib makes of it. */
function prepare({ place, exchange, routingKey, mandatory, properties, headers, length, place0 }: Plan): {
  readonly place: Place;
  readonly message: Publish;
  readonly expected: Buffer;
} {
  const body = bodyOf(length, place0);
  // A record may list its entries in another order, so it comes first.
  const record = headers === undefined ? undefined : Object.fromEntries(headers);
  const list = record === undefined
    ? undefined
    : Object.entries(record).map(([name, value]) => [toByteString(name), toByteString(value)] as const);
  const message: Publish = {
    exchange: toByteString(exchange),
    routingKey: toByteString(routingKey),
    mandatory,
    // amqplib's `publish` always sends a table; its `sendMessage`, which has no such habit, is asked where there is none.
    properties: { ...encoded(properties), headers: list },
    body,
  };
  const expected = record === undefined
    ? oracle.message(place, PUBLISH, { fields: { exchange, routingKey, mandatory }, properties, content: body })
    : oracle.publish(place, {
      exchange,
      routingKey,
      content: body,
      options: { ...properties, headers: record, mandatory },
    });
  return { place, message, expected };
}

Deno.test("sequences of publishes are the bytes that amqplib writes, and nothing beside them is written", () => {
  fc.assert(
    fc.property(fc.array(plan, { minLength: 1, maxLength: 3 }), (plans) => {
      let at = 8;
      for (const { place, message, expected } of plans.map(prepare)) {
        const headerSize = expected.readUInt32BE(expected.readUInt32BE(3) + 8 + 3) + 8;
        if (headerSize > place.frameMax) {
          // amqplib writes a frame that makes the broker close the connection.
          assertEquals(throws(() => encodePublish(target, at, place, message)), "RangeError");
          continue;
        }
        const size = sizeOfPublish(message, place.frameMax);
        const end = encodePublish(target, at, place, message);
        assertEquals([size, end], [expected.length, at + expected.length]);
        assertSame(target.subarray(at, end), expected);
        assertSame(Buffer.concat(piecesOfPublish(place, message)), expected);
        at = end;
      }
      assertSame(target.subarray(at, at + 64), Buffer.alloc(64, GUARD));
      assertSame(target.subarray(0, 8), Buffer.alloc(8, GUARD));
      target.fill(GUARD, 8, at);
    }),
    runs(10_000),
  );
});

Deno.test("what amqplib refuses is refused, and nothing is written", () => {
  const long = fc.constantFrom("x".repeat(256), "ö".repeat(128), "\ud800".repeat(86), "😀".repeat(64));
  const names = ["contentType", "contentEncoding", "correlationId", "replyTo", "expiration", "messageId", "type"];
  const where = fc.constantFrom(...names, "userId", "appId", "exchange", "routingKey", "header");
  fc.assert(
    fc.property(plan, where, long, (plan, where, text) => {
      const broken = { ...plan, properties: { ...plan.properties } };
      if (where === "exchange" || where === "routingKey") broken[where] = text;
      else if (where === "header") broken.headers = [[text, ""]];
      else Object.assign(broken.properties, { [where]: text });
      assertEquals(throws(() => prepare(broken)), where === "header" ? "RangeError" : "TypeError");
      const { message } = prepare(plan);
      const bytes: Publish = {
        ...message,
        exchange: toByteString(broken.exchange),
        routingKey: toByteString(broken.routingKey),
        properties: {
          ...encoded(broken.properties),
          headers: broken.headers?.map(([name, value]) => [toByteString(name), toByteString(value)] as const),
        },
      };
      assertEquals(throws(() => encodePublish(target, 8, plan.place, bytes)), "RangeError");
      assertEquals(throws(() => sizeOfPublish(bytes, plan.place.frameMax)), "RangeError");
      assertSame(target.subarray(0, 1_000), Buffer.alloc(1_000, GUARD));
    }),
    runs(3_000),
  );
});

Deno.test("acknowledgements are the bytes that amqplib writes", () => {
  const tag = fc.oneof(fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());
  fc.assert(
    fc.property(channel, tag, fc.boolean(), fc.boolean(), (channel, deliveryTag, multiple, requeue) => {
      const bytes = Buffer.alloc(3 * ACK_SIZE + 1, GUARD);
      const first = encodeAck(bytes, 0, channel, deliveryTag, multiple);
      const second = encodeNack(bytes, first, channel, deliveryTag, { multiple, requeue });
      assertEquals(encodeReject(bytes, second, channel, deliveryTag, requeue), 3 * ACK_SIZE);
      assertSame(
        bytes,
        Buffer.concat([
          oracle.method(channel, ACK, { deliveryTag, multiple }),
          oracle.method(channel, NACK, { deliveryTag, multiple, requeue }),
          oracle.method(channel, REJECT, { deliveryTag, requeue }),
          Buffer.from([GUARD]),
        ]),
      );
    }),
    runs(10_000),
  );
});

/** As `assertEquals`, which takes long for long buffers. */
function assertSame(actual: Buffer, expected: Buffer): void {
  if (!actual.equals(expected)) assertEquals(actual.toString("hex"), expected.toString("hex"));
}

/** The name of the error that a function throws. */
function throws(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.constructor.name.replace("NodeRangeError", "RangeError") : String(error);
  }
}
