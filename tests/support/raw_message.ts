/**
 * Messages that amqplib cannot write: their header tables are bytes.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Channel } from "amqplib";

/** What a raw message has. */
export interface RawMessage {
  readonly exchange?: string;
  readonly routingKey: string;
  readonly correlationId: string;
  readonly replyTo?: string;
  /** The entries of the header table, without its size. */
  readonly headers: Uint8Array;
  readonly body: string;
}

function shortString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function uint(size: 2 | 4, value: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
}

/** Bytes with their length before them. */
export function longString(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint(4, bytes.length), bytes]);
}

function frame(type: number, channel: number, ...payload: Buffer[]): Buffer {
  const bytes = Buffer.concat(payload);
  return Buffer.concat([Buffer.from([type]), uint(2, channel), uint(4, bytes.length), bytes, Buffer.from([0xce])]);
}

/** One entry of a table. */
export function entry(name: string, type: string, value: Uint8Array): Buffer {
  return Buffer.concat([shortString(name), Buffer.from(type), value]);
}

/** Tables in tables, `depth` of them. */
export function nestedTables(depth: number): Buffer {
  const levels: Buffer[] = [];
  for (let n = 0, size = 0; n < depth; n++, size += 7) levels.unshift(entry("a", "F", uint(4, size)));
  return Buffer.concat(levels);
}

/** Writes a message past amqplib, on a channel on which nothing else is being written. */
export function publishRawTable(channel: Channel, message: RawMessage): void {
  const { connection, ch } = channel as unknown as {
    connection: { stream: { write(bytes: Buffer): void } };
    ch: number;
  };
  const { exchange = "", routingKey, correlationId, replyTo, headers, body } = message;
  const content = Buffer.from(body);
  const flags = 0x2000 | 0x0400 | (replyTo === undefined ? 0 : 0x0200);
  connection.stream.write(Buffer.concat([
    frame(1, ch, uint(2, 60), uint(2, 40), uint(2, 0), shortString(exchange), shortString(routingKey), Buffer.alloc(1)),
    frame(
      2,
      ch,
      ...[uint(2, 60), uint(2, 0), uint(4, 0), uint(4, content.length), uint(2, flags), longString(headers)],
      shortString(correlationId),
      replyTo === undefined ? Buffer.alloc(0) : shortString(replyTo),
    ),
    frame(3, ch, content),
  ]));
}
