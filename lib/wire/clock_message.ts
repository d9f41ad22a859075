import { type ByteString, toByteString } from "./byte_string.ts";
import { CONTROL_EXCHANGE } from "./control_message.ts";
import type { Delivery, Properties, Publish } from "./message.ts";
import { readSentAt, sentAtHeader } from "./sent_at.ts";

const QUESTION = "rpc.clock";
const ANSWER = "clock";
const EMPTY = new Uint8Array();

/** The type of the message that asks a client for the time on its clock. */
export const CLOCK_QUESTION = QUESTION;

/** Whether a message in a reply queue asks for the client's clock. */
export function isClockQuestion({ type }: Properties): boolean {
  return type === QUESTION;
}

/** A client's answer. */
export interface ClockAnswer {
  /** What the question had, unchanged. */
  readonly token: ByteString;
  /** The time on the client's clock when it answered, in ms. */
  readonly time: number;
}

/**
 * The answer to a question for the clock; it goes over the control exchange, where no request is before it.
 *
 * @param now The time on this client's clock.
 */
export function clockAnswer({ replyTo = "", correlationId = "" }: Properties, now: number): Publish {
  const properties = { correlationId, type: toByteString(ANSWER), deliveryMode: 1, headers: [sentAtHeader(now)] };
  return { exchange: CONTROL_EXCHANGE, routingKey: replyTo, mandatory: false, properties, body: EMPTY };
}

/** Reads a control message; undefined if it is not an answer, or did not come over the control exchange. */
export function readClockAnswer({ exchange, properties }: Delivery): ClockAnswer | undefined {
  const { correlationId: token = "", headers, type } = properties;
  if (exchange !== CONTROL_EXCHANGE || type !== ANSWER || token === "" || headers === undefined) return undefined;
  const time = readSentAt(headers);
  return time === undefined ? undefined : { token, time };
}
