import { ByteWriter } from "./byte_writer.ts";
import {
  BASIC,
  BASIC_ACK,
  BASIC_NACK,
  BASIC_PUBLISH,
  BASIC_REJECT,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_METHOD,
  FRAME_MIN_SIZE,
  FRAME_OVERHEAD,
} from "./constants.ts";
import type { Publish } from "./message.ts";
import { sizeOfProperties, sizeOfShortString, writeProperties } from "./properties_encoder.ts";

/** How many bytes {@linkcode encodeAck}, {@linkcode encodeNack} and {@linkcode encodeReject} write. */
export const ACK_SIZE = FRAME_OVERHEAD + 13;

/** The fixed part of the method frame: class and method, a ticket that is not used any more, and the flags. */
const METHOD_SIZE = FRAME_OVERHEAD + 7;
/** The fixed part of the content header: class, a weight that is always 0, and the size of the body. */
const HEADER_SIZE = FRAME_OVERHEAD + 12;

/** The channel that frames are for, and the limit of their size. */
export interface Place {
  /** The number of the channel, 1 to 65,535. */
  readonly channel: number;
  /** The largest frame that the broker accepts, with its head and end, in bytes; 4,096 or more. */
  readonly frameMax: number;
}

const writer = new ByteWriter();
const NOTHING = new Uint8Array(0);

/**
 * How many bytes {@linkcode encodePublish} writes.
 *
 * @throws {RangeError} If a short string has more than 255 bytes, a number is out of the range of its type, or all
 * properties together do not fit a frame.
 */
export function sizeOfPublish(message: Publish, frameMax: number): number {
  return sizeOfHead(message, frameMax) + sizeOfBody(message.body.length, frameMax);
}

/**
 * Writes a message as the frames of `basic.publish`: method, content header, and as many body frames as it needs. It
 * writes only to its range, `sizeOfPublish` bytes from `at` on; if it throws, that range must not be sent.
 *
 * @param size What `sizeOfPublish` returned for the same message, if that was called already.
 * @returns Where the range ends.
 * @throws {RangeError} As `sizeOfPublish`, or if the buffer is too small; nothing is written then.
 * @throws {TypeError} If a text has a character above U+00FF, so that it is not a byte string.
 */
export function encodePublish(
  bytes: Uint8Array,
  at: number,
  place: Place,
  message: Publish,
  size: number = sizeOfPublish(message, place.frameMax),
): number {
  const { channel, frameMax } = place;
  const { body } = message;
  begin(bytes, at, size, channel);
  writeHead(channel, message, size - sizeOfBody(body.length, frameMax));
  const step = frameMax - FRAME_OVERHEAD;
  for (let start = 0; start < body.length; start += step) {
    const end = Math.min(body.length, start + step);
    writeFrameHead(FRAME_BODY, channel, end - start);
    writer.copy(body, start, end);
    writer.uint8(FRAME_END);
  }
  return finish();
}

/**
 * The same bytes as {@linkcode encodePublish}, in pieces for one `writev`: those of the body are views, so a large body
 * is not copied. The body must not change until the pieces are written.
 *
 * @throws {RangeError} As `encodePublish`.
 * @throws {TypeError} As `encodePublish`.
 */
export function piecesOfPublish(place: Place, message: Publish): Uint8Array[] {
  const { channel, frameMax } = place;
  const { body } = message;
  const head = sizeOfHead(message, frameMax);
  const step = frameMax - FRAME_OVERHEAD;
  const count = Math.ceil(body.length / step);
  // One buffer for all that is not body: the method and header, and the head and end of each body frame.
  const bytes = new Uint8Array(head + count * FRAME_OVERHEAD);
  begin(bytes, 0, bytes.length, channel);
  writeHead(channel, message, head);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let start = 0; start < body.length; start += step) {
    const end = Math.min(body.length, start + step);
    writeFrameHead(FRAME_BODY, channel, end - start);
    pieces.push(bytes.subarray(from, writer.at), body.subarray(start, end));
    from = writer.at;
    writer.uint8(FRAME_END);
  }
  pieces.push(bytes.subarray(from));
  finish();
  return pieces;
}

/**
 * Writes `basic.ack`, which acknowledges the message; with `multiple`, all before it on the channel as well.
 *
 * @returns Where it ends, {@linkcode ACK_SIZE} bytes after `at`.
 * @throws {RangeError} If the tag is not an integer from 0 up to 2^53, or the buffer is too small; writes nothing then.
 */
export function encodeAck(
  bytes: Uint8Array,
  at: number,
  channel: number,
  deliveryTag: number,
  multiple: boolean,
): number {
  return writeAck(bytes, at, channel, BASIC_ACK, deliveryTag, multiple ? 1 : 0);
}

