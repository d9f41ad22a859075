import { type Headers, MAX_HEADER_BYTES, MAX_HEADERS } from "../contract/headers.ts";
import { visitHeaders } from "./field_table.ts";

const NONE: Headers = Object.freeze(Object.create(null));

/**
 * Reads the headers whose values are texts; of several with one name, the first counts. Headers of RabbitMQ (`x-*`) and
 * of this library (`rpc-*`) are left out, and so are those beyond the limits; a table that cannot be read counts as empty.
 */
export function readStringHeaders(table: Uint8Array | undefined): Headers {
  if (table === undefined) return NONE;
  const headers: Record<string, string> = Object.create(null);
  /** The names of those that are no texts. */
  let others: Set<string> | undefined;
  let count = 0;
  let size = 0;
  const read = visitHeaders(table, (name, value) => {
    if (name.startsWith("x-") || name.startsWith("rpc-") || name in headers || others?.has(name)) return;
    if (typeof value !== "string") {
      others ??= new Set();
      others.add(name);
      return;
    }
    size += name.length + value.length;
    if (++count <= MAX_HEADERS && size <= MAX_HEADER_BYTES) headers[name] = value;
  });
  return read ? Object.freeze(headers) : NONE;
}
