import { assertEquals, assertThrows } from "@std/assert";
import { checkedMaxBytes, type Codec, decodeBody, encodeBody, MAX_BODY_BYTES } from "../../../lib/contract/codec.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { encoded, read, refusal } from "../../support/codecs.ts";

Deno.test("MAX_BODY_BYTES is a byte less than 16 MiB, to which RabbitMQ 4 caps a message", () => {
  assertEquals(MAX_BODY_BYTES, 16_777_215);
});

Deno.test("checkedMaxBytes() takes a size limit from 1 to MAX_BODY_BYTES", () => {
  for (const maxBytes of [1, 2, MAX_BODY_BYTES - 1, MAX_BODY_BYTES]) {
    assertEquals(checkedMaxBytes({ maxBytes }), maxBytes);
  }
});

Deno.test("checkedMaxBytes() has all that a message may have, or what the codec says, as its default", () => {
  assertEquals([checkedMaxBytes({}), checkedMaxBytes({}, 7), checkedMaxBytes({ maxBytes: 3 }, 7)], [
    MAX_BODY_BYTES,
    7,
    3,
  ]);
});

for (const maxBytes of [0, -1, 1.5, NaN, Infinity, MAX_BODY_BYTES + 1]) {
  Deno.test(`checkedMaxBytes() refuses ${maxBytes}`, () => {
    const text = `'maxBytes' must be an integer between 1 and ${MAX_BODY_BYTES}, current value is ${maxBytes}`;
    assertThrows(() => checkedMaxBytes({ maxBytes }), RangeError, `Cannot create codec: ${text}`);
  });
}

for (const what of ["request", "reply"] as const) {
  Deno.test(`encodeBody() takes a ${what} of the limit, and refuses one byte more`, () => {
    const codec = text({ maxBytes: 4 });
    assertEquals(read(encodeBody(codec, "four", what)), "four");
    const { code, message } = refusal(() => encodeBody(codec, "fives", what));
    assertEquals(code, "out_of_range");
    assertEquals(message, `Cannot encode ${what}: the body has 5 bytes, at most 4 are allowed`);
  });

  Deno.test(`decodeBody() takes a ${what} of the limit, and refuses one byte more before it is decoded`, () => {
    const codec: Codec<string> = { ...text({ maxBytes: 4 }), decode: (body) => `decoded ${body.byteLength}` };
    assertEquals(decodeBody(codec, encoded("four"), what), "decoded 4");
    const { code, message } = refusal(() => decodeBody(codec, encoded("fives"), what));
    assertEquals(code, "out_of_range");
    assertEquals(message, `Cannot decode ${what}: the body has 5 bytes, at most 4 are allowed`);
  });
}
