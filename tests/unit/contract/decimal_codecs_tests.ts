import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { bigint, integer } from "../../../lib/contract/decimal_codecs.ts";
import { encoded, read, refusal } from "../../support/codecs.ts";

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

Deno.test("bigint() refuses what has more digits than its bounds without parsing it", () => {
  const long = "9".repeat(1_000_000);
  const cases = [
    [bigint({ min: 0n, max: 99n }), long],
    [bigint({ max: 99n }), long],
    [bigint({ min: -5n }), `-${long}`],
    // The bound of the other side is the longer one.
    [bigint({ min: -1_000n, max: 5n }), long],
  ] as const;
  const { BigInt } = globalThis;
  using _restored = { [Symbol.dispose]: () => void (globalThis.BigInt = BigInt) };
  globalThis.BigInt = (() => {
    throw new Error("It is parsed");
  }) as unknown as typeof BigInt;
  for (const [codec, source] of cases) {
    const { code, message } = refusal(() => codec.decode(encoded(source)));
    assertEquals([code, message.includes(`"${source.slice(0, 64)}…"`)], ["out_of_range", true]);
  }
});

Deno.test("bigint() bounds one sign by its own bound, whatever the other one is", () => {
  for (
    const [codec, sources] of [
      [bigint({ max: 5n }), ["-123456", "5", "-5"]],
      [bigint({ min: -5n }), ["123456", "-5", "5"]],
      [bigint({ min: 100n, max: 2_000n }), ["100", "2000"]],
      [bigint({ min: -2_000n, max: -100n }), ["-2000", "-100"]],
      [bigint({ min: -5n, max: 10n ** 30n }), [`${10n ** 30n}`, "0"]],
    ] as const
  ) {
    for (const source of sources) assertEquals(String(codec.decode(encoded(source))), source);
  }
  for (
    const [codec, source] of [
      [bigint({ min: -2_000n, max: -100n }), "1234567"],
      [bigint({ min: 100n, max: 2_000n }), "-1234567"],
      [bigint({ min: 100n, max: 2_000n }), "2001"],
    ] as const
  ) {
    assertEquals(refusal(() => codec.decode(encoded(source))).code, "out_of_range");
  }
});

Deno.test("bigint() encodes nothing but bigints", () => {
  for (const value of [30, "30", null, undefined] as unknown as bigint[]) {
    assertEquals(refusal(() => bigint().encode(value)).code, "invalid_argument", Deno.inspect(value));
  }
  assertThrows(() => bigint({ min: 2n, max: 1n }), RangeError, "min");
});

Deno.test("integer() has a size limit for its longest bound, and for 32 digits at least", () => {
  assertEquals(integer().maxBytes, 32);
  assertEquals(integer({ min: 0, max: 9 }).maxBytes, 32);
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

Deno.test("integer() and bigint() say what they were given", () => {
  const said = [
    refusal(() => bigint().encode(5 as unknown as bigint)).message,
    refusal(() => integer().encode(1.5)).message,
  ];
  assertEquals(said, [
    "Cannot encode integer: must be a bigint, current value is 5",
    "Cannot encode integer: must be an integer, current value is 1.5",
  ]);
});

Deno.test("bigint() has a size limit of 1 MiB, unless it is told another one", () => {
  assertEquals([bigint().maxBytes, bigint({ maxBytes: 1 }).maxBytes], [1_048_576, 1]);
  assertThrows(() => bigint({ maxBytes: 0 }), RangeError, "maxBytes");
});

Deno.test("integer() and bigint() send plain text", () => {
  assertEquals([integer().contentType, bigint().contentType], ["text/plain", "text/plain"]);
});
