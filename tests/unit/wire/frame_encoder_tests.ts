import { Buffer } from "node:buffer";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  ACK_SIZE,
  encodeAck,
  encodeNack,
  encodePublish,
  encodeReject,
  piecesOfPublish,
  sizeOfPublish,
} from "../../../lib/wire/frame_encoder.ts";
import type { Publish } from "../../../lib/wire/message.ts";
import { body, frame, header, method, short, uint } from "../../support/wire.ts";

const place = { channel: 7, frameMax: 4096 };

function messageOf(fields: Partial<Publish> = {}): Publish {
  return { exchange: "", routingKey: "q", mandatory: false, properties: {}, body: Buffer.alloc(0), ...fields };
}

/** Encodes to the middle of a buffer, and makes sure that nothing around it is written to. */
function encode(message: Publish): Buffer {
  const size = sizeOfPublish(message, place.frameMax);
  const bytes = Buffer.alloc(size + 20, 0xaa);
  assertEquals(encodePublish(bytes, 10, place, message), 10 + size);
  assertEquals(bytes.subarray(0, 10), Buffer.alloc(10, 0xaa));
  assertEquals(bytes.subarray(10 + size), Buffer.alloc(10, 0xaa));
  return bytes.subarray(10, 10 + size);
}

/** What must fail before a byte is written. */
function assertRefused(message: Publish, text: string, at = 0, length = 100_000): void {
  const bytes = Buffer.alloc(length, 0xaa);
  assertThrows(() => encodePublish(bytes, at, place, message), RangeError, text);
  assertEquals(bytes, Buffer.alloc(length, 0xaa));
  if (length === 100_000) assertThrows(() => piecesOfPublish(place, message), RangeError, text);
}

Deno.test("a message is a method, a content header and its body", () => {
  const message = messageOf({
    exchange: "e",
    routingKey: "gr\xc3\xb6\xc3\x9fe",
    mandatory: true,
    body: Buffer.from("30"),
  });
  const publish = method(7, 0x003c_0028, uint(2, 0), short("e"), short("gr\xc3\xb6\xc3\x9fe"), uint(1, 1));
  assertEquals(encode(message), Buffer.concat([publish, header(7, 2), body(7, "30")]));
});

Deno.test("an empty body has no frame", () => {
  const publish = method(7, 0x003c_0028, uint(2, 0), short(""), short("q"), uint(1, 0));
  assertEquals(encode(messageOf()), Buffer.concat([publish, header(7, 0)]));
});

Deno.test("every property is written, in the order of the specification", () => {
  const properties = {
    contentType: "a",
    contentEncoding: "b",
    deliveryMode: 2,
    priority: 255,
    correlationId: "c",
    replyTo: "d",
    expiration: "e",
    messageId: "f",
    timestamp: Number.MAX_SAFE_INTEGER,
    type: "g",
    userId: "h",
    appId: "i",
    clusterId: "j",
  };
  const table = Buffer.from("\x02k1S\0\0\0\x02v1\x00S\0\0\0\x00", "latin1");
  const publish = method(7, 0x003c_0028, uint(2, 0), short(""), short("q"), uint(1, 0));
  const expected = Buffer.concat([publish, header(7, 0, { ...properties, headers: table })]);
  assertEquals(encode(messageOf({ properties: { ...properties, headers: [["k1", "v1"], ["", ""]] } })), expected);
  assertEquals(encode(messageOf({ properties: { ...properties, headers: table } })), expected);
});

Deno.test("a property that is zero or empty is there all the same", () => {
  const publish = method(7, 0x003c_0028, uint(2, 0), short(""), short("q"), uint(1, 0));
  for (const name of ["deliveryMode", "priority", "timestamp"]) {
    const properties = { [name]: 0 };
    assertEquals(encode(messageOf({ properties })), Buffer.concat([publish, header(7, 0, properties)]));
  }
  for (const name of ["contentType", "correlationId", "replyTo", "expiration", "type"]) {
    const properties = { [name]: "" };
    assertEquals(encode(messageOf({ properties })), Buffer.concat([publish, header(7, 0, properties)]));
  }
  const expected = Buffer.concat([publish, header(7, 0, { headers: Buffer.alloc(0) })]);
  assertEquals(encode(messageOf({ properties: { headers: [] } })), expected);
});

Deno.test("a body is split at the largest frame, on both sides of every threshold", () => {
  for (const length of [1, 4087, 4088, 4089, 8175, 8176, 8177, 12_264, 20_000]) {
    const content = Buffer.alloc(length, 1).map((_, n) => n);
    const encoded = encode(messageOf({ body: content }));
    const frames: Buffer[] = [];
    for (let at = 0; at < length; at += 4088) frames.push(frame(3, 7, content.subarray(at, at + 4088)));
    assertEquals(encoded.subarray(encoded.length - Buffer.concat(frames).length), Buffer.concat(frames));
  }
});

Deno.test("the pieces are the same bytes, and the body's are views of it", () => {
  for (const length of [0, 1, 4088, 4089, 8176, 8177]) {
    const message = messageOf({ body: Buffer.alloc(length, 1).map((_, n) => n) });
    const pieces = piecesOfPublish(place, message);
    assertEquals(Buffer.concat(pieces), encode(message));
    const views = pieces.filter((piece) => piece.buffer === message.body.buffer);
    assertEquals(views.reduce((sum, view) => sum + view.length, 0), length);
  }
});

