import { assertEquals } from "@std/assert";
import { decodeText, encodeText, quote, refuse } from "../../../lib/contract/body_text.ts";
import { encoded, read, refusal } from "../../support/codecs.ts";

Deno.test("refuse() makes an error of what was never executed", () => {
  const { code, message, outcome, details } = refuse("out_of_range", "No", { n: 1 });
  assertEquals([code, message, outcome, details], ["out_of_range", "No", "not_executed", { n: 1 }]);
});

Deno.test("quote() shows 64 characters, and that there are more", () => {
  assertEquals(quote('a"\n'), '"a\\"\\n"');
  assertEquals([quote("x".repeat(64)), quote("x".repeat(65))], [`"${"x".repeat(64)}"`, `"${"x".repeat(64)}…"`]);
});

Deno.test("decodeText() decodes ASCII and UTF-8 of every length around that of the short way", () => {
  for (const length of [0, 1, 31, 32, 33, 64]) {
    const ends = ["", "a", "\u007f", "\u0080", "é", "😀", "\ufeff"];
    for (const value of ends.map((end) => "a".repeat(length) + end)) {
      assertEquals(decodeText(encoded(value), "text"), value);
      assertEquals(decodeText(encodeText(value), "text"), value);
    }
  }
});

Deno.test("decodeText() refuses what is not UTF-8, and says of what", () => {
  for (const length of [0, 100]) {
    const body = Uint8Array.from([...encoded("a".repeat(length)), 0xff]);
    const { code, message } = refusal(() => decodeText(body, "a word"));
    assertEquals([code, message], ["invalid_argument", "Cannot decode a word: the body is not valid UTF-8"]);
  }
});

/** How often a decoder of text is called for a body. */
function decoderCalls(body: Uint8Array): number {
  const { decode } = TextDecoder.prototype;
  let calls = 0;
  TextDecoder.prototype.decode = function (...args): string {
    calls++;
    return decode.apply(this, args);
  };
  try {
    decodeText(body, "text");
  } finally {
    TextDecoder.prototype.decode = decode;
  }
  return calls;
}

Deno.test("decodeText() needs no decoder for up to 32 characters of ASCII", () => {
  for (const [text, calls] of [["", 0], ["\u007f", 0], ["a".repeat(32), 0], ["a".repeat(33), 1], ["é", 1]] as const) {
    assertEquals(decoderCalls(encoded(text)), calls, text);
  }
});

Deno.test("decodeText() refuses a single byte of 128", () => {
  assertEquals(refusal(() => decodeText(Uint8Array.of(0x80), "text")).code, "invalid_argument");
});

Deno.test("encodeText() writes UTF-8", () => {
  assertEquals(read(encodeText("größe")), "größe");
  assertEquals([...encodeText("ö")], [0xc3, 0xb6]);
});
