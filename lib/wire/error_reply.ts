import { isRpcCode, isRpcOutcome, RpcError, type RpcOutcome } from "../contract/errors.ts";

/** The largest error reply, in bytes: a larger one is sent without its details, and is not read by clients. */
export const MAX_ERROR_BYTES = 1024 * 1024;
/** The longest message of an error, in UTF-16 code units. */
const MAX_MESSAGE_LENGTH = 8192;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Encodes an error as the body of an error reply; leaves out details that are not JSON, or too large. */
export function encodeError(error: RpcError): Uint8Array {
  const { code, message, outcome, details, id } = error;
  const short = message.slice(0, MAX_MESSAGE_LENGTH);
  try {
    const body = encoder.encode(JSON.stringify({ code, message: short, outcome, details, id }));
    if (body.byteLength <= MAX_ERROR_BYTES) return body;
  } catch {
    // The details hold a cycle or a bigint: the error is sent without them.
  }
  return encoder.encode(JSON.stringify({ code, message: short, outcome, id }));
}

/** Decodes the body of an error reply; returns a `data_loss` error if that is not possible. */
export function decodeError(body: Uint8Array): RpcError {
  if (body.byteLength > MAX_ERROR_BYTES) {
    const size = `it has ${body.byteLength} bytes, at most ${MAX_ERROR_BYTES} are allowed`;
    return new RpcError("data_loss", `Cannot decode the error reply: ${size}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(body));
  } catch (cause) {
    return new RpcError("data_loss", "Cannot decode the error reply: the body is not JSON", { cause });
  }
  const { code, message, outcome, details, id } = (value ?? {}) as Record<string, unknown>;
  if (typeof message !== "string" || typeof code !== "string") {
    return new RpcError("data_loss", "Cannot decode the error reply: it has no 'code' and 'message'");
  }
  const known: RpcOutcome = isRpcOutcome(outcome) ? outcome : "unknown";
  return new RpcError(isRpcCode(code) ? code : "unknown", message.slice(0, MAX_MESSAGE_LENGTH), {
    outcome: known,
    details,
    ...(typeof id === "string" ? { id: id.slice(0, 255) } : {}),
  });
}
