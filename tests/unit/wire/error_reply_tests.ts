import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { RpcError, type RpcErrorOptions } from "../../../lib/contract/errors.ts";
import { decodeError, encodeError, MAX_ERROR_BYTES } from "../../../lib/wire/error_reply.ts";

const MAX_MESSAGE_LENGTH = 8_192;

/** The JSON of an error reply. */
function encoded(message: string, options: RpcErrorOptions = {}): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(encodeError(new RpcError("not_found", message, options))));
}

/** The error of a body. */
function decoded(body: string | Uint8Array): RpcError {
  return decodeError(typeof body === "string" ? new TextEncoder().encode(body) : body);
}

Deno.test("encodeError() writes what the caller may see, and not the cause", () => {
  const options = { outcome: "executed", details: { n: [1] }, id: "7", cause: new Error("secret") } as const;
  assertEquals(encoded("Cannot find it", options), {
    code: "not_found",
    message: "Cannot find it",
    outcome: "executed",
    details: { n: [1] },
    id: "7",
  });
});

Deno.test("encodeError() leaves out what there is not", () => {
  assertEquals(encoded("No"), { code: "not_found", message: "No", outcome: "unknown" });
});

Deno.test("encodeError() cuts a message off", () => {
  assertEquals(encoded("x".repeat(MAX_MESSAGE_LENGTH)).message, "x".repeat(MAX_MESSAGE_LENGTH));
  assertEquals(encoded("x".repeat(MAX_MESSAGE_LENGTH + 1)).message, "x".repeat(MAX_MESSAGE_LENGTH));
});

const CYCLE: Record<string, unknown> = {};
CYCLE["self"] = CYCLE;

for (
  const [what, details] of [["a bigint", { n: 1n }], ["a cycle", CYCLE], [
    "2 MiB of text",
    "x".repeat(2 ** 21),
  ]] as const
) {
  Deno.test(`encodeError() leaves out details that are ${what}`, () => {
    const error = encoded("x".repeat(MAX_MESSAGE_LENGTH + 1), { outcome: "executed", details, id: "7" });
    const message = "x".repeat(MAX_MESSAGE_LENGTH);
    assertEquals(error, { code: "not_found", message, outcome: "executed", id: "7" });
  });
}

Deno.test("encodeError() writes an error of 1 MiB with its details, and a larger one without", () => {
  const rest = encodeError(new RpcError("not_found", "No", { details: "" })).byteLength;
  const fits = "x".repeat(MAX_ERROR_BYTES - rest);
  assertEquals([MAX_ERROR_BYTES, encoded("No", { details: fits }).details], [1_048_576, fits]);
  assertEquals(encoded("No", { details: `${fits}x` }).details, undefined);
});

Deno.test("decodeError() reads what encodeError() wrote", () => {
  const options = { outcome: "not_executed", details: { n: [1] }, id: "7" } as const;
  const error = decodeError(encodeError(new RpcError("aborted", "größe", options)));
  assertInstanceOf(error, RpcError);
  const { code, message, outcome, details, id } = error;
  assertEquals({ code, message, outcome, details, id }, { code: "aborted", message: "größe", ...options });
});

Deno.test("decodeError() reads a body of 1 MiB, and no larger one", () => {
  const body = JSON.stringify({ code: "aborted", message: "No" });
  assertEquals(decoded(body.padEnd(MAX_ERROR_BYTES)).code, "aborted");
  const error = decoded(body.padEnd(MAX_ERROR_BYTES + 1));
  const size = "it has 1048577 bytes, at most 1048576 are allowed";
  assertEquals([error.code, error.message], ["data_loss", `Cannot decode the error reply: ${size}`]);
});

for (
  const [what, body] of [["is empty", ""], ["is no JSON", "Traceback:"], [
    "is not UTF-8",
    Uint8Array.of(0x22, 0xff, 0x22),
  ]] as const
) {
  Deno.test(`decodeError() of a body that ${what} is data_loss`, () => {
    const { code, message, outcome, cause } = decoded(body);
    assertEquals([code, outcome], ["data_loss", "unknown"]);
    assertEquals(message, "Cannot decode the error reply: the body is not JSON");
    assert(cause instanceof Error);
  });
}

for (
  const body of [
    "null",
    "5",
    '"text"',
    "[]",
    "{}",
    '{"code":"aborted"}',
    '{"message":"No"}',
    '{"code":5,"message":"No"}',
    '{"code":"aborted","message":5}',
  ]
) {
  Deno.test(`decodeError() of ${body} is data_loss`, () => {
    const { code, message, outcome } = decoded(body);
    assertEquals([code, outcome], ["data_loss", "unknown"]);
    assertEquals(message, "Cannot decode the error reply: it has no 'code' and 'message'");
  });
}

for (
  const [code, outcome, wanted] of [
    ["exploded", "executed", ["unknown", "executed"]],
    ["constructor", undefined, ["unknown", "unknown"]],
    ["aborted", undefined, ["aborted", "unknown"]],
    ["aborted", "maybe", ["aborted", "unknown"]],
    ["aborted", 5, ["aborted", "unknown"]],
  ] as const
) {
  Deno.test(`decodeError() of the code ${code} and the outcome ${outcome} is ${wanted.join(", ")}`, () => {
    const error = decoded(JSON.stringify({ code, message: "No", outcome }));
    assertEquals<readonly string[]>([error.code, error.outcome], wanted);
  });
}

Deno.test("decodeError() cuts message and id off, and drops an id that is no text", () => {
  const long = decoded(
    JSON.stringify({ code: "aborted", message: "x".repeat(MAX_MESSAGE_LENGTH + 1), id: "y".repeat(256) }),
  );
  assertEquals([long.message.length, long.id], [MAX_MESSAGE_LENGTH, "y".repeat(255)]);
  assertEquals(decoded('{"code":"aborted","message":"No","id":5}').id, undefined);
});
