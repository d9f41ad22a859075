import { runs } from "../../support/runs.ts";
import { Buffer } from "node:buffer";
import { assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { fromByteString, readByteString, startsWith, toByteString } from "../../../lib/wire/byte_string.ts";

/** Any UTF-16, lone surrogates too. */
const anyText = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map((codes) => String.fromCharCode(...codes)),
  fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 12 }).map((codes) => String.fromCharCode(...codes)),
  fc.string({ maxLength: 40 }),
);

Deno.test("a text that is ASCII is its own byte string", () => {
  for (const text of ["", "rpc_queue", "\0\x7f", "a".repeat(300)]) {
    assertStrictEquals(toByteString(text), text);
    assertStrictEquals(fromByteString(text), text);
  }
});

Deno.test("other texts are encoded as UTF-8", () => {
  assertEquals(toByteString("größe"), "gr\xc3\xb6\xc3\x9fe");
  assertEquals(fromByteString("gr\xc3\xb6\xc3\x9fe"), "größe");
  assertEquals(toByteString("😀"), "\xf0\x9f\x98\x80");
  assertEquals(toByteString("\x80"), "\xc2\x80");
  assertEquals(fromByteString("\xc2\x80"), "\x80");
});

Deno.test("a lone surrogate becomes U+FFFD", () => {
  assertEquals(toByteString("a\ud800b"), "a\xef\xbf\xbdb");
  assertEquals(toByteString("\udfff"), "\xef\xbf\xbd");
});

Deno.test("bytes that are not UTF-8 are shown as U+FFFD, and a byte order mark is kept", () => {
  assertEquals(fromByteString("\xffa\xc3"), "\ufffda\ufffd");
  assertEquals(fromByteString("\xef\xbb\xbfa"), "\ufeffa");
});

Deno.test("any text is encoded as Buffer encodes it, and well-formed ones come back", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const bytes = toByteString(text);
      assertEquals(Buffer.from(bytes, "latin1"), Buffer.from(text, "utf8"));
      assertEquals(fromByteString(bytes), text.toWellFormed());
    }),
    runs(15_000),
  );
});

Deno.test("any bytes are read as they are, on both sides of the length from which a native call reads them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(5), (content, before) => {
      const bytes = Buffer.concat([Buffer.alloc(before, 0x41), content, Buffer.from("B")]);
      const text = readByteString(bytes, before, before + content.length);
      assertEquals(Array.from(text, (char) => char.charCodeAt(0)), Array.from(content));
      assertEquals(startsWith(bytes, before, text), true);
      assertEquals(startsWith(bytes, before, text + "C"), false);
    }),
    runs(10_000),
  );
});
