import { assert, assertEquals, assertFalse, assertInstanceOf, assertStrictEquals } from "@std/assert";
import {
  isCallError,
  isRpcCode,
  isRpcOutcome,
  markAsCallError,
  type RpcCode,
  RpcError,
  type RpcErrorOptions,
  type RpcOutcome,
  withOutcome,
} from "../../../lib/contract/errors.ts";

/** All of gRPC's, without `ok`; a record, so that the type checker finds one that is missing. */
const CODES: Readonly<Record<RpcCode, true>> = {
  canceled: true,
  unknown: true,
  invalid_argument: true,
  deadline_exceeded: true,
  not_found: true,
  already_exists: true,
  permission_denied: true,
  resource_exhausted: true,
  failed_precondition: true,
  aborted: true,
  out_of_range: true,
  unimplemented: true,
  internal: true,
  unavailable: true,
  data_loss: true,
  unauthenticated: true,
};

const OUTCOMES: Readonly<Record<RpcOutcome, true>> = { not_executed: true, executed: true, unknown: true };

Deno.test("isRpcCode() knows every code", () => {
  assertEquals(Object.keys(CODES).filter((code) => !isRpcCode(code)), []);
});

Deno.test("isRpcOutcome() knows every outcome", () => {
  assertEquals(Object.keys(OUTCOMES).filter((outcome) => !isRpcOutcome(outcome)), []);
});

for (const value of ["", "ok", "Canceled", "constructor", "executed ", 0, null, undefined, {}]) {
  Deno.test(`${Deno.inspect(value)} is neither a code nor an outcome`, () => {
    assertEquals([isRpcCode(value), isRpcOutcome(value)], [false, false]);
  });
}

Deno.test("RpcError keeps what it is given", () => {
  const options: RpcErrorOptions = { outcome: "executed", details: [1], cause: "why", id: "42" };
  const error = new RpcError("aborted", "Cannot do it", options);
  assertInstanceOf(error, Error);
  const { name, code, message, outcome, details, cause, id } = error;
  assertEquals({ name, code, message, outcome, details, cause, id }, {
    name: "RpcError",
    code: "aborted",
    message: "Cannot do it",
    ...options,
  });
});

Deno.test("RpcError has the outcome unknown, and nothing else, unless it is told", () => {
  const error = new RpcError("aborted", "");
  assertEquals([error.outcome, error.details, error.id], ["unknown", undefined, undefined]);
  assertFalse(Object.hasOwn(error, "cause"));
});

Deno.test("RpcError has a cause of undefined where it is given", () => {
  assert(Object.hasOwn(new RpcError("aborted", "", { cause: undefined }), "cause"));
});

Deno.test("RpcError keeps details that are false to an if", () => {
  for (const details of [null, 0, "", false]) {
    assertStrictEquals(new RpcError("aborted", "", { details }).details, details);
  }
});

Deno.test("withOutcome() copies an error with another outcome, and names the first as its cause", () => {
  const first = new RpcError("not_found", "Cannot find it", { outcome: "executed", details: { n: 1 }, id: "7" });
  const { code, message, outcome, details, id, cause } = withOutcome(first, "unknown");
  assertEquals({ code, message, outcome, details, id }, {
    code: "not_found",
    message: "Cannot find it",
    outcome: "unknown",
    details: { n: 1 },
    id: "7",
  });
  assertStrictEquals(cause, first);
  assertEquals(first.outcome, "executed");
});

Deno.test("withOutcome() adds neither an id nor details", () => {
  const { details, id } = withOutcome(new RpcError("not_found", ""), "executed");
  assertEquals([details, id], [undefined, undefined]);
});

Deno.test("RpcError as JSON has what travels, and neither stack nor cause", () => {
  const bare = new RpcError("not_found", "no user", { cause: new Error("secret") });
  const known = { name: "RpcError", code: "not_found", outcome: "unknown", message: "no user" };
  assertEquals(JSON.parse(JSON.stringify(bare)), known);
  const full = new RpcError("not_found", "no user", { details: { id: 7 }, id: "some-id" });
  assertEquals(JSON.parse(JSON.stringify(full)), { ...known, details: { id: 7 }, id: "some-id" });
});

Deno.test("RpcError has no details and no id of its own where it was given none", () => {
  assertEquals(Object.keys(new RpcError("aborted", "")).sort(), ["code", "name", "outcome"]);
});

Deno.test("isCallError() knows the errors that were marked, and no copies of them", () => {
  const error = new RpcError("aborted", "");
  assertFalse(isCallError(error));
  markAsCallError(error);
  assert(isCallError(error));
  assertFalse(isCallError(withOutcome(error, "executed")));
});
