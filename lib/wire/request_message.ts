import { type ByteString, fromByteString, toByteString } from "./byte_string.ts";
import { findHeader, hasHeader } from "./field_table.ts";
import type { Delivery, HeaderList, Publish } from "./message.ts";
import { readBrokerTime, readFirstSentAt, readSentAt, sentAtHeader, sentAtLength } from "./sent_at.ts";

/** The parts of a request. */
export interface RequestParts {
  readonly queue: string;
  /** The method of a service. */
  readonly method: string | undefined;
  readonly headers: HeaderList | undefined;
  /** The call's identity, which others must not be able to guess. */
  readonly id: string;
  /** The call's identity, the same over every attempt. */
  readonly messageId: string;
  readonly replyTo: string;
  readonly contentType: string;
  /** How long the caller still waits, in ms. */
  readonly expiration: number;
  /** The time on the client's clock, in ms; absent if it is not to be sent. */
  readonly sentAt: number | undefined;
  /** 0 to 255. */
  readonly priority: number | undefined;
  readonly body: Uint8Array;
}

/** The message of a request. */
export function requestMessage(parts: RequestParts): Publish {
  const { queue, method, id, messageId, replyTo, contentType, expiration, sentAt, priority, body } = parts;
  const headers = parts.headers?.length === 0 ? undefined : parts.headers;
  return {
    exchange: "",
    routingKey: toByteString(queue),
    mandatory: true,
    properties: {
      contentType: toByteString(contentType),
      deliveryMode: 1,
      priority,
      correlationId: id,
      replyTo: toByteString(replyTo),
      expiration: String(expiration),
      messageId,
      type: method,
      headers: sentAt === undefined ? headers : withSentAt(headers, sentAt),
    },
    body,
  };
}

function withSentAt(headers: HeaderList | undefined, sentAt: number): HeaderList {
  const header = sentAtHeader(sentAt);
  return headers === undefined ? [header] : [header, ...headers];
}

/** What a server reads from the properties of a request. */
export interface RequestMeta {
  /** Empty if there is none. */
  readonly replyTo: ByteString;
  readonly correlationId: ByteString | undefined;
  readonly messageId: ByteString | undefined;
  /** How long the caller still waited when the request reached the broker, in ms; absent for plain clients. */
  readonly expiration: number | undefined;
  /** When it was sent, in ms on the caller's own clock; absent for plain clients. */
  readonly sentAt: number | undefined;
  /** When the broker got it, in ms on the broker's clock; absent unless that is enabled and `sentAt` is absent. */
  readonly brokerTime: number | undefined;
  /** Whether it may have been delivered before. */
  readonly redelivered: boolean;
  /** How often it was delivered before; only quorum queues count. */
  readonly deliveryCount: number | undefined;
}

/**
 * The headers in which a quorum queue counts deliveries that were not acknowledged. From RabbitMQ 4.3 on, the second one
 * counts all of them, and the first one only rejects and lost channels, not nacks and consumer timeouts; before, there
 * is the first one alone, and it counts all.
 */
const COUNTS = ["x-delivery-count", "x-acquired-count"] as const;

/** The larger of the two counts; undefined if there is none. */
function earlierDeliveries(headers: Uint8Array): number | undefined {
  let most: number | undefined;
  for (const name of COUNTS) {
    const count = findHeader(headers, name);
    // One of them may be the sender's, and anything.
    if (typeof count === "number" && Number.isSafeInteger(count) && count >= (most ?? 0)) most = count;
  }
  return most;
}

/** Reads a request's properties. */
export function readRequest({ properties, redelivered }: Delivery): RequestMeta {
  const { expiration = "", headers, replyTo = "", correlationId, messageId } = properties;
  const first = headers === undefined ? 0 : sentAtLength(headers);
  const others = first === headers?.length ? undefined : headers;
  const sentAt = headers === undefined ? undefined : first > 0 ? readFirstSentAt(headers, first) : readSentAt(headers);
  return {
    replyTo,
    correlationId: correlationId === "" ? undefined : correlationId,
    messageId: messageId === "" ? undefined : messageId,
    // "0" means "deliver at once or drop"; it does not say how long the caller waits.
    expiration: /^[1-9]\d{0,14}$/.test(expiration) ? Number(expiration) : undefined,
    sentAt,
    brokerTime: others !== undefined && sentAt === undefined ? readBrokerTime(others) : undefined,
    // For the broker, a request that returns through a dead-letter exchange is a first delivery.
    redelivered: redelivered || (others !== undefined && hasHeader(others, "x-death")),
    // On a first delivery, a count can only be the sender's.
    deliveryCount: redelivered && others !== undefined ? earlierDeliveries(others) : undefined,
  };
}

/** The call's identity as text, for display; absent for plain clients. */
export function messageIdOf({ messageId }: RequestMeta): string | undefined {
  return messageId === undefined ? undefined : fromByteString(messageId);
}
