import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type { ChannelModel } from "amqplib";

const FRAME_HEADER = 2;
/** Type, channel and size before a frame's payload. */
const PREFIX = 7;
/** Class, weight, body size and flags before the properties. */
const FIXED = 14;
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;
/** amqplib reads nested tables by recursion, which about 5,000 levels end with a stack overflow. */
const MAX_DEPTH = 64;

/** The bytes of a value by its type; `S`, `x`, `F` and `A` say their size themselves. */
const SIZES: Readonly<Record<string, number>> = {
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  l: 8,
  f: 4,
  d: 8,
  D: 5,
  T: 8,
  t: 1,
  V: 0,
};

/**
 * Whether amqplib can decode a table: it throws on types that it does not know, such as py-amqp's `L`, and on bytes
 * that end too early.
 *
 * @param bytes Holds the table.
 * @param start Where its entries begin, behind its size.
 * @param end Where they end.
 */
export function isDecodableTable(bytes: Buffer, start: number, end: number): boolean {
  /** The ends of the tables and arrays that are open, with whether values have names there. */
  const open = [{ end, named: true }];
  let at = start;
  for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
    if (at > level.end) return false;
    if (at === level.end) {
      open.pop();
      continue;
    }
    if (level.named) at += 1 + (bytes[at] as number);
    if (at >= level.end) return false;
    const type = String.fromCharCode(bytes[at++] as number);
    if (type === "S" || type === "x" || type === "F" || type === "A") {
      if (at + 4 > level.end) return false;
      const size = bytes.readUInt32BE(at);
      at += 4;
      if (at + size > level.end) return false;
      if (type === "S" || type === "x") at += size;
      else if (open.push({ end: at + size, named: type === "F" }) > MAX_DEPTH) return false;
    } else {
      const size = SIZES[type];
      if (size === undefined) return false;
      at += size;
    }
  }
  return true;
}

/** A content header frame without its headers; undefined if amqplib can decode it as it is. */
function withoutHeaders(frame: Buffer): Buffer | undefined {
  const flags = frame.readUInt16BE(PREFIX + FIXED - 2);
  if ((flags & HEADERS) === 0) return undefined;
  let at = PREFIX + FIXED;
  for (const flag of [CONTENT_TYPE, CONTENT_ENCODING]) {
    if ((flags & flag) !== 0) at += 1 + (frame[at] ?? 0);
  }
  const last = frame.length - 1;
  const size = at + 4 <= last ? frame.readUInt32BE(at) : Infinity;
  const end = at + 4 + size;
  if (end <= last && isDecodableTable(frame, at + 4, end)) return undefined;
  // A size that is wrong leaves nothing to be read behind it.
  const stripped = Buffer.concat([frame.subarray(0, at), end <= last ? frame.subarray(end) : frame.subarray(last)]);
  const kept = end <= last ? flags & ~HEADERS : flags & (CONTENT_TYPE | CONTENT_ENCODING);
  stripped.writeUInt32BE(stripped.length - PREFIX - 1, 3);
  stripped.writeUInt16BE(kept, PREFIX + FIXED - 2);
  return stripped;
}

/** What is used here of an amqplib connection and is not in its types. */
interface Internals {
  readonly stream: Duplex;
  rest: Buffer;
  recvSinceLastCheck: boolean;
  recvFrame(): unknown;
}

function internalsOf(model: ChannelModel): Internals | undefined {
  const connection = model.connection as unknown as Partial<Internals>;
  const known = connection.recvFrame?.length === 0 && Buffer.isBuffer(connection.rest) &&
    typeof connection.recvSinceLastCheck === "boolean" && typeof connection.stream?.read === "function";
  return known ? connection as Internals : undefined;
}

/**
 * Takes headers that amqplib cannot decode out of messages before it sees them: it would give up the connection, get
 * the message again over the next one, and give that up as well.
 *
 * @returns Whether amqplib is as it must be for this; if not, all stays as it is.
 */
export function guardHeaders(model: ChannelModel): boolean {
  const connection = internalsOf(model);
  if (connection === undefined) return false;
  const { recvFrame } = connection;
  connection.recvFrame = () => {
    for (;;) {
      const { rest } = connection;
      const end = rest.length < PREFIX ? Infinity : PREFIX + rest.readUInt32BE(3) + 1;
      if (end <= rest.length || connection.stream.readableLength === 0) {
        if (rest[0] === FRAME_HEADER && end <= rest.length && end > PREFIX + FIXED) {
          const stripped = withoutHeaders(rest.subarray(0, end));
          if (stripped !== undefined) connection.rest = Buffer.concat([stripped, rest.subarray(end)]);
        }
        return recvFrame.call(connection);
      }
      const incoming: unknown = connection.stream.read();
      if (!Buffer.isBuffer(incoming)) return false;
      connection.recvSinceLastCheck = true;
      connection.rest = Buffer.concat([rest, incoming]);
    }
  };
  return true;
}
