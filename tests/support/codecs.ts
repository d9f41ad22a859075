/**
 * What tests of codecs share.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../../lib/contract/errors.ts";

/** A text as a body. */
export function encoded(source: string): Uint8Array {
  return new TextEncoder().encode(source);
}

/** A body as text; its memory may be Node's or its own. */
export function read(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

/** The error with which a codec refuses; what a codec refuses was never executed. */
export function refusal(use: () => unknown): RpcError {
  const error: unknown = assertThrows(use);
  assert(error instanceof RpcError, Deno.inspect(error));
  assertEquals(error.outcome, "not_executed");
  return error;
}
