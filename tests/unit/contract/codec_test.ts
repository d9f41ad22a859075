import { assert, assertEquals, assertMatch, assertNotStrictEquals, assertThrows } from "@std/assert";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { bigint, integer } from "../../../lib/contract/decimal_codecs.ts";
import { bytes, text } from "../../../lib/contract/plain_codecs.ts";
import { type Codec, decodeBody, encodeBody, MAX_BODY_BYTES } from "../../../lib/contract/codec.ts";
import { json, type Schema, type SchemaIssue, type SchemaResult } from "../../../lib/contract/json_codec.ts";
import { RpcError } from "../../../lib/contract/errors.ts";

function encoded(source: string): Uint8Array {
  return new TextEncoder().encode(source);
}

/** A body as text; its memory may be Node's or its own. */
function read(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

/** The error with which a codec refuses; what a codec refuses was never executed. */
function refusal(use: () => unknown): RpcError {
  const error: unknown = assertThrows(use);
  assert(error instanceof RpcError, Deno.inspect(error));
  assertEquals(error.outcome, "not_executed");
  return error;
}

const NO_DECIMALS = [
  "",
  " ",
  "+5",
  "3.0",
  "3,0",
  "1e3",
  "5 5",
  "\u00a05",
  "5\u2028",
  "0x1e",
  "0b1",
  "007",
  "-0",
  "--5",
  "-",
  "1_000",
  "1n",
  "NaN",
  "Infinity",
  "null",
  "٣",
  "５",
  "−5",
  "\ufeff5",
  "5\u0000",
  '"5"',
];

for (const [name, codec] of [["integer()", integer()], ["bigint()", bigint()]] as const) {
  Deno.test(`${name} decodes nothing but plain decimal integers`, () => {
    for (const source of NO_DECIMALS) {
      const error = refusal(() => codec.decode(encoded(source)));
      assertEquals(error.code, "invalid_argument", `for ${JSON.stringify(source)}`);
      assert(error.message.includes(JSON.stringify(source)), error.message);
    }
    for (const source of [" 5", "5 ", "5\n", "\r\n5", "\t 5 \r\n"]) {
      assertEquals(String(codec.decode(encoded(source))), "5", JSON.stringify(source));
    }
    for (const source of ["0", "7", "-7", "30", "9007199254740991", "-9007199254740991"]) {
      assertEquals(String(codec.decode(encoded(source))), source);
    }
  });

  Deno.test(`${name} refuses what is not UTF-8`, () => {
    assertEquals(refusal(() => codec.decode(Uint8Array.from([0x33, 0xff]))).code, "invalid_argument");
  });

  Deno.test(`${name} quotes no more than the beginning of a long body`, () => {
    const { message } = refusal(() => codec.decode(encoded("x".repeat(30))));
    assert(message.includes("x".repeat(30)), message);
    const long = refusal(() => codec.decode(encoded("x".repeat(100_000))));
    assert(long.message.length < 400, `${long.message.length}`);
  });
}

Deno.test("integer() takes both of its bounds and names the value and the bound beyond them", () => {
  const codec = integer({ min: -5, max: 7 });
  for (const value of [-5, 0, 7]) assertEquals(codec.decode(codec.encode(value)), value);
  for (const value of [-6, 8]) {
    for (const use of [() => codec.encode(value), () => codec.decode(encoded(String(value)))]) {
      const error = refusal(use);
      assertEquals([error.code, error.details], ["out_of_range", { min: -5, max: 7 }]);
      assertMatch(error.message, new RegExp(`integer ${value}: must be between -5 and 7`));
    }
  }
});

Deno.test("integer() refuses digits that no number holds exactly", () => {
  for (const source of ["9007199254740992", "-9007199254740992", "9".repeat(32)]) {
    assertEquals(refusal(() => integer().decode(encoded(source))).code, "out_of_range");
  }
});

Deno.test("integer() encodes nothing but integers", () => {
  assertEquals(read(integer().encode(30)), "30");
  assertEquals(read(integer().encode(-0)), "0");
  for (const value of [1.5, NaN, Infinity, -Infinity, "30", null, undefined, 30n] as number[]) {
    assertEquals(refusal(() => integer().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
  assertEquals(refusal(() => integer().encode(2 ** 53)).code, "out_of_range");
});

Deno.test("integer() refuses bounds that are no safe integers, or the wrong way round", () => {
  for (const bounds of [{ min: 1.5 }, { max: 2 ** 53 }, { min: NaN }, { min: 2, max: 1 }]) {
    assertThrows(() => integer(bounds), RangeError, "min");
  }
  assertEquals(read(integer({ min: 1, max: 1 }).encode(1)), "1");
});

Deno.test("bigint() takes both of its bounds and names the value and the bound beyond them", () => {
  const codec = bigint({ min: -5n, max: 10n ** 30n });
  for (const value of [-5n, 0n, 10n ** 30n]) assertEquals(codec.decode(codec.encode(value)), value);
  for (const value of [-6n, 10n ** 30n + 1n]) {
    for (const use of [() => codec.encode(value), () => codec.decode(encoded(String(value)))]) {
      const error = refusal(use);
      assertEquals([error.code, error.details], ["out_of_range", { min: "-5", max: `${10n ** 30n}` }]);
      assert(error.message.includes(String(value)), error.message);
      // Details are JSON, and JSON has no bigint.
      JSON.stringify(error.details);
    }
  }
});

Deno.test("bigint() with one bound names that one", () => {
  assertMatch(refusal(() => bigint({ min: 0n }).encode(-1n)).message, /must be at least 0$/);
  assertMatch(refusal(() => bigint({ max: 0n }).encode(1n)).message, /must be at most 0$/);
});

Deno.test("bigint() encodes nothing but bigints", () => {
  for (const value of [30, "30", null, undefined] as unknown as bigint[]) {
    assertEquals(refusal(() => bigint().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
  assertThrows(() => bigint({ min: 2n, max: 1n }), RangeError, "min");
});

Deno.test("text() takes any text and refuses what is not UTF-8", () => {
  for (const value of ["", "30", "é€😀", "\ufeffmark", "a\u0000b", "\r\n"]) {
    assertEquals(text().decode(text().encode(value)), value);
  }
  for (const body of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    assertEquals(refusal(() => text().decode(Uint8Array.from(body))).code, "invalid_argument");
  }
  assertEquals(refusal(() => text().encode(30 as unknown as string)).code, "invalid_argument");
});

Deno.test("bytes() gives a copy that belongs to the caller", () => {
  const body = Uint8Array.from([1, 2, 3]);
  const value = bytes().decode(body);
  assertEquals(value, body);
  assert(value instanceof Uint8Array);
  assertNotStrictEquals(value.buffer, body.buffer);
  assertEquals(refusal(() => bytes().encode("abc" as unknown as Uint8Array)).code, "invalid_argument");
});

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

Deno.test("Codecs refuse a size limit that is no integer from 1 to MAX_BODY_BYTES", () => {
  for (const maxBytes of [0, -1, 1.5, NaN, Infinity, MAX_BODY_BYTES + 1, 16 * 1024 * 1024]) {
    for (const make of [bytes, text, bigint, (options: { maxBytes: number }) => json(undefined, options)]) {
      assertThrows(() => make({ maxBytes }), RangeError, "maxBytes");
    }
  }
  assertEquals(text({ maxBytes: MAX_BODY_BYTES }).maxBytes, MAX_BODY_BYTES);
});

Deno.test("Codecs name the type of their content", () => {
  const codecs: readonly Codec<never, unknown>[] = [bytes(), text(), integer(), bigint(), json()];
  assertEquals(codecs.map(({ contentType }) => contentType), [
    "application/octet-stream",
    "text/plain",
    "text/plain",
    "text/plain",
    "application/json",
  ]);
});

/** Compiles only if every Standard Schema is a `Schema`. */
function toSchema<In, Out>(schema: StandardSchemaV1<In, Out>): Schema<In, Out> {
  return schema;
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

Deno.test("json(schema) has the types of its schema, in and out", () => {
  const zod = json(z.string().transform((day) => new Date(day)));
  const valibot = json(v.pipe(v.string(), v.transform((day) => new Date(day))));
  const arktype = json(type("string").pipe((day) => new Date(day)));
  const standard = json(toSchema(z.string().transform(Number)));
  // Each of these compiles only if it is true.
  const checks: readonly true[] = [
    true satisfies Same<typeof zod, Codec<string, Date>>,
    true satisfies Same<typeof valibot, Codec<string, Date>>,
    true satisfies Same<typeof arktype, Codec<string, Date>>,
    true satisfies Same<typeof standard, Codec<string, number>>,
  ];
  assertEquals(checks.length, 4);
  for (const codec of [zod, valibot, arktype]) {
    assertEquals(codec.decode(codec.encode("2024-02-29")), new Date("2024-02-29"));
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

Deno.test("json(schema) names every issue", () => {
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

Deno.test("Codecs say what they were given where they take another type", () => {
  const wrong = 5 as unknown;
  const said = [
    refusal(() => bytes().encode(wrong as Uint8Array)).message,
    refusal(() => text().encode(wrong as string)).message,
    refusal(() => bigint().encode(wrong as bigint)).message,
    refusal(() => integer().encode(1.5)).message,
  ];
  assertEquals(said, [
    "Cannot encode bytes: must be a Uint8Array, current value is number",
    "Cannot encode text: must be a string, current value is number",
    "Cannot encode integer: must be a bigint, current value is 5",
    "Cannot encode integer: must be an integer, current value is 1.5",
  ]);
});

Deno.test("Codecs quote 64 characters of a body, and show that there are more", () => {
  const message = (length: number): string => refusal(() => integer().decode(encoded("x".repeat(length)))).message;
  assert(message(64).includes(`"${"x".repeat(64)}"`), message(64));
  assert(message(65).includes(`"${"x".repeat(64)}…"`), message(65));
});

Deno.test("text() decodes ASCII and UTF-8 of every length around that of the short way", () => {
  for (const length of [0, 1, 31, 32, 33, 64]) {
    for (
      const value of ["a".repeat(length), "\u007f".repeat(length), "\u0080".repeat(length), `${"a".repeat(length)}é`]
    ) {
      assertEquals(text().decode(encoded(value)), value);
    }
  }
});

Deno.test("integer() has a size limit for its longest bound, and for 32 digits at least", () => {
  assertEquals(integer().maxBytes, 32);
  assertEquals(integer({ min: 0, max: 9 }).maxBytes, 32);
});

Deno.test("bigint() has a size limit of 1 MiB, and the others of all that a message may have", () => {
  assertEquals(bigint().maxBytes, 1_048_576);
  assertEquals([bytes(), text(), json()].map(({ maxBytes }) => maxBytes), Array(3).fill(MAX_BODY_BYTES));
  assertEquals(MAX_BODY_BYTES, 16_777_215);
  assertEquals([bytes, text, bigint].map((make) => make({ maxBytes: 1 }).maxBytes), [1, 1, 1]);
});

Deno.test("bytes() encodes a copy, which a later change of the value does not reach", () => {
  const value = Uint8Array.from([1, 2, 3]);
  const body = bytes().encode(value);
  value.fill(0);
  assertEquals(body, Uint8Array.from([1, 2, 3]));
});

Deno.test("bigint() takes any integer where it has no bounds", () => {
  for (const value of [0n, -(10n ** 50n), 10n ** 50n]) assertEquals(bigint().decode(bigint().encode(value)), value);
  assertEquals(bigint({ min: 0n }).decode(encoded("0")), 0n);
  assertEquals(bigint({ max: 0n }).decode(encoded("0")), 0n);
  assertEquals(bigint({ min: 1n, max: 1n }).decode(encoded("1")), 1n);
});

Deno.test("Codecs name one bound as details, where there is one", () => {
  assertEquals(refusal(() => bigint({ min: 0n }).encode(-1n)).details, { min: "0", max: undefined });
  assertEquals(refusal(() => bigint({ max: 0n }).encode(1n)).details, { min: undefined, max: "0" });
});

for (const what of ["request", "reply"] as const) {
  Deno.test(`encodeBody() takes a ${what} of the limit, and refuses one byte more`, () => {
    const codec = text({ maxBytes: 4 });
    assertEquals(read(encodeBody(codec, "four", what)), "four");
    const { code, message } = refusal(() => encodeBody(codec, "fives", what));
    assertEquals(code, "out_of_range");
    assertEquals(message, `Cannot encode ${what}: the body has 5 bytes, at most 4 are allowed`);
  });

  Deno.test(`decodeBody() takes a ${what} of the limit, and refuses one byte more before it is decoded`, () => {
    const codec: Codec<string> = { ...text({ maxBytes: 4 }), decode: (body) => `decoded ${body.byteLength}` };
    assertEquals(decodeBody(codec, encoded("four"), what), "decoded 4");
    const { code, message } = refusal(() => decodeBody(codec, encoded("fives"), what));
    assertEquals(code, "out_of_range");
    assertEquals(message, `Cannot decode ${what}: the body has 5 bytes, at most 4 are allowed`);
  });
}
