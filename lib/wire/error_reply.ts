import { isRpcCode, isRpcOutcome, RpcError, type RpcOutcome } from "../contract/errors.ts";

/** The largest error reply, in bytes; a larger one goes out without its details, and is not read. */
export const MAX_ERROR_BYTES = 1024 * 1024;
/** The longest message of an error, in UTF-16 code units. */
const MAX_MESSAGE_LENGTH = 8192;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** An error as the body of an error reply; details that are not JSON, or too large, are left out. */
export function encodeError(error: RpcError): Uint8Array {
  const { code, message, outcome, details, id } = error;
  const short = message.slice(0, MAX_MESSAGE_LENGTH);
  try {
    const body = encoder.encode(JSON.stringify({ code, message: short, outcome, details, id }));
    if (body.byteLength <= MAX_ERROR_BYTES) return body;
  } catch {
    // A cycle or a bigint in the details: the error itself still counts.
  }
  return encoder.encode(JSON.stringify({ code, message: short, outcome, id }));
}

/** An error reply's body as the error that the caller gets; `data_loss` where it is none. */
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
