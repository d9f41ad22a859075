import { assert, assertEquals, assertRejects, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { readReply } from "../../../lib/client/read_reply.ts";
import type { Codec } from "../../../lib/contract/codec.ts";
import { integer } from "../../../lib/contract/decimal_codecs.ts";
import { RpcError, type RpcErrorOptions } from "../../../lib/contract/errors.ts";
import { json } from "../../../lib/contract/json_codec.ts";
import { type AnyProcedure, type ErrorMap, procedure } from "../../../lib/contract/procedure.ts";
import { encodeError } from "../../../lib/wire/error_reply.ts";
import type { Delivery } from "../../../lib/wire/message.ts";
import { delivery } from "../../support/delivery.ts";

const encoder = new TextEncoder();

/** A codec of numbers, which decodes later or at once. */
function numbers(later: boolean): Codec<number> {
  const decode = (body: Uint8Array): number => {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof value !== "number") {
      throw new RpcError("invalid_argument", "it is no number", { details: { got: value } });
    }
    return value;
  };
  return {
    ...json(),
    encode: json().encode,
    decode: later ? (body) => Promise.resolve(body).then(decode) : decode,
  };
}

function calling(reply: Codec<number>, errors: ErrorMap = {}): AnyProcedure {
  return { ...procedure({ queue: "q", request: integer(), reply }), errors };
}

function success(body: string, parts: Partial<Delivery> = {}): Delivery {
  return delivery({ body: encoder.encode(body), ...parts });
}

function failed(options: RpcErrorOptions): Delivery {
  return delivery({ properties: { type: "rpc.error" }, body: encodeError(new RpcError("not_found", "no 7", options)) });
}

/** The error that a reply is read as; `throws` tells whether it was thrown at once. */
async function errorOf(procedure: AnyProcedure, reply: Delivery): Promise<{ error: RpcError; throws: boolean }> {
  let throws = true;
  try {
    const value = readReply(procedure, reply);
    throws = false;
    await value;
  } catch (error) {
    assert(error instanceof RpcError);
    return { error, throws };
  }
  throw new Error("Expected an error");
}

Deno.test("readReply() gives the result at once, or a promise of it if the codec needs time", async () => {
  assertEquals(readReply(calling(numbers(false)), success("5")), 5);
  const later = readReply(calling(numbers(true)), success("5"));
  assert(later instanceof Promise);
  assertEquals(await later, 5);
});

for (const later of [false, true]) {
  const when = later ? "later" : "at once";
  Deno.test(`readReply() of a result that is refused ${when} is data_loss, executed, with the codec's reason`, async () => {
    const { error, throws } = await errorOf(calling(numbers(later)), success('"x"'));
    const { code, outcome, message, details, cause } = error;
    assertEquals([code, outcome, throws], ["data_loss", "executed", !later]);
    assertEquals(message, 'Cannot read the reply of "q": it is no number');
    assertEquals(details, { got: "x" });
    assert(cause instanceof RpcError && cause.code === "invalid_argument");
  });

  Deno.test(`readReply() gives a declared error with the details as they are decoded ${when}`, async () => {
    const errors = { not_found: numbers(later) };
    const { error, throws } = await errorOf(
      calling(integer(), errors),
      failed({ outcome: "executed", details: 7, id: "some-id" }),
    );
    const { code, outcome, message, details, id } = error;
    assertEquals([code, outcome, message, details, id], ["not_found", "executed", "no 7", 7, "some-id"]);
    assertEquals(throws, !later);
  });

  Deno.test(`readReply() of details that are refused ${when} is data_loss, with the error as its cause`, async () => {
    const errors = { not_found: numbers(later) };
    const reply = failed({ outcome: "executed", details: "seven" });
    const { error, throws } = await errorOf(calling(integer(), errors), reply);
    assertEquals([error.code, error.outcome, throws], ["data_loss", "executed", !later]);
    assertEquals(error.message, 'Cannot read the details of "not_found" from "q": it is no number');
    assert(error.cause instanceof RpcError && error.cause.code === "not_found");
  });
}

Deno.test("readReply() names what a codec throws that is no error", async () => {
  const thrown: Codec<number> = {
    ...numbers(false),
    decode: () => {
      throw "a text";
    },
  };
  assertStringIncludes((await errorOf(calling(thrown), success("1"))).error.message, ": a text");
});

for (const outcome of ["not_executed", "unknown"] as const) {
  Deno.test(`readReply() does not check the details of an error whose outcome is ${outcome}`, async () => {
    const reply = failed({ outcome, details: "seven" });
    const { error } = await errorOf(calling(integer(), { not_found: numbers(false) }), reply);
    assertEquals([error.code, error.outcome, error.details], ["not_found", outcome, "seven"]);
  });
}

Deno.test("readReply() gives an error that is not declared as it came", async () => {
  const { error } = await errorOf(calling(integer()), failed({ outcome: "executed", details: { any: 1 } }));
  assertEquals([error.code, error.details], ["not_found", { any: 1 }]);
});

Deno.test("readReply() of a malformed or compressed reply is data_loss, and names the reason", async () => {
  for (
    const [parts, reason] of [
      [{ malformed: "its table is cut" }, "its table is cut"],
      [{ properties: { contentEncoding: "gzip" } }, '"gzip"'],
    ] as const
  ) {
    const { error } = await errorOf(calling(integer()), success("5", parts));
    assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
    assertStringIncludes(error.message, reason);
  }
});

Deno.test("readReply() refuses a result over the codec's limit unread", async () => {
  const small: Codec<number> = { ...numbers(false), maxBytes: 1 };
  const { error } = await errorOf(calling(small), success("55"));
  assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
  assertStringIncludes(error.message, "the body has 2 bytes");
});

Deno.test("readReply() rejects with the very error that an asynchronous check gives", async () => {
  const fault = new RpcError("data_loss", "once");
  const codec: Codec<number> = { ...numbers(true), decode: () => Promise.reject(fault) };
  const error = await assertRejects(async () => await readReply(calling(codec), success("1")), RpcError);
  assertStrictEquals(error.cause, fault);
});
