import { assert, assertEquals } from "@std/assert";
import { markAsCallError, RpcError } from "../../../lib/contract/errors.ts";
import { fromWorkerError, toWorkerError } from "../../../lib/contract/worker_message.ts";

function through(error: unknown): Error {
  return fromWorkerError(structuredClone(toWorkerError(error)));
}

Deno.test("An RpcError reaches another process with its code, message and details", () => {
  const error = through(new RpcError("not_found", "There is no user 7", { details: { id: 7 } }));
  assert(error instanceof RpcError);
  assertEquals([error.code, error.message, error.details], ["not_found", "There is no user 7", { id: 7 }]);
});

Deno.test("The error of a nested call is not an RpcError in another process", () => {
  const nested = new RpcError("not_found", "There is no user 7", { details: () => 1 });
  markAsCallError(nested);
  const error = through(nested);
  assertEquals([error instanceof RpcError, error.name, error.message], [false, "RpcError", "There is no user 7"]);
});

Deno.test("Any other error reaches another process with its name, message and stack", () => {
  const thrown = new TypeError("No");
  const error = through(thrown);
  assertEquals([error.name, error.message, error.stack], ["TypeError", "No", thrown.stack]);
});

Deno.test("What is thrown and is no error reaches another process as its text", () => {
  const odd = {
    toString() {
      throw new Error("No text");
    },
  };
  for (const [thrown, text] of [["a", "a"], [undefined, "undefined"], [Symbol("s"), "Symbol(s)"]] as const) {
    assertEquals(through(thrown).message, text);
  }
  assertEquals(through(odd).message, "a value without a text was thrown");
});

Deno.test("An error with odd properties reaches another process", () => {
  const thrown = Object.assign(new Error("No"), { name: 7, stack: { odd: true } });
  const { name, message } = through(thrown);
  assertEquals([name, message], ["7", "No"]);
});
