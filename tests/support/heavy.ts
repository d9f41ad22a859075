/**
 * The contract of what tests run in worker processes; `heavy_handlers.ts` has the handlers.
 *
 * @module
 */

import { integer, json, method, service, text } from "../../lib/rpc.ts";

const numbers = { request: integer(), reply: integer() };
const texts = { request: text(), reply: text() };

const methods = {
  /** Computes for so many ms, and gives the id of its process. */
  compute: method(numbers),
  /** Never ends, and never looks at its signal. */
  spin: method(numbers),
  /** Waits until its signal is aborted. */
  wait: method(numbers),
  /** Ends its process with the code; 0 throws in a detached promise. */
  die: method(numbers),
  /** Gives what it knows of its request, as JSON. */
  describe: method(texts),
  /** Throws an error of the kind that the request names. */
  fail: method({ ...texts, errors: { not_found: json() } }),
};

/** A service on the queue. */
// deno-lint-ignore explicit-module-boundary-types -- the inferred type is the contract
export function heavy(queue: string) {
  return service({ queue, queueType: "classic", methods });
}

/** The URL of the handlers. */
export const HEAVY: string = import.meta.resolve("./heavy_handlers.ts");
