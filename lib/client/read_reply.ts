import { type Codec, decodeBody } from "../contract/codec.ts";
import { RpcError } from "../contract/errors.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import { decodeDetails } from "../contract/typed_error.ts";
import { checkContentEncoding } from "../wire/content_encoding.ts";
import { decodeError } from "../wire/error_reply.ts";
import type { Delivery } from "../wire/message.ts";
import { isErrorReply } from "../wire/reply_message.ts";

/**
 * Reads a reply.
 *
 * @returns The result, or a promise of it if the procedure's codec is asynchronous.
 * @throws {RpcError} The error of an error reply; `data_loss` if the reply cannot be read. An asynchronous codec makes
 *   the returned promise reject instead.
 */
export function readReply(procedure: AnyProcedure, { properties, body, malformed }: Delivery): unknown {
  if (isErrorReply(properties)) {
    const error = readError(procedure, decodeError(body));
    if (!(error instanceof Promise)) throw error;
    return error.then((settled) => Promise.reject(settled));
  }
  // A reply without a type is a success: the handler ran to completion.
  const fail = (cause: unknown): never => {
    const details = cause instanceof RpcError ? cause.details : undefined;
    const text = `Cannot read the reply of "${procedure.queue}": ${reasonOf(cause)}`;
    throw new RpcError("data_loss", text, { outcome: "executed", details, cause });
  };
  try {
    if (malformed !== undefined) throw new RpcError("data_loss", malformed);
    checkContentEncoding(properties, "reply");
    const value = decodeBody(procedure.reply as Codec<never, unknown>, body, "reply");
    return value instanceof Promise ? value.catch(fail) : value;
  } catch (error) {
    return fail(error);
  }
}

/** The error of an error reply, with checked details; a promise of it if their codec is asynchronous. */
function readError({ queue, errors }: AnyProcedure, error: RpcError): RpcError | Promise<RpcError> {
  // The library itself refuses with the same codes, and with details of its own.
  if (error.outcome !== "executed") return error;
  const unreadable = (cause: unknown): RpcError => {
    const text = `Cannot read the details of "${error.code}" from "${queue}": ${reasonOf(cause)}`;
    return new RpcError("data_loss", text, { outcome: error.outcome, cause: error });
  };
  try {
    const decoded = decodeDetails(errors, error);
    return decoded instanceof Promise ? decoded.catch(unreadable) : decoded;
  } catch (cause) {
    return unreadable(cause);
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
