import { RpcError } from "../contract/errors.ts";
import { fromByteString } from "./byte_string.ts";
import type { Properties } from "./message.ts";

/** Names by which senders say that a body is not compressed: those of RFC 2045 and HTTP, and character sets. */
const PLAIN: ReadonlySet<string> = new Set(
  ["", "identity", "none", "plain", "binary", "7bit", "8bit", "us-ascii", "ascii", "utf-8", "utf8"],
);

/**
 * Refuses a body that is compressed, or encoded in another way.
 *
 * @throws {RpcError} `invalid_argument`, naming the encoding.
 */
export function checkContentEncoding({ contentEncoding = "" }: Properties, what: "request" | "reply"): void {
  if (PLAIN.has(contentEncoding.toLowerCase())) return;
  const name = JSON.stringify(fromByteString(contentEncoding).slice(0, 64));
  throw new RpcError("invalid_argument", `Cannot decode ${what}: content encoding ${name} is not supported, send none`);
}
