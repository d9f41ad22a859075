import { decodeText, encodeText, refuse } from "./body_text.ts";
import { checkedMaxBytes, type Codec, type CodecOptions } from "./codec.ts";

const NOTHING = new Uint8Array();

/**
 * Bytes, unchanged.
 *
 * @param options The size limit.
 * @returns The codec, `application/octet-stream`.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 *
 * @example
 * ```ts
 * import { bytes, procedure, text } from "@rabbitmq-rpc/rpc";
 *
 * const hash = procedure({ queue: "hash", request: bytes({ maxBytes: 1_048_576 }), reply: text(), idempotent: true });
 * console.assert(hash.request.maxBytes === 1_048_576);
 * ```
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
 * An empty body, `undefined` as a value: for requests without an argument, and handlers that return nothing. Any other
 * body is refused.
 *
 * @returns The codec, `application/octet-stream`.
 *
 * @example
 * ```ts
 * import { empty, method, service, text } from "@rabbitmq-rpc/rpc";
 *
 * const clock = service({
 *   queue: "clock",
 *   methods: { now: method({ request: empty(), reply: text(), idempotent: true }) },
 * });
 * console.assert(clock.methods.now.request.encode().length === 0);
 * ```
 */
export function empty(): Codec<void> {
  return {
    contentType: "application/octet-stream",
    maxBytes: 1,
    encode(value: void): Uint8Array {
      if (value === undefined) return NOTHING;
      throw refuse("invalid_argument", `Cannot encode nothing: must be undefined, current value is ${typeof value}`);
    },
    decode(body: Uint8Array): void {
      if (body.length === 0) return;
      throw refuse("invalid_argument", `Cannot decode nothing: the body has ${body.length} bytes, it must be empty`);
    },
  };
}

/**
 * Text as UTF-8; a body that is not valid UTF-8 is refused.
 *
 * @param options The size limit.
 * @returns The codec, `text/plain`.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 *
 * @example
 * ```ts
 * import { text } from "@rabbitmq-rpc/rpc";
 *
 * const name = text({ maxBytes: 100 });
 * console.assert(name.decode(name.encode("größe")) === "größe");
 * ```
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
