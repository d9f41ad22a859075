import { assert, assertEquals, assertFalse, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type { Codec } from "../../../lib/contract/codec.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import { json } from "../../../lib/contract/json_codec.ts";
import { decodeDetails, isRpcError } from "../../../lib/contract/typed_error.ts";

/** Doubles the number that it decodes. */
function doubling(later: boolean): Codec<number> {
  const decode = (body: Uint8Array): number => {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof value !== "number") throw new RpcError("invalid_argument", "no number");
    return 2 * value;
  };
  return { ...json(), encode: json().encode, decode: later ? (body) => Promise.resolve(body).then(decode) : decode };
}

function error(details?: unknown): RpcError {
  return new RpcError("not_found", "none", { outcome: "executed", details, id: "some-id", cause: "why" });
}

Deno.test("decodeDetails() gives an error whose code is not declared as it is", () => {
  const given = error(1);
  assertStrictEquals(decodeDetails({}, given), given);
  assertStrictEquals(decodeDetails({ aborted: json() }, given), given);
});

Deno.test("decodeDetails() gives the details as their codec decodes them, and all else as it was", () => {
  const decoded = decodeDetails({ not_found: doubling(false) }, error(21));
  assert(decoded instanceof RpcError);
  const { code, message, outcome, details, id, cause } = decoded;
  assertEquals([code, message, outcome, details, id, cause], ["not_found", "none", "executed", 42, "some-id", "why"]);
});

Deno.test("decodeDetails() waits for a codec that takes its time", async () => {
  assertEquals((await decodeDetails({ not_found: doubling(true) }, error(21))).details, 42);
  await assertRejects(
    async () => await decodeDetails({ not_found: doubling(true) }, error("x")),
    RpcError,
    "no number",
  );
});

Deno.test("decodeDetails() throws for details that are not as declared, and for none", () => {
  assertThrows(() => decodeDetails({ not_found: doubling(false) }, error("x")), RpcError, "no number");
  assertThrows(() => decodeDetails({ not_found: doubling(false) }, error()), RpcError, "no number");
});

Deno.test("decodeDetails() of an error without an id gives none", () => {
  const decoded = decodeDetails({ aborted: json() }, new RpcError("aborted", "", { details: 1 }));
  assertFalse(decoded instanceof Promise || "id" in decoded);
});

Deno.test("isRpcError() knows an RpcError from others", () => {
  assert(isRpcError(error()));
  assert(isRpcError(error(), { errors: {} }));
  assertFalse(isRpcError(new Error("no")));
});
