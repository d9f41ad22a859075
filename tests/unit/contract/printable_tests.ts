import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { printable, printableError, printableJson } from "../../../lib/contract/printable.ts";

Deno.test("printable() leaves text of any script as it is", () => {
  for (const text of ["", "fib(30)", "größe", "行列🐇", "a\\b", " ~"]) assertEquals(printable(text), text);
});

const ESCAPED: Readonly<Record<string, string>> = {
  "\n": "\\x0a",
  "\r": "\\x0d",
  "\x1b[2J": "\\x1b[2J",
  "\x7f": "\\x7f",
  "\x9b": "\\x9b",
  "\u061c": "\\u061c",
  "\u200f": "\\u200f",
  "\u2028": "\\u2028",
  "\u202e": "\\u202e",
  "\u2069": "\\u2069",
  "\ufeff": "\\ufeff",
  "\ud800": "\\ud800",
};

for (const [text, escaped] of Object.entries(ESCAPED)) {
  Deno.test(`printable() writes ${escaped}`, () => {
    assertEquals(printable(`a${text}b`), `a${escaped}b`);
  });
}

Deno.test("printable() shows 1,000 characters, and not more", () => {
  assertEquals(printable("x".repeat(1_000)), "x".repeat(1_000));
  assertEquals(printable("x".repeat(1_001)), `${"x".repeat(1_000)}…`);
});

Deno.test("printableJson() is JSON of the same value", () => {
  const value = { "\x9b": "\u202e\n" };
  assertEquals(printableJson(value), '{"\\u009b":"\\u202e\\n"}');
  assertEquals(JSON.parse(printableJson(value)), value);
});

Deno.test("printableError() has message, stack and causes, each on lines that cannot be forged", () => {
  const error = new TypeError("a\n    at forged", { cause: new Error("b", { cause: "c" }) });
  const lines = printableError(error).split("\n");
  assertEquals(lines[0], "TypeError: a\\x0a    at forged");
  assert(lines.slice(1).every((line) => /^ {4}at |^ {2}Caused by: /.test(line)), lines.join("\n"));
  assertEquals(lines.filter((line) => line.startsWith("  Caused")), ["  Caused by: Error: b", "  Caused by: c"]);
});

Deno.test("printableError() shows five causes of a cycle", () => {
  const error = new Error("round");
  error.cause = error;
  assertEquals(printableError(error).split("\n").filter((line) => line.includes("Caused by")).length, 5);
});

Deno.test("printableError() shows what is no error, and survives what cannot be shown", () => {
  assertEquals(printableError("no\n"), "no\\x0a");
  assertEquals(printableError(undefined), "undefined");
  assertStringIncludes(printableError(Object.create(null)), "cannot be shown");
});
