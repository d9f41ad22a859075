import { type ByteString, toByteString } from "./byte_string.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import type { Delivery, Publish } from "./message.ts";

/** The exchange over which clients reach all servers of a queue; its routing keys are the names of request queues. */
export const CONTROL_EXCHANGE = "rpc.control";

const CANCEL = "cancel";
const INFO = "info";
const EMPTY = new Uint8Array();

/** A call that its caller cancels. */
export interface Cancel {
  /** The queue over which the call was made. */
  readonly queue: ByteString;
  /** The call's correlation id. */
  readonly id: ByteString;
  /** How long servers are to remember the cancel, in ms; 0 if the sender does not say. */
  readonly rememberMs: number;
}

/** The message that cancels a call; servers remember it for `rememberMs`, the call's whole timeout. */
export function cancelMessage(queue: string, id: string, rememberMs: number): Publish {
  const properties = { correlationId: id, type: CANCEL, expiration: String(rememberMs), deliveryMode: 1 };
  return { exchange: CONTROL_EXCHANGE, routingKey: toByteString(queue), mandatory: false, properties, body: EMPTY };
}

/** Reads a control message; undefined if it is not a cancel, or did not come over the control exchange. */
export function readCancel({ exchange, routingKey, properties }: Delivery): Cancel | undefined {
  const { correlationId = "", expiration = "", type } = properties;
  if (exchange !== CONTROL_EXCHANGE || type !== CANCEL || correlationId === "") return undefined;
  const rememberMs = /^[1-9]\d{0,14}$/.test(expiration) ? Math.min(Number(expiration), MAX_TIMEOUT_MS) : 0;
  return { queue: routingKey, id: correlationId, rememberMs };
}

/** A question to all servers of a queue for their figures. */
export interface InfoQuestion {
  /** The queue that they serve. */
  readonly queue: ByteString;
  /** Where the answers go; empty if there is none. */
  readonly replyTo: ByteString;
  /** Sent back with each answer. */
  readonly correlationId: ByteString | undefined;
}

/** The message that asks the servers of a queue for their figures; it is dropped after `expiration` ms. */
export function infoMessage(queue: string, replyTo: string, correlationId: string, expiration: number): Publish {
  const properties = {
    type: INFO,
    replyTo: toByteString(replyTo),
    correlationId,
    expiration: String(expiration),
    deliveryMode: 1,
  };
  return { exchange: CONTROL_EXCHANGE, routingKey: toByteString(queue), mandatory: false, properties, body: EMPTY };
}

/** Reads a control message; undefined if it does not ask for figures, or did not come over the control exchange. */
export function readInfoQuestion({ exchange, routingKey, properties }: Delivery): InfoQuestion | undefined {
  const { correlationId, replyTo = "", type } = properties;
  if (exchange !== CONTROL_EXCHANGE || type !== INFO) return undefined;
  return { queue: routingKey, replyTo, correlationId };
}
