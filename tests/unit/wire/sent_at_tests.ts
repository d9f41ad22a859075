import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { clockAnswer, isClockQuestion, readClockAnswer } from "../../../lib/wire/clock_message.ts";
import { encodePublish, sizeOfPublish } from "../../../lib/wire/frame_encoder.ts";
import { readRequest, requestMessage } from "../../../lib/wire/request_message.ts";
import {
  readBrokerTime,
  readFirstSentAt,
  readSentAt,
  SENT_AT,
  sentAtHeader,
  sentAtLength,
} from "../../../lib/wire/sent_at.ts";
import { readStringHeaders } from "../../../lib/wire/string_headers.ts";
import { delivery } from "../../support/delivery.ts";
import { runs } from "../../support/runs.ts";
import { entry, long } from "../../support/wire.ts";

function table(...entries: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(entries);
}

function text(name: string, value: string): Uint8Array {
  return entry(name, "S", long(value));
}

function int64(name: string, value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return entry(name, "l", bytes);
}

Deno.test("sentAtHeader() is a text of whole ms", () => {
  assertEquals(sentAtHeader(123_456.789), ["rpc-sent-at", "123456"]);
  assertEquals(sentAtHeader(123_456.999), ["rpc-sent-at", "123456"]);
  assertEquals(sentAtHeader(123_457), ["rpc-sent-at", "123457"]);
});

/** What is read without a search; undefined if that is not possible. */
function readFirst(bytes: Uint8Array): number | undefined {
  const length = sentAtLength(bytes);
  return length === 0 ? undefined : readFirstSentAt(bytes, length);
}

Deno.test("sentAtLength() is that of the first entry, whose time is the one that a search finds", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999_999 }), fc.boolean(), (ms, alone) => {
      const own = text(...sentAtHeader(ms));
      const bytes = alone ? own : table(own, text("tenant", "acme"), text(SENT_AT, "1"));
      assertEquals([sentAtLength(bytes), readFirst(bytes), readSentAt(bytes)], [own.length, ms, ms]);
    }),
    runs(1_000),
  );
});

for (
  const [what, bytes] of [
    ["nothing in it", table()],
    ["another header", table(text("tenant", "12345678"))],
    ["a name of that length", table(text("rpc-sent-ax", "1"))],
    ["a value that is no number", table(text(SENT_AT, "12x"))],
    ["a character after the digits", table(text(SENT_AT, "1:"))],
    ["a character before the digits", table(text(SENT_AT, "1/"))],
    ["another first letter", table(text("xpc-sent-at", "1"))],
    ["no value", table(text(SENT_AT, ""))],
    ["too large a value", table(text(SENT_AT, "1".repeat(16)))],
    ["another type of value", table(int64(SENT_AT, 1n))],
    ["a value that is cut", table(text(SENT_AT, "123")).subarray(0, -1)],
    ["a length that is cut", table(text(SENT_AT, "123")).subarray(0, 16)],
    ["a header before it", table(text("a", "b"), text(SENT_AT, "1"))],
  ] as const
) {
  Deno.test(`sentAtLength() leaves to a search a table with ${what}`, () => {
    assertEquals(sentAtLength(bytes), 0);
  });
}

Deno.test("sentAtLength() reads no table otherwise than a search does", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(40), fc.boolean(), (noise, at, alone) => {
      const bytes = table(text(...sentAtHeader(1_234_567)), ...(alone ? [] : [text("tenant", "acme")]));
      bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
      const first = readFirst(bytes);
      if (first !== undefined) assertEquals(readSentAt(bytes), first);
    }),
    runs(5_000),
  );
});

