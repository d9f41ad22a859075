/**
 * Calls for tests that need no client.
 *
 * @module
 */

import type { CallIds } from "../../lib/client/call_ids.ts";
import { PendingCall } from "../../lib/client/pending_call.ts";
import type { AnyProcedure } from "../../lib/contract/procedure.ts";
import { text } from "../../lib/contract/plain_codecs.ts";
import { procedure } from "../../lib/contract/procedure.ts";

/** A procedure of a queue, as clients keep it. */
export function anyProcedure(queue: string, idempotent?: boolean): AnyProcedure {
  return procedure({ queue, request: text(), reply: text(), idempotent }) as unknown as AnyProcedure;
}

/** What a call may be given. */
export interface CallParts {
  readonly queue?: string;
  readonly idempotent?: boolean;
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** A call with an empty request. */
export function pendingCall(ids: CallIds, parts: CallParts = {}): PendingCall {
  const { queue = "q", idempotent, timeout = 1_000, signal } = parts;
  return new PendingCall(ids, anyProcedure(queue, idempotent), new Uint8Array(), timeout, { signal });
}