/**
 * Writes `basic.nack`, RabbitMQ's extension, which refuses the message; with `multiple`, all before it on the channel as
 * well.
 *
 * @returns Where it ends, {@linkcode ACK_SIZE} bytes after `at`.
 * @throws {RangeError} If the tag is not an integer from 0 up to 2^53, or the buffer is too small; writes nothing then.
 */
export function encodeNack(
  bytes: Uint8Array,
  at: number,
  channel: number,
  deliveryTag: number,
  { multiple, requeue }: { readonly multiple: boolean; readonly requeue: boolean },
): number {
  return writeAck(bytes, at, channel, BASIC_NACK, deliveryTag, (multiple ? 1 : 0) | (requeue ? 2 : 0));
}

/**
 * Writes `basic.reject`, which refuses the message. Quorum queues of 4.3 count it as a failed delivery, unlike `nack`.
 *
 * @returns Where it ends, {@linkcode ACK_SIZE} bytes after `at`.
 * @throws {RangeError} If the tag is not an integer from 0 up to 2^53, or the buffer is too small; writes nothing then.
 */
export function encodeReject(
  bytes: Uint8Array,
  at: number,
  channel: number,
  deliveryTag: number,
  requeue: boolean,
): number {
  return writeAck(bytes, at, channel, BASIC_REJECT, deliveryTag, requeue ? 1 : 0);
}

/** How many bytes the method and the content header take, as two frames. */
function sizeOfHead({ exchange, routingKey, properties }: Publish, frameMax: number): number {
  if (!(frameMax >= FRAME_MIN_SIZE)) {
    throw new RangeError(`Cannot encode the message: 'frameMax' is ${frameMax}, it must be ${FRAME_MIN_SIZE} or more`);
  }
  const method = METHOD_SIZE + sizeOfShortString("exchange", exchange) + sizeOfShortString("routingKey", routingKey);
  const header = HEADER_SIZE + sizeOfProperties(properties);
  if (header > frameMax) {
    throw new RangeError(
      `Cannot encode the message: its properties make a frame of ${header} bytes, the broker takes ${frameMax}`,
    );
  }
  return method + header;
}

/** How many bytes the body takes, as frames: none if it is empty. */
function sizeOfBody(length: number, frameMax: number): number {
  return length + Math.ceil(length / (frameMax - FRAME_OVERHEAD)) * FRAME_OVERHEAD;
}

function begin(bytes: Uint8Array, at: number, size: number, channel: number): void {
  if (!(at >= 0 && at + size <= bytes.length)) {
    throw new RangeError(`Cannot encode ${size} bytes at ${at}: there is room for ${bytes.length}`);
  }
  if (!Number.isInteger(channel) || channel < 1 || channel > 0xffff) {
    throw new RangeError(`Cannot encode for channel ${channel}: it must be an integer from 1 to 65535`);
  }
  writer.reset(bytes, at);
}

/** Drops the reference to the buffer, so that its memory can be freed, and returns where the frames end. */
function finish(): number {
  const { at, valid } = writer;
  writer.reset(NOTHING, 0);
  if (!valid) throw new TypeError("Cannot encode the message: a text is not a byte string");
  return at;
}

function writeFrameHead(type: number, channel: number, size: number): void {
  writer.uint8(type);
  writer.uint16(channel);
  writer.uint32(size);
}

/** Writes the method and the content header, of `size` bytes together. */
function writeHead(
  channel: number,
  { exchange, routingKey, mandatory, properties, body }: Publish,
  size: number,
): void {
  const method = METHOD_SIZE + 2 + exchange.length + routingKey.length;
  writeFrameHead(FRAME_METHOD, channel, method - FRAME_OVERHEAD);
  writer.uint32(BASIC_PUBLISH);
  writer.uint16(0);
  writer.shortString(exchange);
  writer.shortString(routingKey);
  writer.uint8(mandatory ? 1 : 0);
  writer.uint8(FRAME_END);

  writeFrameHead(FRAME_HEADER, channel, size - method - FRAME_OVERHEAD);
  writer.uint16(BASIC);
  writer.uint16(0);
  writer.uint64(body.length);
  writeProperties(writer, properties);
  writer.uint8(FRAME_END);
}

function writeAck(
  bytes: Uint8Array,
  at: number,
  channel: number,
  method: number,
  deliveryTag: number,
  flags: number,
): number {
  if (!Number.isSafeInteger(deliveryTag) || deliveryTag < 0) {
    throw new RangeError(`Cannot encode delivery tag ${deliveryTag}: it must be an integer from 0 up to 2^53`);
  }
  begin(bytes, at, ACK_SIZE, channel);
  writeFrameHead(FRAME_METHOD, channel, ACK_SIZE - FRAME_OVERHEAD);
  writer.uint32(method);
  writer.uint64(deliveryTag);
  writer.uint8(flags);
  writer.uint8(FRAME_END);
  return finish();
}
