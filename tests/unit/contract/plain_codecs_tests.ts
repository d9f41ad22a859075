import { assert, assertEquals, assertNotStrictEquals, assertThrows } from "@std/assert";
import { type Codec, MAX_BODY_BYTES } from "../../../lib/contract/codec.ts";
import { bytes, empty, text } from "../../../lib/contract/plain_codecs.ts";
import { refusal } from "../../support/codecs.ts";

Deno.test("text() takes any text and refuses what is not UTF-8", () => {
  for (const value of ["", "30", "é€😀", "\ufeffmark", "a\u0000b", "\r\n"]) {
    assertEquals(text().decode(text().encode(value)), value);
  }
  for (const body of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    assertEquals(refusal(() => text().decode(Uint8Array.from(body))).code, "invalid_argument");
  }
  assertEquals(refusal(() => text().encode(30 as unknown as string)).code, "invalid_argument");
});

Deno.test("bytes() gives a copy that belongs to the caller", () => {
  const body = Uint8Array.from([1, 2, 3]);
  const value = bytes().decode(body);
  assertEquals(value, body);
  assert(value instanceof Uint8Array);
  assertNotStrictEquals(value.buffer, body.buffer);
  assertEquals(refusal(() => bytes().encode("abc" as unknown as Uint8Array)).code, "invalid_argument");
});

Deno.test("bytes() encodes a copy, which a later change of the value does not reach", () => {
  const value = Uint8Array.from([1, 2, 3]);
  const body = bytes().encode(value);
  value.fill(0);
  assertEquals(body, Uint8Array.from([1, 2, 3]));
});

Deno.test("empty() is nothing, in both directions", () => {
  assertEquals(empty().encode(undefined), new Uint8Array());
  assertEquals(empty().decode(new Uint8Array()), undefined);
});

Deno.test("empty() refuses what is something, and says what it was given", () => {
  const encoding = refusal(() => empty().encode(null as unknown as undefined));
  assertEquals(encoding.message, "Cannot encode nothing: must be undefined, current value is object");
  const decoding = refusal(() => empty().decode(Uint8Array.of(0)));
  assertEquals(decoding.message, "Cannot decode nothing: the body has 1 bytes, it must be empty");
  assertEquals([encoding.code, decoding.code], ["invalid_argument", "invalid_argument"]);
});

Deno.test("bytes() and text() say what they were given", () => {
  const wrong = 5 as unknown;
  const said = [
    refusal(() => bytes().encode(wrong as Uint8Array)).message,
    refusal(() => text().encode(wrong as string)).message,
  ];
  assertEquals(said, [
    "Cannot encode bytes: must be a Uint8Array, current value is number",
    "Cannot encode text: must be a string, current value is number",
  ]);
});

Deno.test("bytes() and text() have the size limit that they are told, or all that a message may have", () => {
  for (const make of [bytes, text]) {
    assertEquals([make().maxBytes, make({ maxBytes: 1 }).maxBytes], [MAX_BODY_BYTES, 1]);
    assertThrows(() => make({ maxBytes: 0 }), RangeError, "maxBytes");
  }
});

Deno.test("bytes(), text() and empty() name the type of their content, and empty() allows the least", () => {
  const codecs: readonly Codec<never, unknown>[] = [bytes(), text(), empty()];
  const types = ["application/octet-stream", "text/plain", "application/octet-stream"];
  assertEquals(codecs.map(({ contentType }) => contentType), types);
  assertEquals(empty().maxBytes, 1);
});
