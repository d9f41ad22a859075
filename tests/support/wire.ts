/**
 * Frames as a broker may send them, good and bad, and what our decoder makes of them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Confirm, Delivery, Properties, Returned } from "../../lib/wire/message.ts";
import { FrameDecoder, type FrameDecoderOptions } from "../../lib/wire/frame_decoder.ts";

/** A frame. */
export function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(7);
  head[0] = type;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

/** Integers of so many bytes each, in network order. */
export function uint(size: 1 | 2 | 4 | 8, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  return bytes.subarray(8 - size);
}

/** A short string, of the bytes of a byte string. */
export function short(text: string): Buffer {
  return Buffer.concat([uint(1, text.length), Buffer.from(text, "latin1")]);
}

/** A long string, of the bytes of a byte string. */
export function long(bytes: string | Uint8Array): Buffer {
  const content = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
  return Buffer.concat([uint(4, content.length), content]);
}

/** An entry of a table. */
export function entry(name: string, tag: string, ...value: Uint8Array[]): Buffer {
  return Buffer.concat([short(name), Buffer.from(tag, "latin1"), ...value]);
}

/** A method frame. */
export function method(channel: number, id: number, ...fields: Uint8Array[]): Buffer {
  return frame(1, channel, Buffer.concat([uint(4, id), ...fields]));
}

/** `basic.deliver`. */
export function deliver(channel: number, fields: Partial<Delivery> & { tag?: number | bigint } = {}): Buffer {
  const { consumerTag = "ctag", deliveryTag = 1, redelivered = false, exchange = "", routingKey = "q" } = fields;
  return method(
    channel,
    0x003c_003c,
    short(consumerTag),
    uint(8, fields.tag ?? deliveryTag),
    uint(1, redelivered ? 1 : 0),
    short(exchange),
    short(routingKey),
  );
}

/** `basic.return`. */
export function returnOf(channel: number, fields: Partial<Returned> = {}): Buffer {
  const { replyCode = 312, replyText = "NO_ROUTE", exchange = "", routingKey = "q" } = fields;
  return method(channel, 0x003c_0032, uint(2, replyCode), short(replyText), short(exchange), short(routingKey));
}

/** `basic.ack` or `basic.nack` of a broker. */
export function confirm(channel: number, { deliveryTag, multiple, nack }: Confirm): Buffer {
  return method(channel, nack ? 0x003c_0078 : 0x003c_0050, uint(8, deliveryTag), uint(1, multiple ? 1 : 0));
}

/** A content header with these flags and this property list. */
export function rawHeader(channel: number, size: number | bigint, flags: number, list: Uint8Array): Buffer {
  return frame(2, channel, Buffer.concat([uint(2, 60), uint(2, 0), uint(8, size), uint(2, flags), list]));
}

/** A content header. */
export function header(channel: number, size: number | bigint, properties: Properties = {}): Buffer {
  const parts: [bit: number, value: Uint8Array][] = [];
  const text = (bit: number, value: string | undefined): void => {
    if (value !== undefined) parts.push([bit, short(value)]);
  };
  const octet = (bit: number, value: number | undefined): void => {
    if (value !== undefined) parts.push([bit, uint(1, value)]);
  };
  text(15, properties.contentType);
  text(14, properties.contentEncoding);
  if (properties.headers !== undefined) parts.push([13, long(properties.headers)]);
  octet(12, properties.deliveryMode);
  octet(11, properties.priority);
  text(10, properties.correlationId);
  text(9, properties.replyTo);
  text(8, properties.expiration);
  text(7, properties.messageId);
  if (properties.timestamp !== undefined) parts.push([6, uint(8, properties.timestamp)]);
  text(5, properties.type);
  text(4, properties.userId);
  text(3, properties.appId);
  text(2, properties.clusterId);
  const flags = parts.reduce((all, [bit]) => all | 1 << bit, 0);
  return rawHeader(channel, size, flags, Buffer.concat(parts.map(([, value]) => value)));
}

/** A body frame. */
export function body(channel: number, content: string | Uint8Array): Buffer {
  return frame(3, channel, typeof content === "string" ? Buffer.from(content, "latin1") : content);
}

/** The frames of a body, none of more than `size` bytes of payload. */
export function bodies(channel: number, content: Uint8Array, size: number): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < content.length; at += size) frames.push(body(channel, content.subarray(at, at + size)));
  return frames;
}

/** What our decoder made of what came, in order. */
export type Heard =
  | { readonly kind: "delivery"; readonly channel: number; readonly message: Delivery }
  | { readonly kind: "return"; readonly channel: number; readonly message: Returned }
  | { readonly kind: "confirm"; readonly channel: number; readonly confirm: Confirm }
  | { readonly kind: "other"; readonly channel: number; readonly frame: Uint8Array }
  | { readonly kind: "violation"; readonly channel: number; readonly reason: string }
  | { readonly kind: "fault"; readonly reason: string };

/** A decoder that has taken channels, and writes down what it tells. */
export class Recorder {
  readonly heard: Heard[] = [];
  readonly decoder: FrameDecoder;

  constructor(channels: readonly number[], options: Partial<FrameDecoderOptions> = {}) {
    const { heard } = this;
    this.decoder = new FrameDecoder({
      maxFrameSize: 131_072,
      other: (frame, channel) => heard.push({ kind: "other", channel, frame }),
      ...options,
    });
    for (const channel of channels) this.take(channel);
  }

  /** Takes a channel, anew if it has it already. */
  take(channel: number): void {
    const { heard } = this;
    this.decoder.take(channel, {
      delivered: (message) => heard.push({ kind: "delivery", channel, message }),
      returned: (message) => heard.push({ kind: "return", channel, message }),
      confirmed: (confirm) => heard.push({ kind: "confirm", channel, confirm }),
      violated: (reason) => heard.push({ kind: "violation", channel, reason }),
    });
  }

  /** Decodes chunks, and gives all that was heard so far. */
  push(...chunks: readonly Uint8Array[]): Heard[] {
    for (const chunk of chunks) {
      const reason = this.decoder.push(chunk);
      if (reason !== undefined && this.heard.at(-1)?.kind !== "fault") this.heard.push({ kind: "fault", reason });
    }
    return this.heard;
  }
}

/** Cuts bytes at places, in whatever order these are. */
export function cut(bytes: Uint8Array, places: Iterable<number>): Uint8Array[] {
  const sorted = Array.from(places, (place) => Math.min(place, bytes.length)).sort((a, b) => a - b);
  const ends = [...sorted, bytes.length];
  // Copies, so that nothing is right only because chunks lie next to each other in memory.
  return ends.map((end, n) => Uint8Array.from(bytes.subarray(sorted[n - 1] ?? 0, end)));
}
