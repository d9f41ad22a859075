import { Buffer } from "node:buffer";
import { assertEquals, assertLess } from "@std/assert";
import {
  findHeader,
  hasHeader,
  type HeaderValue,
  MAX_TABLE_ENTRIES,
  MAX_TABLE_SIZE,
  readHeaders,
} from "../../../lib/wire/field_table.ts";
import { entry, long, uint } from "../../support/wire.ts";

function float(size: 4 | 8, value: number): Buffer {
  const bytes = Buffer.alloc(size);
  if (size === 4) bytes.writeFloatBE(value);
  else bytes.writeDoubleBE(value);
  return bytes;
}

const VALUES: readonly (readonly [tag: string, value: Buffer, read: HeaderValue | undefined])[] = [
  ["S", long(""), ""],
  ["S", long("gr\xc3\xb6\xc3\x9fe"), "größe"],
  ["S", long("\xff"), "\ufffd"],
  ["t", uint(1, 0), false],
  ["t", uint(1, 2), true],
  ["b", uint(1, 0xff), -1],
  ["b", uint(1, 0x7f), 127],
  ["B", uint(1, 0xff), 255],
  ["s", uint(2, 0x8000), -32_768],
  ["u", uint(2, 0xffff), 65_535],
  ["I", uint(4, 0xffff_ffff), -1],
  ["I", uint(4, 0x7fff_ffff), 0x7fff_ffff],
  ["i", uint(4, 0xffff_ffff), 0xffff_ffff],
  ["l", uint(8, -1n), -1],
  ["l", uint(8, 2n ** 53n - 1n), Number.MAX_SAFE_INTEGER],
  ["l", uint(8, 2n ** 53n), 2n ** 53n],
  ["l", uint(8, -(2n ** 53n)), -(2n ** 53n)],
  ["l", uint(8, 2n ** 53n + 1n), 2n ** 53n + 1n],
  ["L", uint(8, 5n), 5],
  ["L", uint(8, 1n - 2n ** 53n), Number.MIN_SAFE_INTEGER],
  ["L", uint(8, 2n ** 63n), -(2n ** 63n)],
  ["T", uint(8, 1_700_000_000n), 1_700_000_000],
  ["T", uint(8, -1n), 2n ** 64n - 1n],
  ["f", float(4, 1.5), 1.5],
  ["d", float(8, Math.PI), Math.PI],
  ["d", float(8, -Infinity), -Infinity],
  ["D", Buffer.concat([uint(1, 2), uint(4, 314)]), 3.14],
  ["D", Buffer.concat([uint(1, 0), uint(4, 0xffff_ffff)]), 0xffff_ffff],
  ["D", Buffer.concat([uint(1, 255), uint(4, 1)]), 1e-255],
  ["V", Buffer.alloc(0), null],
  ["F", long(entry("inner", "V")), undefined],
  ["A", long("V"), undefined],
  ["x", long("bytes"), undefined],
];

Deno.test("a value of every type is read, or skipped", () => {
  for (const [tag, value, read] of VALUES) {
    const table = Buffer.concat([entry("before", tag, value), entry("k", tag, value), entry("after", "t", uint(1, 1))]);
    assertEquals(findHeader(table, "k"), read);
    assertEquals(hasHeader(table, "k"), true);
    assertEquals(findHeader(table, "after"), true);
    assertEquals(readHeaders(table), new Map([["before", read], ["k", read], ["after", true]]));
  }
});

Deno.test("a value that is cut, anywhere, makes the table malformed, and what comes before it is still found", () => {
  for (const [tag, value] of VALUES) {
    const first = entry("first", "t", uint(1, 1));
    const table = Buffer.concat([first, entry("key", tag, value)]);
    for (let length = first.length + 1; length < table.length; length++) {
      const part = table.subarray(0, length);
      assertEquals(readHeaders(part), undefined);
      assertEquals(findHeader(part, "key"), undefined);
      assertEquals(hasHeader(part, "key"), false);
      assertEquals(findHeader(part, "first"), true);
    }
  }
});

Deno.test("tags that RabbitMQ does not know make a table malformed", () => {
  const known = new Set(VALUES.map(([tag]) => tag));
  for (let code = 0; code < 256; code++) {
    const tag = String.fromCharCode(code);
    if (known.has(tag)) continue;
    const table = Buffer.concat([entry("a", tag, Buffer.alloc(8)), entry("b", "V")]);
    assertEquals(readHeaders(table), undefined);
    assertEquals(findHeader(table, "a"), undefined);
    assertEquals(findHeader(table, "b"), undefined);
    assertEquals(hasHeader(table, "b"), false);
  }
});

