import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { MethodInfo, ServerFigures } from "../../../lib/contract/server_info.ts";
import { decodeServerInfo, encodeServerInfo, MAX_INFO_BYTES } from "../../../lib/wire/server_info.ts";
import { runs } from "../../support/runs.ts";

const METHOD: MethodInfo = {
  name: "find",
  requests: 5,
  codes: { ok: 3, internal: 2 },
  refused: 0,
  handled: 5,
  processingTime: 12.5,
  p50: 2,
  p99: 4.25,
  lastError: { code: "internal", id: "7", ago: 100 },
};

const FIGURES: ServerFigures = {
  id: "6f0c",
  name: "größe",
  version: "1.2.3",
  library: "@rabbitmq-rpc/rpc/0.1.0",
  state: "serving",
  consumers: 1,
  uptime: 1_000,
  prefetch: 10,
  inFlight: 1,
  oldest: 12,
  rejected: 2,
  methods: [METHOD],
  omitted: 0,
};

function decoded(value: unknown): ServerFigures | undefined {
  return decodeServerInfo(new TextEncoder().encode(JSON.stringify(value)));
}

Deno.test("An answer is decoded as it was encoded", () => {
  assertEquals(decodeServerInfo(encodeServerInfo(FIGURES)), FIGURES);
});

Deno.test("What there is not stays absent", () => {
  const bare = {
    ...FIGURES,
    version: undefined,
    oldest: undefined,
    methods: [{ ...METHOD, name: undefined, p50: undefined, p99: undefined, lastError: undefined, codes: {} }],
  };
  assertEquals(decodeServerInfo(encodeServerInfo(bare)), bare);
});

Deno.test("Methods are sorted by their requests, and those without room are counted", () => {
  const methods = Array.from({ length: 2_000 }, (_, n) => ({ ...METHOD, name: `method-${n}`, requests: n }));
  const body = encodeServerInfo({ ...FIGURES, methods, omitted: 3 });
  assert(body.byteLength <= MAX_INFO_BYTES, `${body.byteLength} bytes`);
  const read = decodeServerInfo(body);
  assert(read !== undefined && read.methods.length > 100);
  assertEquals(read.methods.slice(0, 2).map(({ name }) => name), ["method-1999", "method-1998"]);
  assertEquals(read.omitted, 3 + 2_000 - read.methods.length);
});

Deno.test("The longest texts fit into an answer full of methods", () => {
  const text = "\u0001".repeat(255);
  const lastError = { code: "resource_exhausted", id: text, ago: 1 } as const;
  const methods = Array.from({ length: 300 }, () => ({ ...METHOD, name: text, lastError }));
  const body = encodeServerInfo({ ...FIGURES, name: text, version: text, library: text, methods });
  assert(body.byteLength <= MAX_INFO_BYTES, `${body.byteLength} bytes`);
  assertEquals(decodeServerInfo(body)?.name, text);
});

Deno.test("Unknown fields are ignored, unknown codes are read as unknown or left out", () => {
  const newer = {
    ...FIGURES,
    more: { of: "it" },
    state: "starting",
    methods: [{ ...METHOD, codes: { ok: 1, new_code: 2 }, lastError: { code: "new_code", ago: 1 } }],
  };
  const read = decoded(newer);
  assertEquals([read?.state, read?.methods[0]?.lastError?.code, read?.methods[0]?.codes], ["serving", "unknown", {
    ok: 1,
  }]);
  assert(read !== undefined && !("more" in read));
});

Deno.test("Long texts are cut off", () => {
  assertEquals(decoded({ ...FIGURES, name: "x".repeat(300) })?.name, "x".repeat(255));
});

const WRONG: readonly (readonly [string, unknown])[] = [
  ["null", null],
  ["a list", []],
  ["a text", "x"],
  ["no methods", { ...FIGURES, methods: undefined }],
  ["a method that is none", { ...FIGURES, methods: [1] }],
  ["a negative count", { ...FIGURES, inFlight: -1 }],
  ["a count that is a text", { ...FIGURES, inFlight: "1" }],
  ["a count beyond what a number holds", { ...FIGURES, uptime: 1e300 }],
  ["a name that is no text", { ...FIGURES, name: 1 }],
  ["no id", { ...FIGURES, id: undefined }],
  ["codes that are no object", { ...FIGURES, methods: [{ ...METHOD, codes: [1] }] }],
  ["a code that is no count", { ...FIGURES, methods: [{ ...METHOD, codes: { ok: "1" } }] }],
  ["a last error that is none", { ...FIGURES, methods: [{ ...METHOD, lastError: 1 }] }],
];

for (const [what, value] of WRONG) {
  Deno.test(`An answer with ${what} is none`, () => assertEquals(decoded(value), undefined));
}

Deno.test("A body that is no JSON, not UTF-8 or too large is no answer", () => {
  assertEquals(decodeServerInfo(new Uint8Array()), undefined);
  assertEquals(decodeServerInfo(new Uint8Array([0xff])), undefined);
  const long = new TextEncoder().encode(JSON.stringify(FIGURES).padEnd(MAX_INFO_BYTES + 1));
  assertEquals(decodeServerInfo(long), undefined);
  assertEquals(decodeServerInfo(long.subarray(0, MAX_INFO_BYTES)), FIGURES);
});

Deno.test("A name like that of an inherited property is none", () => {
  const text = JSON.stringify(FIGURES).replace("{", '{"__proto__":{"version":"9"},');
  const read = decodeServerInfo(new TextEncoder().encode(text.replace('"version":"1.2.3",', "")));
  assertEquals([read?.version, read?.id], [undefined, "6f0c"]);
});

/** Any JSON, in the places of an answer. */
function spoilt(): fc.Arbitrary<unknown> {
  const keys = Object.keys(FIGURES) as (keyof ServerFigures)[];
  return fc.tuple(fc.constantFrom(...keys), fc.jsonValue(), fc.boolean()).map(([key, value, within]) => {
    return within ? { ...FIGURES, methods: [{ ...METHOD, [key]: value, codes: value }] } : { ...FIGURES, [key]: value };
  });
}

Deno.test("Any JSON is read as an answer of the right types, or not at all", () => {
  fc.assert(
    fc.property(fc.oneof(spoilt(), fc.jsonValue()), (value) => {
      const read = decoded(value);
      if (read === undefined) return;
      assert(typeof read.id === "string" && read.id.length <= 255);
      for (const number of [read.uptime, read.inFlight, read.prefetch, read.rejected, read.omitted]) {
        assert(number >= 0 && number <= Number.MAX_SAFE_INTEGER);
      }
      for (const { codes, p50 = 0, requests } of read.methods) {
        for (const number of [...Object.values(codes), p50, requests]) assert(number >= 0);
      }
      assertEquals(decodeServerInfo(encodeServerInfo(read))?.id, read.id);
    }),
    runs(5_000),
  );
});

Deno.test("Any bytes are read as an answer, or not at all", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
      decodeServerInfo(body);
    }),
    runs(2_000),
  );
});
