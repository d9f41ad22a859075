import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { integer } from "../../../lib/contract/decimal_codecs.ts";
import { procedure } from "../../../lib/contract/procedure.ts";
import { method, service } from "../../../lib/contract/service.ts";
import { servedProcedure, servedService, unimplemented } from "../../../lib/server/served.ts";

const codecs = { request: integer(), reply: integer() };
const maths = service({ queue: "maths", methods: { double: method(codecs), half: method(codecs) }, default: "half" });
const HANDLERS = { double: (n: number) => 2 * n, half: (n: number) => n / 2 };

Deno.test("servedProcedure() has the handler under no name", () => {
  const handler = (): number => 1;
  const one = procedure({ queue: "one", ...codecs });
  const served = servedProcedure(one, handler);
  assertEquals(Array.from(served.procedures), [[undefined, { procedure: one, handler }]]);
  assertEquals([served.queue.queue, served.default, served.hasMethods], ["one", undefined, false]);
});

for (const handler of [undefined, null, {}, "double"]) {
  Deno.test(`servedProcedure() refuses the handler ${Deno.inspect(handler)}`, () => {
    assertThrows(
      () => servedProcedure(procedure({ queue: "one", ...codecs }), handler),
      TypeError,
      "'handler' must be a function",
    );
  });
}

Deno.test("servedService() has each handler under the name of its method", () => {
  const served = servedService(maths, HANDLERS);
  assertEquals(Array.from(served.procedures.keys()), ["double", "half"]);
  const { procedure, handler } = served.procedures.get("double") ?? {};
  assertEquals([procedure, handler], [maths.methods.double, HANDLERS.double]);
  assertEquals([served.queue.queue, served.default, served.hasMethods], ["maths", "half", true]);
});

const REFUSED: readonly (readonly [unknown, string])[] = [
  [undefined, `Cannot serve "maths": 'handlers' must be an object with a function for each method`],
  [null, "'handlers' must be an object"],
  [HANDLERS.half, "'handlers' must be an object"],
  [{ half: HANDLERS.half }, 'the method "double" needs a handler, which must be a function'],
  [{ ...HANDLERS, double: 2 }, 'the method "double" needs a handler'],
  [{ ...HANDLERS, third: () => 3 }, 'it has no method "third", only double, half'],
  // An inherited function is no handler.
  [Object.create(HANDLERS), 'the method "double" needs a handler'],
];

for (const [handlers, why] of REFUSED) {
  Deno.test(`servedService() refuses ${Deno.inspect(handlers)}: ${why}`, () => {
    assertThrows(() => servedService(maths, handlers), TypeError, why);
  });
}

Deno.test("unimplemented() names the methods that there are, and a bounded part of the one that there is not", () => {
  const served = servedService(maths, HANDLERS);
  const { code, outcome, message } = unimplemented(served, "third");
  assertEquals([code, outcome], ["unimplemented", "not_executed"]);
  assertEquals(message, 'Cannot call "maths": there is no method "third"; it has double, half');
  const long = unimplemented(served, `\n${"x".repeat(1_000)}`).message;
  assertStringIncludes(long, `"\\n${"x".repeat(63)}"`);
  assertEquals(
    unimplemented(served, undefined).message,
    'Cannot call "maths": the request names no method, and there is no default; it has double, half',
  );
});
