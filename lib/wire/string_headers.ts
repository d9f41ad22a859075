import { type Headers, MAX_HEADER_BYTES, MAX_HEADERS } from "../contract/headers.ts";
import { readHeaders } from "./field_table.ts";

const NONE: Headers = Object.freeze(Object.create(null));

/**
 * Reads the headers whose values are texts. Headers of RabbitMQ (`x-*`) and of this library
 * (`rpc-*`) are left out, and so are those beyond the
 * limits; a table that cannot be read counts as empty.
 */
export function readStringHeaders(table: Uint8Array | undefined): Headers {
  if (table === undefined) return NONE;
  const headers: Record<string, string> = Object.create(null);
  let count = 0;
  let size = 0;
  for (const [name, value] of readHeaders(table) ?? []) {
    if (typeof value !== "string" || name.startsWith("x-") || name.startsWith("rpc-")) continue;
    size += name.length + value.length;
    if (++count > MAX_HEADERS || size > MAX_HEADER_BYTES) break;
    headers[name] = value;
  }
  return Object.freeze(headers);
}
