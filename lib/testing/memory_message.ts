import { Buffer } from "node:buffer";
import type { ByteString } from "../wire/byte_string.ts";
import { ByteReader } from "../wire/byte_reader.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import { encodePublish, sizeOfPublish } from "../wire/frame_encoder.ts";
import type { Delivery, Properties, Publish, Returned } from "../wire/message.ts";
import { NO_PROPERTIES, PropertiesDecoder } from "../wire/properties_decoder.ts";
import { sizeOfProperties, writeProperties } from "../wire/properties_encoder.ts";

/** The frame size that RabbitMQ and amqplib agree on by default, in bytes. */
const FRAME_MAX = 131_072;

const COUNT_HEADER = "x-delivery-count";

/** A message that a broker keeps: nothing of it is shared with its sender or its receivers. */
export interface StoredMessage {
  readonly exchange: ByteString;
  readonly routingKey: ByteString;
  readonly mandatory: boolean;
  readonly properties: Properties;
  readonly body: Uint8Array;
}

/**
 * Copies a message; its properties are encoded and decoded as on the way to a broker and back.
 *
 * @throws {RangeError | TypeError} If it cannot be encoded.
 */
export function store(message: Publish): StoredMessage {
  const { exchange, routingKey, mandatory, body } = message;
  encodePublish(new Uint8Array(sizeOfPublish(message, FRAME_MAX)), 0, { channel: 1, frameMax: FRAME_MAX }, message);
  const bytes = Buffer.alloc(sizeOfProperties(message.properties));
  const writer = new ByteWriter();
  writer.reset(bytes, 0);
  writeProperties(writer, message.properties);
  const reader = new ByteReader();
  reader.reset(bytes, 0, bytes.length);
  const properties = new PropertiesDecoder().decode(reader) ?? NO_PROPERTIES;
  return { exchange, routingKey, mandatory, properties, body: body.slice() };
}

/** How long a message may wait in its queue, in ms. */
export function timeToLive({ properties: { expiration } }: StoredMessage): number {
  return expiration === undefined ? Infinity : Number(expiration);
}

/** How a message is delivered. */
export interface DeliveryFacts {
  readonly consumerTag: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  /** How often it was returned to a quorum queue; absent for other queues. */
  readonly deliveryCount: number | undefined;
}

/** A message for a consumer. */
export function toDelivery(message: StoredMessage, facts: DeliveryFacts): Delivery {
  const { exchange, routingKey, properties, body } = message;
  const { consumerTag, deliveryTag, redelivered, deliveryCount = 0 } = facts;
  const headers = deliveryCount === 0 ? properties.headers : withCount(properties.headers, deliveryCount);
  return {
    consumerTag,
    deliveryTag,
    redelivered,
    exchange,
    routingKey,
    properties: { ...properties, headers },
    body: body.slice(),
    malformed: undefined,
  };
}

/** A message for its sender, because no queue took it. */
export function toReturned({ exchange, routingKey, properties, body }: StoredMessage): Returned {
  return { replyCode: 312, replyText: "NO_ROUTE", exchange, routingKey, properties, body, malformed: undefined };
}

/** Adds the header with which a quorum queue counts, a 64-bit integer, to a table. */
function withCount(table: Uint8Array | undefined, count: number): Uint8Array {
  const entry = Buffer.alloc(1 + COUNT_HEADER.length + 1 + 8);
  entry.writeUInt8(COUNT_HEADER.length);
  entry.write(`${COUNT_HEADER}l`, 1, "latin1");
  entry.writeBigInt64BE(BigInt(count), entry.length - 8);
  return table === undefined ? entry : Buffer.concat([table, entry]);
}