Deno.test("a length beyond the table is malformed, up to the largest", () => {
  for (const tag of ["S", "F", "A", "x"]) {
    for (const length of [1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      const table = Buffer.concat([entry("k", tag, uint(4, length)), entry("", "V")]).subarray(0, 7);
      assertEquals(readHeaders(table), undefined);
      assertEquals(hasHeader(table, "k"), false);
    }
  }
});

Deno.test("names that mean something in JavaScript are harmless", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const table = Buffer.concat(names.map((name) => entry(name, "S", long(name))));
  assertEquals(readHeaders(table), new Map(names.map((name) => [name, name])));
  for (const name of names) {
    assertEquals(findHeader(table, name), name);
    assertEquals(findHeader(Buffer.alloc(0), name), undefined);
  }
});

Deno.test("of several entries with one name the first counts, whatever its type", () => {
  const one = Buffer.concat([entry("k", "t", uint(1, 1)), entry("k", "t", uint(1, 0))]);
  assertEquals([findHeader(one, "k"), readHeaders(one)?.get("k")], [true, true]);
  const nested = Buffer.concat([entry("k", "A", long("")), entry("k", "t", uint(1, 0))]);
  assertEquals([findHeader(nested, "k"), readHeaders(nested)?.get("k")], [undefined, undefined]);
});

Deno.test("a name is found by its text, whatever its encoding", () => {
  const table = Buffer.concat([entry("gr\xc3\xb6\xc3\x9fe", "V"), entry("", "t", uint(1, 1)), entry("\xff", "V")]);
  assertEquals(findHeader(table, "größe"), null);
  assertEquals(findHeader(table, ""), true);
  assertEquals(Array.from(readHeaders(table) ?? []), [["größe", null], ["", true], ["\ufffd", null]]);
});

Deno.test("no table, and an empty one, have no headers", () => {
  for (const table of [undefined, Buffer.alloc(0), new Uint8Array(0)]) {
    assertEquals(readHeaders(table), new Map());
    assertEquals(findHeader(table, "k"), undefined);
    assertEquals(hasHeader(table, "k"), false);
  }
});

Deno.test("any view of memory is read", () => {
  const table = Buffer.concat([Buffer.from("xx"), entry("k", "S", long("v")), Buffer.from("yy")]);
  const view = new Uint8Array(table).subarray(2, table.length - 2);
  assertEquals(findHeader(view, "k"), "v");
});

Deno.test("5,000 levels of nesting cost nothing", () => {
  // Head by head: each length counts all that is within.
  const heads = Array.from({ length: 5_000 }, (_, n) => entry("k", "F", uint(4, 7 * (4_999 - n))));
  const nested = Buffer.concat(heads);
  const table = Buffer.concat([nested, entry("x-death", "A", long(nested)), entry("last", "I", uint(4, 1))]);
  const before = performance.now();
  for (let n = 0; n < 1_000; n++) {
    assertEquals(findHeader(table, "last"), 1);
    assertEquals(hasHeader(table, "x-death"), true);
  }
  assertLess(performance.now() - before, 500);
  assertEquals(
    readHeaders(table),
    new Map<string, undefined | number>([["k", undefined], ["x-death", undefined], ["last", 1]]),
  );
});

Deno.test("tables are bounded in size and in entries", () => {
  const of = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, (_, n) => entry(`k${n}`, "V")));
  assertEquals(readHeaders(of(MAX_TABLE_ENTRIES))?.size, MAX_TABLE_ENTRIES);
  assertEquals(readHeaders(of(MAX_TABLE_ENTRIES + 1)), undefined);
  assertEquals(findHeader(of(MAX_TABLE_ENTRIES), `k${MAX_TABLE_ENTRIES - 1}`), null);
  assertEquals(findHeader(of(MAX_TABLE_ENTRIES + 1), `k${MAX_TABLE_ENTRIES}`), undefined);
  const fits = entry("k", "x", long(Buffer.alloc(MAX_TABLE_SIZE - 7)));
  assertEquals(hasHeader(fits, "k"), true);
  const large = entry("k", "x", long(Buffer.alloc(MAX_TABLE_SIZE - 6)));
  assertEquals([hasHeader(large, "k"), findHeader(large, "k"), readHeaders(large)], [false, undefined, undefined]);
});
