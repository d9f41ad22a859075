import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { checkHeaderNames, checkHeaders, type Headers, isSendable } from "../../../lib/contract/headers.ts";

function many(count: number, size = 0): Headers {
  return Object.fromEntries(
    Array.from({ length: count }, (_, n) => [`h${String(n).padStart(3, "0")}`, "x".repeat(size)]),
  );
}

Deno.test("checkHeaders() gives names and values in their order", () => {
  assertEquals(checkHeaders({}, "call"), []);
  assertEquals(checkHeaders({ b: "2", a: " ~" }, "call"), [["b", "2"], ["a", " ~"]]);
});

const REFUSED: readonly (readonly [string, unknown, string])[] = [
  ["", "", "lower-case"],
  ["Tenant", "", "lower-case"],
  ["a b", "", "lower-case"],
  ["ä", "", "lower-case"],
  ["a:", "", "lower-case"],
  ["x-a", "", "reserved"],
  ["rpc-a", "", "reserved"],
  ["a".repeat(256), "", "at most 255 bytes"],
  ["a", 1, "must be a string, got number"],
  ["a", "\x1f", "printable ASCII"],
  ["a", "\x7f", "printable ASCII"],
  ["a", "é", "printable ASCII"],
];

for (const [name, value, why] of REFUSED) {
  Deno.test(`checkHeaders() refuses ${JSON.stringify(name).slice(0, 20)}: ${JSON.stringify(value)}`, () => {
    assertThrows(() => checkHeaders({ [name]: value } as Headers, "call"), TypeError, why);
    assertFalse(isSendable(name, value));
  });
}

for (const name of ["a".repeat(255), "x", "rpc", "0", "traceparent", "!#$%&'*+.^_`|~-"]) {
  Deno.test(`checkHeaders() takes the name ${name.slice(0, 20)}`, () => {
    assertEquals(checkHeaders({ [name]: "1" }, "call"), [[name, "1"]]);
    assert(isSendable(name, "1"));
  });
}

Deno.test("checkHeaders() takes 64 headers and 8 KiB, and not more", () => {
  assertEquals(checkHeaders(many(64, 124), "call").length, 64);
  assertThrows(() => checkHeaders(many(65), "call"), RangeError, "65 entries; the limit is 64");
  assertThrows(() => checkHeaders({ ...many(63, 124), h063: "x".repeat(125) }, "call"), RangeError, "8193 bytes");
});

Deno.test("checkHeaders() quotes no more than 64 characters of a value or name", () => {
  const error = assertThrows(() => checkHeaders({ a: "é".repeat(100) }, "call"), TypeError);
  assert(error.message.includes(`"${"é".repeat(64)}"`), error.message);
  const long = assertThrows(() => checkHeaders({ ["a".repeat(300)]: "" }, "call"), TypeError);
  assert(long.message.includes(`"${"a".repeat(64)}…"`), long.message);
});

for (const headers of [null, 1, "a"]) {
  Deno.test(`checkHeaders() refuses ${headers} in place of headers`, () => {
    assertThrows(() => checkHeaders(headers as unknown as Headers, "call"), TypeError, "'headers' must be an object");
  });
}

Deno.test("checkHeaderNames() takes names that may be sent, and no others", () => {
  checkHeaderNames([], "propagate", "connect");
  checkHeaderNames(["tenant"], "propagate", "connect");
  for (const names of ["tenant", ["X-Id"], ["x-id"], [1], undefined]) {
    assertThrows(() => checkHeaderNames(names, "propagate", "connect"), TypeError, "Cannot connect: ");
  }
});
