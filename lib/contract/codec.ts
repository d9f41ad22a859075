import { Buffer } from "node:buffer";
import { type RpcCode, RpcError } from "./errors.ts";

/**
 * The largest body that a codec may carry, in bytes: just under 16 MiB, the default limit of a message from RabbitMQ 4.0
 * on (https://www.rabbitmq.com/docs/limits).
 */
export const MAX_BODY_BYTES: number = 16 * 1024 * 1024 - 1;

/**
 * Turns values into message bodies and back.
 *
 * @typeParam In What `encode` takes.
 * @typeParam Out What `decode` returns; differs from `In` if a schema transforms values.
 */
export interface Codec<In, Out = In> {
  /** The MIME type that is sent with the body. */
  readonly contentType: string;
  /** The largest body in bytes, checked before decoding and after encoding. */
  readonly maxBytes: number;
  /**
   * Turns a value into a body.
   *
   * @throws {RpcError} `invalid_argument` or `out_of_range` if the value has no encoding.
   */
  encode(value: In): Uint8Array;
  /**
   * Turns a body into a value. The body comes from the network and may hold anything.
   *
   * @throws {RpcError} `invalid_argument` or `out_of_range` naming the value and the bound.
   */
  decode(body: Uint8Array): Out | Promise<Out>;
}

/** Option of every codec. */
export interface CodecOptions {
  /**
   * The largest body in bytes, from 1 to {@linkcode MAX_BODY_BYTES}.
   *
   * @default {MAX_BODY_BYTES}
   */
  readonly maxBytes?: number;
}

/** Options of {@linkcode integer}. */
export interface IntegerOptions {
  /**
   * The smallest integer that is accepted.
   *
   * @default {Number.MIN_SAFE_INTEGER}
   */
  readonly min?: number;
  /**
   * The largest integer that is accepted.
   *
   * @default {Number.MAX_SAFE_INTEGER}
   */
  readonly max?: number;
}

