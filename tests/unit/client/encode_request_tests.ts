import { assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { encodeRequest } from "../../../lib/client/encode_request.ts";
import type { Codec } from "../../../lib/contract/codec.ts";
import { integer } from "../../../lib/contract/decimal_codecs.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { type AnyProcedure, procedure } from "../../../lib/contract/procedure.ts";

function calling(request: Codec<never, unknown>): AnyProcedure {
  return { ...procedure({ queue: "q", request: text(), reply: text() }), request };
}

function refusal(procedure: AnyProcedure, value: unknown): RpcError {
  try {
    encodeRequest(procedure, value);
  } catch (error) {
    if (error instanceof RpcError) return error;
  }
  throw new Error("Expected an RpcError");
}

Deno.test("encodeRequest() gives the body", () => {
  assertEquals(new TextDecoder().decode(encodeRequest(calling(integer()), 30)), "30");
});

Deno.test("encodeRequest() says of what it refuses that nothing ran", () => {
  const { code, outcome, message } = refusal(calling(integer({ max: 9 })), 10);
  assertEquals([code, outcome], ["out_of_range", "not_executed"]);
  assertStringIncludes(message, "10");
  assertEquals(refusal(calling(text({ maxBytes: 2 })), "abc").outcome, "not_executed");
});

Deno.test("encodeRequest() turns what a codec throws into invalid_argument, with the queue and the reason", () => {
  for (const [thrown, reason] of [[new TypeError("no size"), "no size"], ["a text", "a text"]] as const) {
    const broken: Codec<unknown> = {
      ...text(),
      decode: () => 0,
      encode: () => {
        throw thrown;
      },
    };
    const { code, outcome, message, cause } = refusal(calling(broken), 1);
    assertEquals([code, outcome], ["invalid_argument", "not_executed"]);
    assertEquals(message, `Cannot encode the request of "q": ${reason}`);
    assertStrictEquals(cause, thrown);
  }
});
