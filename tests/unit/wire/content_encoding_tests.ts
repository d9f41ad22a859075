import { assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../../lib/contract/errors.ts";
import { checkContentEncoding } from "../../../lib/wire/content_encoding.ts";

const PLAIN = [
  "",
  "identity",
  "none",
  "plain",
  "binary",
  "7bit",
  "8bit",
  "us-ascii",
  "ascii",
  "utf-8",
  "utf8",
  "UTF-8",
  "Identity",
];

for (const contentEncoding of [undefined, ...PLAIN]) {
  Deno.test(`The content encoding ${Deno.inspect(contentEncoding)} changes nothing`, () => {
    checkContentEncoding({ contentEncoding }, "request");
  });
}

for (const what of ["request", "reply"] as const) {
  for (
    const [contentEncoding, shown] of [["gzip", "gzip"], ["utf-16", "utf-16"], ["gr\xc3\xb6\xc3\x9fe", "größe"], [
      "x".repeat(65),
      "x".repeat(64),
    ]] as const
  ) {
    Deno.test(`A ${what} with the content encoding "${shown}" is refused by name`, () => {
      const error = assertThrows(() => checkContentEncoding({ contentEncoding }, what), RpcError);
      const text = `Cannot decode ${what}: content encoding "${shown}" is not supported, send none`;
      assertEquals([error.code, error.message], ["invalid_argument", text]);
    });
  }
}