Deno.test("readSentAt() takes a number of a client in another language, and nothing that is no whole number", () => {
  assertEquals(readSentAt(table(text("a", "b"), int64(SENT_AT, 77n))), 77);
  assertEquals(readSentAt(table(int64(SENT_AT, -5n))), -5);
  assertEquals(readSentAt(table(int64(SENT_AT, 2n ** 60n))), undefined);
  for (const odd of ["-1", "1.5", " 1", "1e3", "x", "9".repeat(16)]) {
    assertEquals(readSentAt(table(text("a", "b"), text(SENT_AT, odd))), undefined);
  }
});

Deno.test("readBrokerTime() reads what the interceptor of RabbitMQ 4 sets", () => {
  assertEquals(readBrokerTime(table(int64("timestamp_in_ms", 1_700_000_000_123n))), 1_700_000_000_123);
});

Deno.test("A request has the time before the caller's headers, and its server reads it whether there are others or not", () => {
  for (const headers of [undefined, [["tenant", "acme"]] as const]) {
    const message = requestMessage({
      queue: "q",
      method: undefined,
      headers,
      id: "id",
      messageId: "id",
      replyTo: "amq.gen-a",
      contentType: "text/plain",
      expiration: 1_000,
      sentAt: 42.9,
      priority: undefined,
      body: new Uint8Array(),
    });
    assertEquals(message.properties.headers, [["rpc-sent-at", "42"], ...(headers ?? [])]);
    // It can be encoded.
    encodePublish(Buffer.alloc(sizeOfPublish(message, 4_096)), 0, { channel: 1, frameMax: 4_096 }, message);
    const bytes = table(text(SENT_AT, "42"), ...(headers ?? []).map(([name, value]) => text(name, value)));
    const meta = readRequest(delivery({ properties: { headers: bytes, expiration: "1000" } }));
    assertEquals([meta.sentAt, meta.brokerTime], [42, undefined]);
    // Handlers do not see it.
    assertEquals({ ...readStringHeaders(bytes) }, { ...Object.fromEntries(headers ?? []) });
  }
});

Deno.test("A request of a client that sends no time has that of the broker, if it sets one", () => {
  const headers = table(int64("timestamp_in_ms", 1_000n));
  const { sentAt, brokerTime } = readRequest(delivery({ properties: { headers } }));
  assertEquals([sentAt, brokerTime], [undefined, 1_000]);
});

Deno.test("A dead-lettered request is still known for one, and not because of its time", () => {
  const dead = table(text(SENT_AT, "1"), entry("x-death", "A", long("")));
  assert(readRequest(delivery({ properties: { headers: dead } })).redelivered);
  assert(!readRequest(delivery({ properties: { headers: table(text(SENT_AT, "1")) } })).redelivered);
});

Deno.test("An answer has the question's token, goes where the question says, and is read as it was sent", () => {
  const question = { type: "rpc.clock", correlationId: "token", replyTo: "amq.gen-server" };
  assert(isClockQuestion(question));
  assert(!isClockQuestion({ type: "rpc.error" }));
  const { exchange, routingKey, mandatory, properties } = clockAnswer(question, 12.3);
  assertEquals([exchange, routingKey, mandatory], ["rpc.control", "amq.gen-server", false]);
  assertEquals(properties.headers, [["rpc-sent-at", "12"]]);
  const headers = table(text(SENT_AT, "12"));
  const received = { type: "clock", correlationId: "token", headers };
  assertEquals(readClockAnswer(delivery({ exchange, properties: received })), { token: "token", time: 12 });
});

Deno.test("What is no answer, or came another way, is not read as one", () => {
  const headers = table(text(SENT_AT, "12"));
  const good = { type: "clock", correlationId: "token", headers };
  assertEquals(readClockAnswer(delivery({ exchange: "", properties: good })), undefined);
  for (
    const properties of [
      { ...good, type: "cancel" },
      { ...good, correlationId: "" },
      { ...good, headers: undefined },
      { ...good, headers: table(text(SENT_AT, "x")) },
    ]
  ) assertEquals(readClockAnswer(delivery({ exchange: "rpc.control", properties })), undefined);
});
