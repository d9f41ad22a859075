import { assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { bodyAsJson, bodyForTerminal } from "../../../lib/cli/reply_text.ts";
import { runs } from "../../support/runs.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

for (
  const [text, json] of [
    ["354224848179261915075", "354224848179261915075"],
    [' {"a": [1,\n\t2]} \r\n', '{"a": [1,  2]}'],
    ['"\\u001b[31m"', '"\\u001b[31m"'],
    ["true", "true"],
    ["plain text", '"plain text"'],
    ["", '""'],
    ["two\nlines", '"two\\nlines"'],
    ["\x1b[31mred", '"\\u001b[31mred"'],
    ['"\u202eright to left"', '"\\u202eright to left"'],
    ["\ufeff1", '"\\ufeff1"'],
  ] as const
) {
  Deno.test(`The body ${JSON.stringify(text)} is ${json} in JSON`, () => assertEquals(bodyAsJson(encode(text)), json));
}

Deno.test("A body that is not UTF-8 is base64 in JSON, and hex digits for a person", () => {
  const body = new Uint8Array([0xff, 0x00, 0x1b]);
  assertEquals([bodyAsJson(body), bodyForTerminal(body)], ['{"base64":"/wAb"}', "ff001b"]);
});

Deno.test("A body for a person keeps its lines, and nothing on which a terminal acts", () => {
  assertEquals(bodyForTerminal(encode("a\n\tb\r\n\x1b[2Jc\r")), "a\n\tb\r\n\\x1b[2Jc\\x0d");
});

Deno.test("Any body is one line of JSON that means the same", () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string({ unit: "binary" })), fc.boolean(), (text, pretty) => {
      let source = text;
      try {
        if (pretty) source = JSON.stringify(JSON.parse(text), null, "\t");
      } catch {
        // It is no JSON.
      }
      const line = bodyAsJson(encode(source));
      // deno-lint-ignore no-control-regex -- none of these may be left
      assertFalse(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(line));
      const value: unknown = JSON.parse(line);
      let wanted: unknown = source.toWellFormed();
      try {
        wanted = JSON.parse(source);
      } catch {
        // Then it is the text.
      }
      assertEquals(JSON.stringify(value), JSON.stringify(wanted));
    }),
    runs(3_000),
  );
});