Deno.test("acknowledgements carry tags up to 2^53", () => {
  for (const tag of [0, 1, 255, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
    const bytes = Buffer.alloc(ACK_SIZE);
    const of = (id: number, flags: number): Buffer => method(7, id, uint(8, tag), uint(1, flags));
    assertEquals(encodeAck(bytes, 0, 7, tag, false), ACK_SIZE);
    assertEquals(bytes, of(0x003c_0050, 0));
    encodeAck(bytes, 0, 7, tag, true);
    assertEquals(bytes, of(0x003c_0050, 1));
    encodeNack(bytes, 0, 7, tag, { multiple: true, requeue: false });
    assertEquals(bytes, of(0x003c_0078, 1));
    encodeNack(bytes, 0, 7, tag, { multiple: false, requeue: true });
    assertEquals(bytes, of(0x003c_0078, 2));
    encodeReject(bytes, 0, 7, tag, false);
    assertEquals(bytes, of(0x003c_005a, 0));
    encodeReject(bytes, 0, 7, tag, true);
    assertEquals(bytes, of(0x003c_005a, 1));
  }
});

Deno.test("an acknowledgement of what is no tag, or where there is no room, is refused", () => {
  const bytes = Buffer.alloc(ACK_SIZE, 0xaa);
  for (const tag of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => encodeAck(bytes, 0, 7, tag, false), RangeError, `Cannot encode delivery tag ${tag}`);
  }
  assertThrows(() => encodeAck(bytes, 1, 7, 1, false), RangeError, "Cannot encode 21 bytes at 1");
  assertThrows(() => encodeAck(bytes, -1, 7, 1, false), RangeError, "Cannot encode 21 bytes at -1");
  for (const channel of [0, -1, 1.5, 65_536, NaN]) {
    assertThrows(() => encodeAck(bytes, 0, channel, 1, false), RangeError, `Cannot encode for channel ${channel}`);
  }
  assertEquals(bytes, Buffer.alloc(ACK_SIZE, 0xaa));
});

Deno.test("a short string of 255 bytes is written, a longer one refused before anything is", () => {
  const fits = "x".repeat(255);
  const long = "x".repeat(256);
  const names = ["contentType", "contentEncoding", "correlationId", "replyTo", "expiration", "messageId", "type"];
  for (const name of [...names, "userId", "appId", "clusterId"]) {
    encode(messageOf({ properties: { [name]: fits } }));
    assertRefused(messageOf({ properties: { [name]: long } }), `'${name}' has 256 bytes, at most 255 are allowed`);
  }
  encode(messageOf({ exchange: fits, routingKey: fits, properties: { headers: [[fits, long]] } }));
  assertRefused(messageOf({ exchange: long }), "'exchange' has 256 bytes");
  assertRefused(messageOf({ routingKey: long }), "'routingKey' has 256 bytes");
  assertRefused(messageOf({ properties: { headers: [[long, ""]] } }), "'name of a header' has 256 bytes");
});

Deno.test("a number that is none of its type is refused before anything is written", () => {
  for (const value of [-1, 256, 1.5, NaN, Infinity]) {
    assertRefused(messageOf({ properties: { priority: value } }), `'priority' is ${value}`);
    assertRefused(messageOf({ properties: { deliveryMode: value } }), `'deliveryMode' is ${value}`);
  }
  for (const value of [-1, 2 ** 53, 0.5, NaN]) {
    assertRefused(messageOf({ properties: { timestamp: value } }), `'timestamp' is ${value}`);
  }
});

Deno.test("properties that fill a frame are written, one byte more is refused before anything is", () => {
  const room = 4096 - 8 - 14 - 4 - 6;
  const of = (length: number): Publish => messageOf({ properties: { headers: [["", "v".repeat(length)]] } });
  assertEquals(encode(of(room)).length, 18 + 4096);
  assertRefused(of(room + 1), "its properties make a frame of 4097 bytes, the broker takes 4096");
});

Deno.test("a message that does not fit is refused before anything is written", () => {
  const message = messageOf({ body: Buffer.alloc(10) });
  const size = sizeOfPublish(message, 4096);
  assertRefused(message, `Cannot encode ${size} bytes at 1: there is room for ${size}`, 1, size);
  assertRefused(message, `Cannot encode ${size} bytes at -1`, -1, size);
  assertRefused(message, `Cannot encode ${size} bytes at NaN`, NaN, size);
});

Deno.test("a frame size under the protocol's minimum is refused", () => {
  for (const frameMax of [0, 8, 4095, NaN]) {
    assertThrows(() => sizeOfPublish(messageOf(), frameMax), RangeError, `'frameMax' is ${frameMax}`);
  }
});

Deno.test("a text that is no byte string is refused, and writes to its own range only", () => {
  const message = messageOf({ properties: { correlationId: "\u0100" } });
  const size = sizeOfPublish(message, 4096);
  const bytes = Buffer.alloc(size + 20, 0xaa);
  assertThrows(() => encodePublish(bytes, 10, place, message), TypeError, "a text is not a byte string");
  assertEquals(bytes.subarray(0, 10), Buffer.alloc(10, 0xaa));
  assertEquals(bytes.subarray(10 + size), Buffer.alloc(10, 0xaa));
  assertThrows(() => piecesOfPublish(place, message), TypeError, "a text is not a byte string");
  // What follows is not affected.
  assertStrictEquals(encode(messageOf()).length, sizeOfPublish(messageOf(), 4096));
});
