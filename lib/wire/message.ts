import type { ByteString } from "./byte_string.ts";

/**
 * The properties of a message (class `basic`), unchanged. All short strings are byte strings.
 *
 * @see {@link https://www.rabbitmq.com/amqp-0-9-1-reference#class.basic}
 */
export interface Properties {
  /** The MIME type of the body. */
  readonly contentType?: ByteString | undefined;
  /** The MIME encoding of the body. */
  readonly contentEncoding?: ByteString | undefined;
  /** The entries of the headers table as bytes, without the length before them; see `field_table.ts`. */
  readonly headers?: Uint8Array | undefined;
  /** 1 for transient, 2 for persistent; a peer may send any octet. */
  readonly deliveryMode?: number | undefined;
  /** 0 to 255. */
  readonly priority?: number | undefined;
  /** Which request a reply answers. */
  readonly correlationId?: ByteString | undefined;
  /** Where to send replies. */
  readonly replyTo?: ByteString | undefined;
  /** After how many ms the message expires, in decimal digits. */
  readonly expiration?: ByteString | undefined;
  /** The sender's name for the message. */
  readonly messageId?: ByteString | undefined;
  /** In seconds since 1970; rounded above 2^53. */
  readonly timestamp?: number | undefined;
  /** The sender's name for the kind of message. */
  readonly type?: ByteString | undefined;
  /** The user name with which the sender logged in; checked by the broker. */
  readonly userId?: ByteString | undefined;
  /** The sender's name for itself. */
  readonly appId?: ByteString | undefined;
  /** Reserved; decoded only so that the end of the properties is found. */
  readonly clusterId?: ByteString | undefined;
}

/** Headers to send: names and values, both byte strings; a name has at most 255 bytes. */
export type HeaderList = readonly (readonly [name: ByteString, value: ByteString])[];

/** Properties to send: headers are a list, or the bytes of a received table. */
export interface PublishProperties extends Omit<Properties, "headers"> {
  /** Names and values, sent as long strings; or the entries of a table as bytes. */
  readonly headers?: HeaderList | Uint8Array | undefined;
}

/** A message to publish. */
export interface Publish {
  /** The exchange; empty for the default one. */
  readonly exchange: ByteString;
  /** With the default exchange, the name of the queue. */
  readonly routingKey: ByteString;
  /** Whether the broker returns what it cannot route. */
  readonly mandatory: boolean;
  readonly properties: PublishProperties;
  readonly body: Uint8Array;
}

/** What messages that arrive have in common. */
interface Arrived {
  readonly exchange: ByteString;
  readonly routingKey: ByteString;
  /** None if the message is malformed. */
  readonly properties: Properties;
  /**
   * A view of a chunk from the socket if one frame held the whole body, else separate memory. A view is valid as long as
   * that chunk is not written to, and keeps all of it in memory: copy a body that is kept for long. Empty if the message
   * is malformed.
   */
  readonly body: Uint8Array;
  /** Why the message cannot be read; it can still be refused by its delivery tag. Absent if nothing is wrong with it. */
  readonly malformed: string | undefined;
}

/** A message for a consumer: `basic.deliver` with its content. */
export interface Delivery extends Arrived {
  readonly consumerTag: ByteString;
  /** What to acknowledge, on the channel that it came from. */
  readonly deliveryTag: number;
  readonly redelivered: boolean;
}

/** A mandatory message that could not be routed: `basic.return` with its content. */
export interface Returned extends Arrived {
  /** 312 for no route. */
  readonly replyCode: number;
  readonly replyText: ByteString;
}

/** The broker's answer to what was published on a channel in confirm mode: `basic.ack` or `basic.nack`. */
export interface Confirm {
  /** The number of the message among those published on the channel, from 1. */
  readonly deliveryTag: number;
  /** Whether it covers all messages before that one too. */
  readonly multiple: boolean;
  /** Whether the broker refused the message. */
  readonly nack: boolean;
}
