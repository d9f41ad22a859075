import type { Buffer } from "node:buffer";

/** What amqplib makes of the arguments of `publish`. */
export interface PublishFields {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly contentType?: string | undefined;
  readonly deliveryMode?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly expiration?: string | undefined;
  readonly messageId?: string | undefined;
  readonly type?: string | undefined;
  /** What this protocol never sends. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  readonly contentEncoding?: unknown;
  readonly priority?: unknown;
  readonly timestamp?: unknown;
  readonly userId?: unknown;
  readonly appId?: unknown;
}

/** Method, header and body are frames of their own, each of this many bytes beside its payload. */
const FRAME_OVERHEAD = 8;
const FRAME_END = 0xce;
/** The smallest frame that a broker may insist on: a larger body may need more than one. */
const MAX_BODY = 4096 - FRAME_OVERHEAD;
const BASIC_PUBLISH = 0x003c_0028;
const BASIC = 0x003c_0000;

/** Whether {@linkcode encodePublish} knows all that a message has. */
export function isPlain(fields: PublishFields, content: Buffer): boolean {
  for (const _ in fields.headers) return false;
  return content.length <= MAX_BODY && fields.contentEncoding === undefined && fields.priority === undefined &&
    fields.timestamp === undefined && fields.userId === undefined && fields.appId === undefined;
}

function sizeOfText(text: string | undefined): number {
  return text === undefined ? 0 : 1 + text.length;
}

function sizeOfMethod({ exchange, routingKey }: PublishFields): number {
  return 6 + sizeOfText(exchange) + sizeOfText(routingKey) + 1;
}

function sizeOfHeader(fields: PublishFields): number {
  return 14 + sizeOfText(fields.contentType) + (fields.deliveryMode === undefined ? 0 : 1) +
    sizeOfText(fields.correlationId) + sizeOfText(fields.replyTo) + sizeOfText(fields.expiration) +
    sizeOfText(fields.messageId) + sizeOfText(fields.type);
}

/** How many bytes {@linkcode encodePublish} writes. */
export function sizeOfPublish(fields: PublishFields, content: Buffer): number {
  return sizeOfMethod(fields) + sizeOfHeader(fields) + 2 * FRAME_OVERHEAD +
    (content.length === 0 ? 0 : content.length + FRAME_OVERHEAD);
}

/**
 * Writes a plain message as the frames of AMQP 0-9-1, straight to where they
 * are sent from: amqplib makes eight Buffers of it.
 *
 * @returns Whether it could: false if a text is not ASCII, or too long; what it has written is then no message.
 */
export function encodePublish(
  bytes: Buffer,
  start: number,
  channel: number,
  fields: PublishFields,
  content: Buffer,
): boolean {
  let at = beginFrame(bytes, start, 1, channel, sizeOfMethod(fields));
  at = writeUint32(bytes, at, BASIC_PUBLISH);
  at = writeUint16(bytes, at, 0);
  at = writeText(bytes, at, fields.exchange);
  at = writeText(bytes, at, fields.routingKey);
  bytes[at++] = fields.mandatory ? 1 : 0;
  bytes[at++] = FRAME_END;

  at = beginFrame(bytes, at, 2, channel, sizeOfHeader(fields));
  at = writeUint32(bytes, at, BASIC);
  at = writeUint32(bytes, at, 0);
  at = writeUint32(bytes, at, content.length);
  at = writeProperties(bytes, at, fields);
  bytes[at++] = FRAME_END;
  // NaN counts as 0 where bytes are copied to: a body would go over what was gathered before this message.
  if (Number.isNaN(at)) return false;

  if (content.length > 0) {
    at = beginFrame(bytes, at, 3, channel, content.length);
    // So few bytes are copied faster by hand.
    if (content.length > 64) content.copy(bytes, at);
    else for (let n = 0; n < content.length; n++) bytes[at + n] = content[n] as number;
    bytes[at + content.length] = FRAME_END;
  }
  return true;
}

/** Flags first, then what they name, in the order of the specification. */
function writeProperties(bytes: Buffer, flagsAt: number, fields: PublishFields): number {
  const { contentType, deliveryMode, correlationId, replyTo, expiration, messageId, type } = fields;
  let flags = 0;
  let at = flagsAt + 2;
  if (contentType !== undefined) {
    flags |= 0x8000;
    at = writeText(bytes, at, contentType);
  }
  if (deliveryMode !== undefined) {
    flags |= 0x1000;
    bytes[at++] = deliveryMode;
  }
  if (correlationId !== undefined) {
    flags |= 0x0400;
    at = writeText(bytes, at, correlationId);
  }
  if (replyTo !== undefined) {
    flags |= 0x0200;
    at = writeText(bytes, at, replyTo);
  }
  if (expiration !== undefined) {
    flags |= 0x0100;
    at = writeText(bytes, at, expiration);
  }
  if (messageId !== undefined) {
    flags |= 0x0080;
    at = writeText(bytes, at, messageId);
  }
  if (type !== undefined) {
    flags |= 0x0020;
    at = writeText(bytes, at, type);
  }
  writeUint16(bytes, flagsAt, flags);
  return at;
}

function beginFrame(bytes: Buffer, at: number, type: number, channel: number, size: number): number {
  bytes[at] = type;
  return writeUint32(bytes, writeUint16(bytes, at + 1, channel), size);
}

function writeUint16(bytes: Buffer, at: number, value: number): number {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
  return at + 2;
}

function writeUint32(bytes: Buffer, at: number, value: number): number {
  return writeUint16(bytes, writeUint16(bytes, at, value >>> 16), value);
}

/** Writes a short string of ASCII; gives NaN, which no later step mends, if it is none. */
function writeText(bytes: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > 255) return NaN;
  bytes[at++] = length;
  let all = 0;
  for (let n = 0; n < length; n++) {
    const code = text.charCodeAt(n);
    all |= code;
    bytes[at++] = code;
  }
  return all > 127 ? NaN : at;
}
