import type { ByteString } from "./byte_string.ts";
import type { ByteWriter } from "./byte_writer.ts";
import {
  APP_ID,
  CLUSTER_ID,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  EXPIRATION,
  HEADERS,
  MAX_SHORT_STRING,
  MESSAGE_ID,
  PRIORITY,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
  USER_ID,
} from "./constants.ts";
import type { HeaderList, PublishProperties } from "./message.ts";

/** The tag of a long string in a table. */
const LONG_STRING = 0x53;

/**
 * How many bytes a short string takes.
 *
 * @throws {RangeError} If it is longer than 255 bytes.
 */
export function sizeOfShortString(name: string, value: ByteString): number {
  const { length } = value;
  if (length > MAX_SHORT_STRING) {
    throw new RangeError(
      `Cannot encode the message: '${name}' has ${length} bytes, at most ${MAX_SHORT_STRING} are allowed`,
    );
  }
  return 1 + length;
}

/**
 * How many bytes {@linkcode writeProperties} writes.
 *
 * @throws {RangeError} If a string is too long, or a number is out of the range of its type.
 */
export function sizeOfProperties(properties: PublishProperties): number {
  const { contentType, contentEncoding, headers, deliveryMode, priority, correlationId, replyTo } = properties;
  const { expiration, messageId, timestamp, type, userId, appId, clusterId } = properties;
  let size = 2;
  if (contentType !== undefined) size += sizeOfShortString("contentType", contentType);
  if (contentEncoding !== undefined) size += sizeOfShortString("contentEncoding", contentEncoding);
  if (headers !== undefined) size += sizeOfHeaders(headers);
  if (deliveryMode !== undefined) size += sizeOfNumber("deliveryMode", deliveryMode, 0xff, 1);
  if (priority !== undefined) size += sizeOfNumber("priority", priority, 0xff, 1);
  if (correlationId !== undefined) size += sizeOfShortString("correlationId", correlationId);
  if (replyTo !== undefined) size += sizeOfShortString("replyTo", replyTo);
  if (expiration !== undefined) size += sizeOfShortString("expiration", expiration);
  if (messageId !== undefined) size += sizeOfShortString("messageId", messageId);
  if (timestamp !== undefined) size += sizeOfNumber("timestamp", timestamp, Number.MAX_SAFE_INTEGER, 8);
  if (type !== undefined) size += sizeOfShortString("type", type);
  if (userId !== undefined) size += sizeOfShortString("userId", userId);
  if (appId !== undefined) size += sizeOfShortString("appId", appId);
  if (clusterId !== undefined) size += sizeOfShortString("clusterId", clusterId);
  return size;
}

/** Writes the flags, then the properties that they name, in the order of the specification. */
export function writeProperties(writer: ByteWriter, properties: PublishProperties): void {
  const { contentType, contentEncoding, headers, deliveryMode, priority, correlationId, replyTo } = properties;
  const { expiration, messageId, timestamp, type, userId, appId, clusterId } = properties;
  writer.uint16(
    (contentType === undefined ? 0 : CONTENT_TYPE) | (contentEncoding === undefined ? 0 : CONTENT_ENCODING) |
      (headers === undefined ? 0 : HEADERS) | (deliveryMode === undefined ? 0 : DELIVERY_MODE) |
      (priority === undefined ? 0 : PRIORITY) | (correlationId === undefined ? 0 : CORRELATION_ID) |
      (replyTo === undefined ? 0 : REPLY_TO) | (expiration === undefined ? 0 : EXPIRATION) |
      (messageId === undefined ? 0 : MESSAGE_ID) | (timestamp === undefined ? 0 : TIMESTAMP) |
      (type === undefined ? 0 : TYPE) | (userId === undefined ? 0 : USER_ID) | (appId === undefined ? 0 : APP_ID) |
      (clusterId === undefined ? 0 : CLUSTER_ID),
  );
  if (contentType !== undefined) writer.shortString(contentType);
  if (contentEncoding !== undefined) writer.shortString(contentEncoding);
  if (headers !== undefined) writeHeaders(writer, headers);
  if (deliveryMode !== undefined) writer.uint8(deliveryMode);
  if (priority !== undefined) writer.uint8(priority);
  if (correlationId !== undefined) writer.shortString(correlationId);
  if (replyTo !== undefined) writer.shortString(replyTo);
  if (expiration !== undefined) writer.shortString(expiration);
  if (messageId !== undefined) writer.shortString(messageId);
  if (timestamp !== undefined) writer.uint64(timestamp);
  if (type !== undefined) writer.shortString(type);
  if (userId !== undefined) writer.shortString(userId);
  if (appId !== undefined) writer.shortString(appId);
  if (clusterId !== undefined) writer.shortString(clusterId);
}

function sizeOfNumber(name: string, value: number, max: number, size: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`Cannot encode the message: '${name}' is ${value}, not an integer from 0 to ${max}`);
  }
  return size;
}

function isRaw(headers: HeaderList | Uint8Array): headers is Uint8Array {
  return headers instanceof Uint8Array;
}

function sizeOfHeaders(headers: HeaderList | Uint8Array): number {
  if (isRaw(headers)) return 4 + headers.length;
  let size = 4;
  for (const [name, value] of headers) size += sizeOfShortString("name of a header", name) + 5 + value.length;
  return size;
}

function writeHeaders(writer: ByteWriter, headers: HeaderList | Uint8Array): void {
  if (isRaw(headers)) {
    writer.uint32(headers.length);
    writer.copy(headers, 0, headers.length);
    return;
  }
  const start = writer.skip(4);
  for (const [name, value] of headers) {
    writer.shortString(name);
    writer.uint8(LONG_STRING);
    writer.longString(value);
  }
  writer.uint32At(start, writer.at - start - 4);
}
