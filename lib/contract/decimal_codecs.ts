import { decodeText, encodeText, quote, refuse } from "./body_text.ts";
import { checkedMaxBytes, type Codec, type CodecOptions } from "./codec.ts";
import type { RpcError } from "./errors.ts";

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

const BLANKS = " \t\r\n";
const DECIMAL = /^(?:0|-?[1-9][0-9]*)$/;

function wanted(min: number | bigint | undefined, max: number | bigint | undefined): string {
  if (min !== undefined && max !== undefined) return `must be between ${min} and ${max}`;
  return min !== undefined ? `must be at least ${min}` : `must be at most ${max}`;
}

/** Removes blanks and line ends around a text, in linear time; `trim` would remove other characters as well. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && BLANKS.includes(text.charAt(start))) start++;
  while (end > start && BLANKS.includes(text.charAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/**
 * Reads plain decimal text: `30`, `-5` and `0` are accepted; `+5`, `3.0`, `1e3` and `0x1e` are not. Blanks and line ends
 * around it are ignored, as by the tutorials' servers: `echo 30 | amqp-publish` sends a line end.
 */
function decodeDecimal(body: Uint8Array, what: string): string {
  const text = decodeText(body, what);
  const digits = trimBlanks(text);
  if (DECIMAL.test(digits)) return digits;
  throw refuse(
    "invalid_argument",
    `Cannot decode ${what} ${quote(text)}: must be a plain decimal integer such as 30, ` +
      "without plus sign, fraction, exponent, prefix or leading zeros",
  );
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
 * Tells from its length alone that a number is beyond a bound: parsing takes more than linear time. A number with more
 * digits than both bounds is above the upper or below the lower one, whichever its sign is.
 */
function longerThan(min: bigint | undefined, max: bigint | undefined): (digits: string) => boolean {
  const most = Math.max(...[min, max].map((bound) => bound === undefined ? 1 : String(bound).replace("-", "").length));
  return (digits) => {
    const isNegative = digits.startsWith("-");
    return (isNegative ? min : max) !== undefined && digits.length - (isNegative ? 1 : 0) > most;
  };
}

/**
 * An integer of any size as plain decimal text, for values that a number cannot hold exactly.
 *
 * @param options Its bounds, both included, and the size limit.
 * @returns The codec, `text/plain`.
 * @throws {RangeError} If `min` is above `max`, or `maxBytes` is out of its bounds.
 *
 * @example
 * ```ts
 * import { bigint } from "@rabbitmq-rpc/rpc";
 *
 * const count = bigint({ min: 0n });
 * console.assert(count.decode(count.encode(2n ** 64n)) === 18_446_744_073_709_551_616n);
 * ```
 */
export function bigint(options: BigintOptions = {}): Codec<bigint> {
  const { min, max } = options;
  if (min !== undefined && max !== undefined && min > max) {
    throw new RangeError(`Cannot create bigint codec: 'min' must not be above 'max', got ${min} and ${max}`);
  }
  const isInside = (value: bigint): boolean =>
    (min === undefined || value >= min) && (max === undefined || value <= max);
  const outside = (digits: string, action: string): RpcError =>
    refuse("out_of_range", `Cannot ${action} integer ${quote(digits)}: ${wanted(min, max)}`, {
      min: min?.toString(),
      max: max?.toString(),
    });
  const isTooLong = longerThan(min, max);
  return {
    contentType: "text/plain",
    maxBytes: checkedMaxBytes(options, 1024 * 1024),
    encode(value: bigint): Uint8Array {
      if (typeof value === "bigint") {
        const digits = String(value);
        if (isInside(value)) return encodeText(digits);
        throw outside(digits, "encode");
      }
      throw refuse("invalid_argument", `Cannot encode integer: must be a bigint, current value is ${String(value)}`);
    },
    decode(body: Uint8Array): bigint {
      const digits = decodeDecimal(body, "integer");
      if (isTooLong(digits)) throw outside(digits, "decode");
      const value = BigInt(digits);
      if (isInside(value)) return value;
      throw outside(digits, "decode");
    },
  };
}
