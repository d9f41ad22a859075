import { type ByteString, toByteString } from "./byte_string.ts";
import type { HeaderList, Properties, Publish } from "./message.ts";
import { CLOCK_QUESTION } from "./clock_message.ts";
import { isDirect } from "./reply_address.ts";

const ERROR_TYPE = "rpc.error";

/** The parts of a reply. */
export interface ReplyParts {
  readonly replyTo: ByteString;
  /** That of the request, unchanged. */
  readonly correlationId: ByteString | undefined;
  readonly contentType: string;
  readonly isError: boolean;
  readonly headers: HeaderList | undefined;
  /** Where the client is to send the time on its clock: this is a question for it, and no reply. */
  readonly clockAddress?: ByteString;
  readonly body: Uint8Array;
}

/** The message of a reply. */
export function replyMessage(parts: ReplyParts): Publish {
  const { replyTo, correlationId, contentType, isError, headers, clockAddress, body } = parts;
  return {
    exchange: "",
    routingKey: replyTo,
    // A returned reply means that the caller has left. RabbitMQ before 4.3 also returns direct replies that it delivers.
    mandatory: !isDirect(replyTo),
    properties: {
      contentType: toByteString(contentType),
      deliveryMode: 1,
      correlationId,
      replyTo: clockAddress,
      type: clockAddress !== undefined ? CLOCK_QUESTION : isError ? ERROR_TYPE : undefined,
      // None for a handler that has only looked at its empty `replyHeaders`.
      headers: headers?.length === 0 ? undefined : headers,
    },
    body,
  };
}

/** Whether a reply is an error; all others are results. */
export function isErrorReply({ type }: Properties): boolean {
  return type === ERROR_TYPE;
}
