import { type ByteString, fromByteString, toByteString } from "./byte_string.ts";
import { findHeader, hasHeader } from "./field_table.ts";
import type { Delivery, HeaderList, Publish } from "./message.ts";

/** What a client says of a request. */
export interface RequestParts {
  readonly queue: string;
  /** The method of a service. */
  readonly method: string | undefined;
  readonly headers: HeaderList | undefined;
  /** The call's identity: nobody may be able to guess it. */
  readonly id: string;
  readonly replyTo: string;
  readonly contentType: string;
  /** How long the caller still waits, in ms. */
  readonly expiration: number;
  readonly body: Uint8Array;
}

/** The message of a request. */
export function requestMessage(parts: RequestParts): Publish {
  const { queue, method, headers, id, replyTo, contentType, expiration, body } = parts;
  return {
    exchange: "",
    routingKey: toByteString(queue),
    mandatory: true,
    properties: {
      contentType: toByteString(contentType),
      deliveryMode: 1,
      correlationId: id,
      replyTo: toByteString(replyTo),
      expiration: String(expiration),
      messageId: id,
      type: method,
      headers,
    },
    body,
  };
}

/** What a server reads from the properties of a request. */
export interface RequestMeta {
  /** Empty if there is none. */
  readonly replyTo: ByteString;
  readonly correlationId: ByteString | undefined;
  readonly messageId: ByteString | undefined;
  /** How long the caller still waited when the request reached the broker, in ms; absent for plain clients. */
  readonly expiration: number | undefined;
  /** Whether it may have been delivered before. */
  readonly redelivered: boolean;
  /** How often it was delivered before; counted by quorum queues alone. */
  readonly deliveryCount: number | undefined;
}

/** Reads a request's properties. */
export function readRequest({ properties, redelivered }: Delivery): RequestMeta {
  const { expiration = "", headers, replyTo = "", correlationId, messageId } = properties;
  // A count on a first delivery is the sender's own.
  const count = redelivered && headers !== undefined ? findHeader(headers, "x-delivery-count") : undefined;
  return {
    replyTo,
    correlationId: correlationId === "" ? undefined : correlationId,
    messageId: messageId === "" ? undefined : messageId,
    // "0" asks the broker to deliver now or never; it says nothing of how long the caller waits.
    expiration: /^[1-9]\d{0,14}$/.test(expiration) ? Number(expiration) : undefined,
    // What comes back by way of a dead-letter exchange is a first delivery to the broker.
    redelivered: redelivered || (headers !== undefined && hasHeader(headers, "x-death")),
    deliveryCount: typeof count === "number" ? count : undefined,
  };
}

/** The call's identity as a text to show; absent for plain clients. */
export function messageIdOf({ messageId }: RequestMeta): string | undefined {
  return messageId === undefined ? undefined : fromByteString(messageId);
}