/** Options of {@linkcode bigint}. */
export interface BigintOptions extends CodecOptions {
  /** The smallest integer that is accepted; no bound if absent. */
  readonly min?: bigint;
  /** The largest integer that is accepted; no bound if absent. */
  readonly max?: bigint;
  /**
   * The largest body in bytes, one per digit, from 1 to {@linkcode MAX_BODY_BYTES}. The default is lower than that of
   * other codecs, because parsing decimal digits takes more than linear time.
   *
   * @default {1_048_576}
   */
  readonly maxBytes?: number;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const DECIMAL = /^(?:0|-?[1-9][0-9]*)$/;

function refuse(code: RpcCode, message: string, details?: unknown): RpcError {
  return new RpcError(code, message, { outcome: "not_executed", details });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/** Up to this many bytes, a loop is several times faster than the decoder. */
const SHORT = 32;

/** Decodes a short ASCII body; undefined if it is longer, or not ASCII. */
function decodeAscii(body: Uint8Array): string | undefined {
  if (body.length > SHORT) return undefined;
  let text = "";
  for (let n = 0; n < body.length; n++) {
    const byte = body[n] as number;
    if (byte > 127) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** `Buffer.from` takes the memory of short texts from Node's pool; separate memory costs five times as much. */
function encodeText(text: string): Uint8Array {
  return Buffer.from(text);
}

function decodeText(body: Uint8Array, what: string): string {
  const ascii = decodeAscii(body);
  if (ascii !== undefined) return ascii;
  try {
    return decoder.decode(body);
  } catch {
    throw refuse("invalid_argument", `Cannot decode ${what}: the body is not valid UTF-8`);
  }
}

function checkedMaxBytes(options: CodecOptions, fallback = MAX_BODY_BYTES): number {
  const maxBytes = options.maxBytes ?? fallback;
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > MAX_BODY_BYTES) {
    throw new RangeError(
      `Cannot create codec: 'maxBytes' must be an integer between 1 and ${MAX_BODY_BYTES}, current value is ${maxBytes}`,
    );
  }
  return maxBytes;
}

function wanted(min: number | bigint | undefined, max: number | bigint | undefined): string {
  if (min !== undefined && max !== undefined) return `must be between ${min} and ${max}`;
  return min !== undefined ? `must be at least ${min}` : `must be at most ${max}`;
}

/** Reads plain decimal text: `30`, `-5` and `0` are accepted; `+5`, `3.0`, `1e3`, ` 5` and `0x1e` are not. */
function decodeDecimal(body: Uint8Array, what: string): string {
  const text = decodeText(body, what);
  if (DECIMAL.test(text)) return text;
  throw refuse(
    "invalid_argument",
    `Cannot decode ${what} ${quote(text)}: must be a plain decimal integer such as 30, ` +
      "without plus sign, blanks, fraction, exponent, prefix or leading zeros",
  );
}

/**
 * Bytes, unchanged.
 *
 * @param options The size limit.
 * @returns The codec, `application/octet-stream`.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 */
export function bytes(options: CodecOptions = {}): Codec<Uint8Array> {
  return {
    contentType: "application/octet-stream",
    maxBytes: checkedMaxBytes(options),
    encode(value: Uint8Array): Uint8Array {
      // A copy, because the caller may change its array while the message waits to be sent.
      if (value instanceof Uint8Array) return new Uint8Array(value);
      throw refuse("invalid_argument", `Cannot encode bytes: must be a Uint8Array, current value is ${typeof value}`);
    },
    // A copy, because the body is a view of the socket's memory.
    decode: (body: Uint8Array): Uint8Array => new Uint8Array(body),
  };
}

/**
 * Text as UTF-8; a body that is not valid UTF-8 is refused.
 *
 * @param options The size limit.
 * @returns The codec, `text/plain`.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 */
export function text(options: CodecOptions = {}): Codec<string> {
  return {
    contentType: "text/plain",
    maxBytes: checkedMaxBytes(options),
    encode(value: string): Uint8Array {
      if (typeof value === "string") return encodeText(value);
      throw refuse("invalid_argument", `Cannot encode text: must be a string, current value is ${typeof value}`);
    },
    decode: (body: Uint8Array): string => decodeText(body, "text"),
  };
}

/**
 * An integer as plain decimal text, as the tutorials send it: `30`.
 *
 * @param options Its bounds, both included.
 * @returns The codec, `text/plain`.
 * @throws {RangeError} If a bound is not a safe integer, or `min` is above `max`.
 *
 * @example
 * ```ts
 * import { integer } from "@rabbitmq-rpc/rpc";
 *
 * const percent = integer({ min: 0, max: 100 });
 * console.assert(percent.decode(percent.encode(30)) === 30);
 * ```
 */
export function integer(options: IntegerOptions = {}): Codec<number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || min > max) {
    throw new RangeError(`Cannot create integer codec: need safe integers with 'min' <= 'max', got ${min} and ${max}`);
  }
  const outside = (value: number | string, action: string): RpcError =>
    refuse("out_of_range", `Cannot ${action} integer ${value}: ${wanted(min, max)}`, { min, max });
  return {
    contentType: "text/plain",
    maxBytes: Math.max(String(min).length, String(max).length, 32),
    encode(value: number): Uint8Array {
      if (!Number.isInteger(value)) {
        throw refuse(
          "invalid_argument",
          `Cannot encode integer: must be an integer, current value is ${String(value)}`,
        );
      }
      if (value < min || value > max) throw outside(value, "encode");
      return encodeText(String(value));
    },
    decode(body: Uint8Array): number {
      const digits = decodeDecimal(body, "integer");
      const value = Number(digits);
      if (value < min || value > max) throw outside(digits, "decode");
      return value;
    },
  };
}

/**
 * An integer of any size as plain decimal text, for values that a number cannot hold exactly.
 *
 * @param options Its bounds, both included, and the size limit.
 * @returns The codec, `text/plain`.
 * @throws {RangeError} If `min` is above `max`, or `maxBytes` is out of its bounds.
 */
export function bigint(options: BigintOptions = {}): Codec<bigint> {
  const { min, max } = options;
  if (min !== undefined && max !== undefined && min > max) {
    throw new RangeError(`Cannot create bigint codec: 'min' must not be above 'max', got ${min} and ${max}`);
  }
  const check = (value: bigint, action: string): bigint => {
    if ((min === undefined || value >= min) && (max === undefined || value <= max)) return value;
    throw refuse("out_of_range", `Cannot ${action} integer ${quote(String(value))}: ${wanted(min, max)}`, {
      min: min?.toString(),
      max: max?.toString(),
    });
  };
  return {
    contentType: "text/plain",
    maxBytes: checkedMaxBytes(options, 1024 * 1024),
    encode(value: bigint): Uint8Array {
      if (typeof value === "bigint") return encodeText(String(check(value, "encode")));
      throw refuse("invalid_argument", `Cannot encode integer: must be a bigint, current value is ${String(value)}`);
    },
    decode: (body: Uint8Array): bigint => check(BigInt(decodeDecimal(body, "integer")), "decode"),
  };
}

/** Any Standard Schema validator (https://standardschema.dev); its types are here to be part of the documentation. */
export interface Schema<In = unknown, Out = In> {
  /** The validator's side of the standard. */
  readonly "~standard": {
    /** The version of the standard. */
    readonly version: 1;
    /** Who made the validator. */
    readonly vendor: string;
    /** Checks a value; returns the validated value, or what is wrong with it. */
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    /** The types of input and output, for the type checker only. */
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

/** What a Standard Schema validator found. */
export type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value, and where. */
export interface SchemaIssue {
  /** What is wrong, for a person. */
  readonly message: string;
  /** Where: the keys that lead to it, the outermost first. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

interface Issue {
  readonly path: string;
  readonly message: string;
}

function toIssue(issue: SchemaIssue): Issue {
  let path = "";
  for (const segment of issue.path ?? []) {
    const key = typeof segment === "object" ? segment.key : segment;
    path += typeof key === "number" ? `[${key}]` : path === "" ? String(key) : `.${String(key)}`;
  }
  return { path, message: issue.message };
}

function validated<Out>(result: SchemaResult<Out>): Out {
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(toIssue);
  const list = issues.map(({ path, message }) => `${path === "" ? "value" : path}: ${message}`).join("; ");
  throw refuse("invalid_argument", `Cannot decode JSON: ${list}`, { issues });
}

/** JSON, decoded to `unknown`; the content type is `application/json`. */
export function json(): Codec<unknown>;
/**
 * JSON, validated when it is decoded: a request on the server before its handler runs, a reply on the client before the
 * call returns it.
 *
 * @param schema Any Standard Schema validator (https://standardschema.dev): Zod, Valibot, ArkType, ...
 * @param options The size limit.
 * @returns The codec, `application/json`.
 * @throws {TypeError} If `schema` is not a Standard Schema validator.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 *
 * @example With Zod
 * ```ts
 * import { json } from "@rabbitmq-rpc/rpc";
 * import { z } from "zod";
 *
 * const order = json(z.object({ item: z.string(), count: z.number().int().positive() }));
 * console.assert(order.contentType === "application/json");
 * ```
 */
export function json<In, Out>(
  schema: Schema<In, Out>,
  options?: CodecOptions,
): Codec<In, Out>;
/**
 * JSON, decoded to `unknown`, with a size limit.
 *
 * @param schema `undefined`.
 * @param options The size limit.
 * @returns The codec, `application/json`.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 */
export function json(schema: undefined, options: CodecOptions): Codec<unknown>;
export function json(schema?: Schema, options: CodecOptions = {}): Codec<unknown> {
  if (schema !== undefined && typeof schema?.["~standard"]?.validate !== "function") {
    throw new TypeError("Cannot create JSON codec: 'schema' must be a Standard Schema validator");
  }
  return {
    contentType: "application/json",
    maxBytes: checkedMaxBytes(options),
    encode(value: unknown): Uint8Array {
      let encoded: string | undefined;
      try {
        encoded = JSON.stringify(value);
      } catch (cause) {
        throw new RpcError("invalid_argument", `Cannot encode JSON: ${(cause as Error).message}`, {
          outcome: "not_executed",
          cause,
        });
      }
      if (encoded !== undefined) return encodeText(encoded);
      throw refuse("invalid_argument", `Cannot encode JSON: ${typeof value} has no JSON form`);
    },
    decode(body: Uint8Array): unknown {
      const source = decodeText(body, "JSON");
      let value: unknown;
      try {
        value = JSON.parse(source);
      } catch {
        throw refuse("invalid_argument", `Cannot decode JSON: the body ${quote(source)} is not JSON`);
      }
      if (schema === undefined) return value;
      const result = schema["~standard"].validate(value);
      return result instanceof Promise ? result.then(validated) : validated(result);
    },
  };
}

/** Encodes a value; refuses a body that is over the codec's limit. */
export function encodeBody<In>(codec: Codec<In, unknown>, value: In, what: "request" | "reply"): Uint8Array {
  const body = codec.encode(value);
  if (body.byteLength <= codec.maxBytes) return body;
  throw refuse(
    "out_of_range",
    `Cannot encode ${what}: the body has ${body.byteLength} bytes, at most ${codec.maxBytes} are allowed`,
  );
}

/** Decodes a body; one that is over the codec's limit is refused unread. */
export function decodeBody<Out>(
  codec: Codec<never, Out>,
  body: Uint8Array,
  what: "request" | "reply",
): Out | Promise<Out> {
  if (body.byteLength <= codec.maxBytes) return codec.decode(body);
  throw refuse(
    "out_of_range",
    `Cannot decode ${what}: the body has ${body.byteLength} bytes, at most ${codec.maxBytes} are allowed`,
  );
}
