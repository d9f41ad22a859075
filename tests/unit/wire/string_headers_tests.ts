import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import { readStringHeaders } from "../../../lib/wire/string_headers.ts";
import { entry, long, uint } from "../../support/wire.ts";

function texts(entries: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(entries.map(([name, value]) => entry(name, "S", long(value))));
}

Deno.test("readStringHeaders() gives the texts, frozen, and leaves RabbitMQ's own and other types out", () => {
  const table = Buffer.concat([texts([["a", "1"], ["x-death", "2"], ["b", ""]]), entry("n", "I", uint(4, 3))]);
  const headers = readStringHeaders(table);
  assertEquals({ ...headers }, { a: "1", b: "" });
  assert(Object.isFrozen(headers));
  assertEquals(Object.getPrototypeOf(headers), null);
});

Deno.test("readStringHeaders() gives none of a table that is missing, or cannot be read", () => {
  for (const table of [undefined, Buffer.of(9), Buffer.concat([texts([["a", "1"]]), Buffer.of(9)])]) {
    const headers = readStringHeaders(table);
    assertEquals({ ...headers }, {});
    assert(Object.isFrozen(headers));
  }
});

Deno.test("readStringHeaders() gives 64 headers and 8 KiB, and not more", () => {
  const names = (count: number): [string, string][] => Array.from({ length: count }, (_, n) => [`h${n}`, "1"]);
  assertEquals(Object.keys(readStringHeaders(texts(names(64)))).length, 64);
  assertEquals(Object.keys(readStringHeaders(texts(names(65)))).length, 64);
  assertEquals(Object.keys(readStringHeaders(texts([["a", "x".repeat(8_191)]]))), ["a"]);
  assertEquals(Object.keys(readStringHeaders(texts([["a", "x".repeat(8_192)]]))), []);
});

Deno.test("readStringHeaders() is not misled by names of Object's prototype", () => {
  const headers = readStringHeaders(texts([["__proto__", "1"], ["constructor", "2"]]));
  assertEquals(Object.entries(headers), [["__proto__", "1"], ["constructor", "2"]]);
});
