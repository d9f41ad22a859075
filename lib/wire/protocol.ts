import { Buffer } from "node:buffer";
import type { Options } from "amqplib";
import { isRpcCode, isRpcOutcome, RpcError, type RpcOutcome } from "../contract/errors.ts";

/** The exchange over which callers take calls back. */
export const CANCEL_EXCHANGE = "rpc.cancel";

/** The address of RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to). */
export const DIRECT_REPLY_TO = "amq.rabbitmq.reply-to";

const ERROR_TYPE = "rpc.error";

/** The largest `expiration` and timeout in ms: beyond it timers, and brokers, wrap around. */
export const MAX_TIMEOUT_MS = 2_147_483_647;

/** How a request or reply body is handed to amqplib, which takes nothing but Buffers. */
export function toBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/** What of a message's properties this protocol looks at; all of it is whatever the network delivered. */
export interface MessageProperties {
  readonly correlationId?: unknown;
  readonly replyTo?: unknown;
  readonly messageId?: unknown;
  readonly expiration?: unknown;
  readonly type?: unknown;
  readonly contentType?: unknown;
  readonly contentEncoding?: unknown;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
}

/** The properties of a request. */
export function requestProperties(
  request: { id: string; replyTo: string; contentType: string; expiration: number },
): Options.Publish {
  return {
    correlationId: request.id,
    messageId: request.id,
    replyTo: request.replyTo,
    expiration: String(request.expiration),
    contentType: request.contentType,
    mandatory: true,
    deliveryMode: 1,
  };
}

/** The properties of the message that takes a call back; it is worth remembering for as long as it lives. */
export function cancelProperties(id: string, rememberMs: number): Options.Publish {
  return { correlationId: id, expiration: String(rememberMs), deliveryMode: 1 };
}

