import { refuse } from "./body_text.ts";

/**
 * The largest body that a codec may carry, in bytes: just under 16 MiB, the default limit of a message from RabbitMQ 4.0
 * on (https://www.rabbitmq.com/docs/limits).
 *
 * @example
 * ```ts
 * import { MAX_BODY_BYTES, text } from "@rabbitmq-rpc/rpc";
 *
 * console.assert(text().maxBytes === MAX_BODY_BYTES);
 * ```
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

/** Checks the size limit of a codec; returns `fallback` if it is absent. */
export function checkedMaxBytes(options: CodecOptions, fallback = MAX_BODY_BYTES): number {
  const maxBytes = options.maxBytes ?? fallback;
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > MAX_BODY_BYTES) {
    throw new RangeError(
      `Cannot create codec: 'maxBytes' must be an integer between 1 and ${MAX_BODY_BYTES}, current value is ${maxBytes}`,
    );
  }
  return maxBytes;
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
