/** Headers of a request or reply: lower-case names, values in printable ASCII. */
export type Headers = Readonly<Record<string, string>>;

/** How many headers a message may have. */
export const MAX_HEADERS = 64;
/** The largest size of all names and values together, in bytes. */
export const MAX_HEADER_BYTES = 8_192;

/** The characters of an HTTP token, without capitals, so that headers can be passed on over HTTP unchanged. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\x20-\x7e]*$/;
/** Reserved for RabbitMQ and for this library. */
const RESERVED = /^(?:x-|rpc-)/;
/** All rules for names in one, because every call checks them. */
const SENDABLE_NAME = /^(?!x-|rpc-)[a-z0-9!#$%&'*+.^_`|~-]{1,255}$/;

/** Why a header must not be sent; undefined if it is valid. */
function fault(name: string, value: unknown): string | undefined {
  if (typeof value === "string" && SENDABLE_NAME.test(name) && VALUE.test(value)) return undefined;
  if (!NAME.test(name)) {
    return `the name ${JSON.stringify(name)} must be lower-case letters, digits and !#$%&'*+.^_\`|~-`;
  }
  if (RESERVED.test(name)) return `the name "${name}" must not start with "x-" or "rpc-", which are reserved`;
  if (name.length > 255) return `the name "${name.slice(0, 64)}…" must have at most 255 bytes`;
  if (typeof value !== "string") return `the value of "${name}" must be a string, got ${typeof value}`;
  return `the value of "${name}" must be printable ASCII, got ${JSON.stringify(value.slice(0, 64))}`;
}

/** Whether a header may be sent. */
export function isSendable(name: string, value: unknown): boolean {
  return fault(name, value) === undefined;
}

/**
 * Checks the names of headers.
 *
 * @param action What they are for, as in "Cannot connect".
 * @throws {TypeError} If `names` is not a list of names that may be sent.
 */
export function checkHeaderNames(names: unknown, option: string, action: string): void {
  if (!Array.isArray(names)) throw new TypeError(`Cannot ${action}: '${option}' must be a list of names of headers`);
  for (const name of names) {
    const why = typeof name === "string" ? fault(name, "") : `a name must be a string, got ${typeof name}`;
    if (why !== undefined) throw new TypeError(`Cannot ${action}: in '${option}', ${why}`);
  }
}

/**
 * Checks headers before anything is written.
 *
 * @param action What they are for, as in "Cannot call".
 * @returns Names and values, in the order given.
 * @throws {TypeError} If `headers` is not a record of strings, or a name or value has other characters.
 * @throws {RangeError} If there are more than {@linkcode MAX_HEADERS}, or they are larger than
 *   {@linkcode MAX_HEADER_BYTES}.
 */
export function checkHeaders(headers: Headers, action: string): readonly (readonly [string, string])[] {
  if (typeof headers !== "object" || headers === null) {
    throw new TypeError(`Cannot ${action}: 'headers' must be an object of strings, got ${typeof headers}`);
  }
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS) {
    throw new RangeError(`Cannot ${action}: 'headers' has ${entries.length} entries; the limit is ${MAX_HEADERS}`);
  }
  let size = 0;
  for (const [name, value] of entries) {
    const why = fault(name, value);
    if (why !== undefined) throw new TypeError(`Cannot ${action}: in 'headers', ${why}`);
    size += name.length + value.length;
  }
  if (size > MAX_HEADER_BYTES) {
    throw new RangeError(`Cannot ${action}: 'headers' has ${size} bytes; the limit is ${MAX_HEADER_BYTES}`);
  }
  return entries;
}
