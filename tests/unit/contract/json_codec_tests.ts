import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { MAX_BODY_BYTES } from "../../../lib/contract/codec.ts";
import { json, type Schema, type SchemaIssue, type SchemaResult } from "../../../lib/contract/json_codec.ts";
import { encoded, refusal } from "../../support/codecs.ts";

Deno.test("json() takes any JSON and refuses the rest", () => {
  for (const value of [null, true, 0, -1.5, "", "é", [], {}, { a: [{ b: null }] }]) {
    assertEquals(json().decode(json().encode(value)), value);
  }
  for (const source of ["", " ", "{", "{'a':1}", "undefined", "NaN", "1 2", "[1,]", "\ufeff1"]) {
    const error = refusal(() => json().decode(encoded(source)));
    assertEquals(error.code, "invalid_argument", `for ${JSON.stringify(source)}`);
    assert(error.message.includes(JSON.stringify(source)), error.message);
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);
  for (const value of [undefined, () => 1, Symbol("a"), 1n, cycle]) {
    assertEquals(refusal(() => json().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
});

Deno.test("json() refuses a schema that is none", () => {
  for (const schema of [null, {}, { "~standard": {} }, () => true, "z.string()"]) {
    assertThrows(() => json(schema as unknown as Schema), TypeError, "Standard Schema");
  }
});

/** A schema that finds what it is told to find. */
function schemaOf<Out>(result: SchemaResult<Out> | Promise<SchemaResult<Out>>): Schema<unknown, Out> {
  return { "~standard": { version: 1, vendor: "test", validate: () => result } };
}

const PATHS: readonly (readonly [SchemaIssue["path"], string])[] = [
  [undefined, ""],
  [[], ""],
  [["name"], "name"],
  [["a", "b"], "a.b"],
  [[0], "[0]"],
  [["items", 1, "count"], "items[1].count"],
  [[{ key: "items" }, { key: 2 }], "items[2]"],
  [[Symbol("mark"), "a"], "Symbol(mark).a"],
];

for (const [path, shown] of PATHS) {
  Deno.test(`json(schema) shows the path ${Deno.inspect(path)} as "${shown}"`, () => {
    const issue = path === undefined ? { message: "is wrong" } : { message: "is wrong", path };
    const error = refusal(() => json(schemaOf({ issues: [issue] })).decode(encoded("1")));
    assertEquals([error.code, error.details], ["invalid_argument", { issues: [{ path: shown, message: "is wrong" }] }]);
    assertEquals(error.message, `Cannot decode JSON: ${shown === "" ? "value" : shown}: is wrong`);
  });
}

Deno.test("json(schema) names the first 20 issues, and says how many more there are", () => {
  const of = (count: number) => {
    const issues = Array.from({ length: count }, (_, n) => ({ message: "is wrong", path: [n] }));
    return refusal(() => json(schemaOf({ issues })).decode(encoded("1")));
  };
  for (const [count, end] of [[20, /; \[19\]: is wrong$/], [100_000, /; \[19\]: is wrong; and 99980 more$/]] as const) {
    const { message, details } = of(count);
    assertEquals((details as { readonly issues: readonly unknown[] }).issues.length, 20);
    assertMatch(message, end);
  }
});

Deno.test("json(schema) shortens what an issue quotes of a value", () => {
  const long = "x".repeat(100_000);
  const paths = [[long], Array.from({ length: 100_000 }, () => "x")];
  for (const path of paths) {
    const { message, details } = refusal(() =>
      json(schemaOf({ issues: [{ message: long, path }] })).decode(encoded("1"))
    );
    assert(message.length < 500 && JSON.stringify(details).length < 500, `${message.length}`);
    assertMatch(message, /^Cannot decode JSON: x[x.]+…: x+…$/);
  }
});

Deno.test("json(schema) names every issue of a few", () => {
  const schema = schemaOf({ issues: [{ message: "is one", path: ["a"] }, { message: "is two" }] });
  assertEquals(
    refusal(() => json(schema).decode(encoded("1"))).message,
    "Cannot decode JSON: a: is one; value: is two",
  );
});

Deno.test("json(schema) gives what the schema makes of the value, though it be undefined", () => {
  assertEquals(json(schemaOf({ value: 7 })).decode(encoded("1")), 7);
  assertEquals(json(schemaOf({ value: undefined })).decode(encoded("1")), undefined);
});

Deno.test("json(schema) shows the schema what the body says", () => {
  const seen: unknown[] = [];
  const validate = (value: unknown): SchemaResult<unknown> => {
    seen.push(value);
    return { value };
  };
  json({ "~standard": { version: 1, vendor: "test", validate } }).decode(encoded('{"a":[1]}'));
  assertEquals(seen, [{ a: [1] }]);
});

Deno.test("json(schema) waits for an asynchronous schema, and refuses what it finds", async () => {
  assertEquals(await json(schemaOf(Promise.resolve({ value: 7 }))).decode(encoded("1")), 7);
  const decoding = json(schemaOf(Promise.resolve({ issues: [{ message: "is wrong" }] }))).decode(encoded("1"));
  const [{ status }] = await Promise.allSettled([decoding]);
  assertEquals(status, "rejected");
});

Deno.test("json() refuses what has no JSON form, and says what it is and why", () => {
  assertEquals(refusal(() => json().encode(undefined)).message, "Cannot encode JSON: undefined has no JSON form");
  assertEquals(refusal(() => json().encode(() => 1)).message, "Cannot encode JSON: function has no JSON form");
  const error = refusal(() => json().encode(1n));
  assertMatch(error.message, /^Cannot encode JSON: .*BigInt/);
  assert(error.cause instanceof TypeError);
});

Deno.test("json() sends application/json, up to the size that it is told", () => {
  assertEquals([json().contentType, json().maxBytes], ["application/json", MAX_BODY_BYTES]);
  assertEquals(json(undefined, { maxBytes: 1 }).maxBytes, 1);
  assertThrows(() => json(undefined, { maxBytes: 0 }), RangeError, "maxBytes");
});
