import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { readHeaders } from "../../../lib/wire/field_table.ts";
import { readStringHeaders } from "../../../lib/wire/string_headers.ts";
import { runs } from "../../support/runs.ts";
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

Deno.test("readStringHeaders() gives what a reading of the whole table gives, of several with one name the first", () => {
  const name = fc.constantFrom("a", "b", "tenant", "x-a", "rpc-a", "\u00e9", "__proto__");
  const one = fc.oneof(
    fc.tuple(name, fc.string({ unit: "grapheme", maxLength: 12 })).map(([name, value]) =>
      entry(name, "S", long(value))
    ),
    name.map((name) => entry(name, "I", uint(4, 3))),
    name.map((name) => entry(name, "F", long(""))),
  );
  fc.assert(
    fc.property(fc.array(one, { maxLength: 30 }), fc.nat(3), (entries, cut) => {
      const table = Buffer.concat(entries);
      const bytes = table.subarray(0, Math.max(0, table.length - cut));
      const whole = Array.from(readHeaders(bytes) ?? []).filter(([name, value]) =>
        typeof value === "string" && !name.startsWith("x-") && !name.startsWith("rpc-")
      );
      assertEquals(Object.entries(readStringHeaders(bytes)), whole);
    }),
    runs(5_000),
  );
});