/** What a server reads from the properties of a request. */
export interface RequestMeta {
  readonly replyTo: string;
  readonly correlationId: string | undefined;
  readonly messageId: string | undefined;
  /** How long the caller still waited when the request reached the broker, in ms; absent for plain clients. */
  readonly expiration: number | undefined;
  readonly deliveryCount: number | undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Reads a request's properties; a `replyTo` of `""` means that there is none. */
export function readRequest(properties: MessageProperties): RequestMeta {
  const { expiration, headers } = properties;
  const deliveryCount = headers?.["x-delivery-count"];
  return {
    replyTo: text(properties.replyTo) ?? "",
    correlationId: text(properties.correlationId),
    messageId: text(properties.messageId),
    // "0" asks the broker to deliver now or never; it says nothing of how long the caller waits.
    expiration: typeof expiration === "string" && /^[1-9]\d{0,14}$/.test(expiration) ? Number(expiration) : undefined,
    deliveryCount: typeof deliveryCount === "number" ? deliveryCount : undefined,
  };
}

/** How long a cancel is worth remembering, in ms; 0 if it says nothing usable. */
export function readCancel(properties: MessageProperties): { id: string | undefined; rememberMs: number } {
  const { correlationId, expiration } = readRequest(properties);
  return { id: correlationId, rememberMs: Math.min(expiration ?? 0, MAX_TIMEOUT_MS) };
}

/** Names under which senders say that a body is not compressed. */
const PLAIN_ENCODINGS: ReadonlySet<unknown> = new Set([undefined, "", "identity", "utf-8", "utf8"]);

/**
 * Refuses a body that is compressed, or encoded in another way.
 *
 * @throws {RpcError} `invalid_argument`, naming the encoding.
 */
export function checkEncoding({ contentEncoding }: MessageProperties, what: "request" | "reply"): void {
  const name = typeof contentEncoding === "string" ? contentEncoding.toLowerCase() : contentEncoding;
  if (PLAIN_ENCODINGS.has(name)) return;
  throw new RpcError(
    "invalid_argument",
    `Cannot decode ${what}: content encoding "${name}" is not supported, send none`,
  );
}

/** Whether an address is meant for RabbitMQ's direct reply-to; what goes there is never mandatory. */
export function isDirect(replyTo: string): boolean {
  return replyTo.startsWith(`${DIRECT_REPLY_TO}.`);
}

/** Base64 of a process id, a dot, and base64 of a key of 16 bytes. */
const DIRECT_ADDRESS = /^([A-Za-z0-9+/]{24,256}={0,2})\.[A-Za-z0-9+/]{22}==$/;

/**
 * The process that a direct address names; undefined if the address has not the form that RabbitMQ gives it: base64 of
 * a pid in Erlang's external term format (https://www.erlang.org/doc/apps/erts/erl_ext_dist.html), and of a key.
 * RabbitMQ before 4.3 closes the connection on which it is sent to another form.
 */
export function directProcess(replyTo: string): string | undefined {
  const process = isDirect(replyTo) ? DIRECT_ADDRESS.exec(replyTo.slice(DIRECT_REPLY_TO.length + 1))?.[1] : undefined;
  return process !== undefined && isPid(Buffer.from(process, "base64")) ? process : undefined;
}

/** Version, NEW_PID_EXT, ATOM_UTF8_EXT or SMALL_ATOM_UTF8_EXT with the node's name, then id, serial and creation. */
function isPid(term: Buffer): boolean {
  if (term[0] !== 131 || term[1] !== 88) return false;
  const named = term[2] === 118 ? 5 + term.readUInt16BE(3) : term[2] === 119 ? 4 + (term[3] as number) : NaN;
  return term.length === named + 12 && /^[^@]+@[^@]+$/.test(term.toString("latin1", term[2] === 118 ? 5 : 4, named));
}

/** Whether the broker itself made the name, so that a server that answers there lends its rights to nobody. */
export function isServerNamed(replyTo: string): boolean {
  return replyTo.startsWith("amq.gen-") || directProcess(replyTo) !== undefined;
}

/** The properties of a reply. */
export function replyProperties(
  meta: { replyTo: string; correlationId: string | undefined },
  contentType: string,
  isError: boolean,
): Options.Publish {
  const properties: Options.Publish = { contentType, deliveryMode: 1 };
  if (meta.correlationId !== undefined) properties.correlationId = meta.correlationId;
  if (isError) properties.type = ERROR_TYPE;
  if (!isDirect(meta.replyTo)) properties.mandatory = true;
  return properties;
}

/** The largest error reply in bytes; a larger one goes out without its details. */
const MAX_ERROR_BYTES = 1024 * 1024;

/** An error as the body of an error reply; details that are no JSON, or too large, are left out. */
export function encodeError(error: RpcError): Uint8Array {
  const { code, message, outcome, details, id } = error;
  const short = message.slice(0, 8192);
  try {
    const body = new TextEncoder().encode(JSON.stringify({ code, message: short, outcome, details, id }));
    if (body.byteLength <= MAX_ERROR_BYTES) return body;
  } catch {
    // A cycle or a bigint in the details: the error itself still counts.
  }
  return new TextEncoder().encode(JSON.stringify({ code, message: short, outcome, id }));
}

/** Whether a reply is an error; all others are results. */
export function isErrorReply(properties: MessageProperties): boolean {
  return properties.type === ERROR_TYPE;
}

/** An error reply's body as the error that the caller gets; `data_loss` where it is none. */
export function decodeErrorReply(body: Uint8Array): RpcError {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    return new RpcError("data_loss", "Cannot decode the error reply: the body is not JSON", { cause });
  }
  const { code, message, outcome, details, id } = (value ?? {}) as Record<string, unknown>;
  if (typeof message !== "string" || typeof code !== "string") {
    return new RpcError("data_loss", "Cannot decode the error reply: it has no 'code' and 'message'");
  }
  const known: RpcOutcome = isRpcOutcome(outcome) ? outcome : "unknown";
  return new RpcError(isRpcCode(code) ? code : "unknown", message, {
    outcome: known,
    details,
    ...(typeof id === "string" ? { id } : {}),
  });
}
