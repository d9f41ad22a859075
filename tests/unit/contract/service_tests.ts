import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { integer } from "../../../lib/contract/decimal_codecs.ts";
import { json } from "../../../lib/contract/json_codec.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { method, service, type ServiceOptions } from "../../../lib/contract/service.ts";

const double = method({ request: integer(), reply: integer(), idempotent: true });

function define(options: Readonly<Record<string, unknown>>): unknown {
  return service(
    { queue: "q", methods: { double }, ...options } as unknown as ServiceOptions<{ double: typeof double }>,
  );
}

Deno.test("service() makes a procedure of each method, on its queue and under its name", () => {
  const maths = service({ queue: "q", queueType: "classic", methods: { double }, default: "double" });
  assertEquals(maths.default, "double");
  const { queue, queueType, method, idempotent, maxDeliveries, request } = maths.methods.double;
  assertEquals([queue, queueType, method, idempotent, maxDeliveries], ["q", "classic", "double", true, 10]);
  assertStrictEquals(request, double.request);
});

Deno.test("service() without a default has none", () => {
  assertEquals(service({ queue: "q", methods: { double } }).default, undefined);
});

Deno.test("method() keeps its errors", () => {
  const errors = { not_found: json() };
  assertStrictEquals(method({ request: text(), reply: text(), errors }).errors, errors);
  assertEquals(double.errors, {});
});

for (const name of ["a", "A-Z_0.9/x", "x".repeat(64)]) {
  Deno.test(`service() takes a method named ${name.slice(0, 10)}`, () => {
    assertEquals(Object.keys(service({ queue: "q", methods: { [name]: double } }).methods), [name]);
  });
}

const REFUSED: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ queue: "" }, "Cannot define service: 'queue'"],
  [{ methods: undefined }, "'methods' must be an object"],
  [{ methods: null }, "'methods' must be an object"],
  [{ methods: {} }, "'methods' is empty"],
  [{ methods: { "a b": double } }, '"a b"'],
  [{ methods: { ["x".repeat(65)]: double } }, "1 to 64"],
  [{ methods: { then: double } }, '"then"'],
  [{ methods: { double: {} } }, "Cannot define method \"double\": 'request'"],
  [{ default: "half" }, "'default' must be one of double, got half"],
  [{ default: "toString" }, "'default' must be one of double"],
];

for (const [options, why] of REFUSED) {
  Deno.test(`service() refuses ${Deno.inspect(options).slice(0, 50)}: ${why}`, () => {
    assertThrows(() => define(options), Error, why);
  });
}
