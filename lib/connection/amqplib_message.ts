import { Buffer } from "node:buffer";
import type { ConsumeMessage, Message, Options } from "amqplib";
import { fromByteString, toByteString } from "../wire/byte_string.ts";
import type { Delivery, Properties, Publish, Returned } from "../wire/message.ts";

/** Encodes a header again for {@linkcode toDelivery}; a value that is not text, a number or a boolean becomes void. */
function entry(name: string, value: unknown): Buffer {
  const key = Buffer.from(name);
  const head = Buffer.concat([Buffer.from([key.length]), key]);
  if (typeof value === "string") {
    const text = Buffer.from(value);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(text.length);
    return Buffer.concat([head, Buffer.from("S"), size, text]);
  }
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    if (Number.isSafeInteger(value)) bytes.writeBigInt64BE(BigInt(value));
    else bytes.writeDoubleBE(value);
    return Buffer.concat([head, Buffer.from(Number.isSafeInteger(value) ? "l" : "d"), bytes]);
  }
  if (typeof value === "boolean") return Buffer.concat([head, Buffer.from(`t${value ? "\x01" : "\0"}`)]);
  return Buffer.concat([head, Buffer.from("V")]);
}

function toTable(headers: Readonly<Record<string, unknown>> | undefined): Uint8Array | undefined {
  const entries = Object.entries(headers ?? {});
  return entries.length === 0 ? undefined : Buffer.concat(entries.map(([name, value]) => entry(name, value)));
}

function bytesOf(value: unknown): string | undefined {
  return typeof value === "string" ? toByteString(value) : undefined;
}

function toProperties({ properties }: Message): Properties {
  return {
    contentType: bytesOf(properties.contentType),
    contentEncoding: bytesOf(properties.contentEncoding),
    headers: toTable(properties.headers),
    correlationId: bytesOf(properties.correlationId),
    replyTo: bytesOf(properties.replyTo),
    expiration: bytesOf(properties.expiration),
    messageId: bytesOf(properties.messageId),
    type: bytesOf(properties.type),
  };
}

/** A message for a consumer, as amqplib decodes it. */
export function toDelivery(message: ConsumeMessage): Delivery {
  const { consumerTag = "", deliveryTag, redelivered, exchange, routingKey } = message.fields;
  return {
    consumerTag: toByteString(consumerTag),
    deliveryTag,
    redelivered,
    exchange: toByteString(exchange),
    routingKey: toByteString(routingKey),
    properties: toProperties(message),
    body: message.content,
    malformed: undefined,
  };
}

/** A returned message, as amqplib decodes it. */
export function toReturned(message: Message): Returned {
  const { exchange, routingKey, replyCode, replyText } = message.fields as unknown as Returned;
  return {
    replyCode,
    replyText: toByteString(replyText),
    exchange: toByteString(exchange),
    routingKey: toByteString(routingKey),
    properties: toProperties(message),
    body: message.content,
    malformed: undefined,
  };
}

function textOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : fromByteString(value);
}

/** The properties of a message, for amqplib to encode. */
export function toPublishOptions({ properties, mandatory }: Publish): Options.Publish {
  const { headers } = properties;
  const options = {
    contentType: textOf(properties.contentType),
    correlationId: textOf(properties.correlationId),
    replyTo: textOf(properties.replyTo),
    expiration: textOf(properties.expiration),
    messageId: textOf(properties.messageId),
    type: textOf(properties.type),
    priority: properties.priority,
    deliveryMode: properties.deliveryMode,
    mandatory,
    headers: headers === undefined || headers instanceof Uint8Array
      ? undefined
      : Object.fromEntries(headers.map(([name, value]) => [fromByteString(name), fromByteString(value)])),
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
