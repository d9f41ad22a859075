import { isRpcCode, type RpcCode } from "../contract/errors.ts";
import type { LastError, MethodInfo, ServerFigures } from "../contract/server_info.ts";

/** The largest answer, in bytes; a larger one is not read. */
export const MAX_INFO_BYTES = 64 * 1024;
/** How much of it methods may take, in bytes: room is left for all else. */
const MAX_METHODS_BYTES = MAX_INFO_BYTES - 8 * 1024;
/** The longest text in it, in UTF-16 code units: what AMQP allows for a name, in bytes. */
const MAX_TEXT = 255;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Encodes the answer of a server; leaves out the methods for which there is no room. */
export function encodeServerInfo(figures: ServerFigures): Uint8Array {
  const methods = figures.methods.toSorted((a, b) => b.requests - a.requests);
  let size = 0;
  const fitting = methods.findIndex((method) => {
    size += encoder.encode(JSON.stringify(method)).byteLength + 1;
    return size > MAX_METHODS_BYTES;
  });
  const sent = fitting === -1 ? methods : methods.slice(0, fitting);
  const omitted = figures.omitted + methods.length - sent.length;
  return encoder.encode(JSON.stringify({ ...figures, methods: sent, omitted }));
}

/** Decodes the answer of a server; undefined if it is not one. Unknown fields are ignored: later versions may add some. */
export function decodeServerInfo(body: Uint8Array): ServerFigures | undefined {
  if (body.byteLength > MAX_INFO_BYTES) return undefined;
  try {
    return readFigures(fieldsOf(JSON.parse(decoder.decode(body))));
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** An object as its fields; what is inherited is none of them. */
function fieldsOf(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError("It is not an object");
  return Object.assign(Object.create(null), value);
}

function readText(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("It is not a text");
  return value.slice(0, MAX_TEXT);
}

function readNumber(value: unknown): number {
  if (typeof value !== "number" || !(value >= 0) || value > Number.MAX_SAFE_INTEGER) {
    throw new TypeError("It is not a number from 0");
  }
  return value;
}

function readCode(value: unknown): RpcCode {
  return isRpcCode(value) ? value : "unknown";
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value);
}

function readFigures(fields: Fields): ServerFigures {
  if (!Array.isArray(fields["methods"])) throw new TypeError("It has no methods");
  return {
    id: readText(fields["id"]),
    name: readText(fields["name"]),
    version: optional(fields["version"], readText),
    library: readText(fields["library"]),
    state: fields["state"] === "draining" ? "draining" : "serving",
    consumers: readNumber(fields["consumers"]),
    uptime: readNumber(fields["uptime"]),
    prefetch: readNumber(fields["prefetch"]),
    inFlight: readNumber(fields["inFlight"]),
    oldest: optional(fields["oldest"], readNumber),
    rejected: readNumber(fields["rejected"]),
    methods: fields["methods"].map(readMethod),
    omitted: readNumber(fields["omitted"]),
  };
}

function readLastError(value: unknown): LastError {
  const fields = fieldsOf(value);
  return {
    code: readCode(fields["code"]),
    id: optional(fields["id"], readText),
    ago: readNumber(fields["ago"]),
  };
}

function readMethod(value: unknown): MethodInfo {
  const fields = fieldsOf(value);
  const codes = Object.entries(fieldsOf(fields["codes"])).filter(([code]) => code === "ok" || isRpcCode(code));
  return {
    name: optional(fields["name"], readText),
    requests: readNumber(fields["requests"]),
    codes: Object.fromEntries(codes.map(([code, count]) => [code, readNumber(count)])),
    refused: readNumber(fields["refused"]),
    handled: readNumber(fields["handled"]),
    processingTime: readNumber(fields["processingTime"]),
    p50: optional(fields["p50"], readNumber),
    p99: optional(fields["p99"], readNumber),
    lastError: optional(fields["lastError"], readLastError),
  };
}
