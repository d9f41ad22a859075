import { Buffer } from "node:buffer";
import type { ByteString } from "./byte_string.ts";

/** The address of RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to). */
export const DIRECT_REPLY_TO = "amq.rabbitmq.reply-to";

const DIRECT_PREFIX = `${DIRECT_REPLY_TO}.`;
/** Base64 of a process id, a dot, and base64 of a key of 16 bytes. */
const DIRECT_ADDRESS = /^([A-Za-z0-9+/]{24,256}={0,2})\.[A-Za-z0-9+/]{22}==$/;

/** Whether an address begins like one of RabbitMQ's direct reply-to; replies to it are never mandatory. */
export function isDirect(replyTo: ByteString): boolean {
  return replyTo.startsWith(DIRECT_PREFIX);
}

/**
 * The process that a direct address names; undefined if the address is not well-formed, which means: base64 of a pid in
 * Erlang's external term format (https://www.erlang.org/doc/apps/erts/erl_ext_dist.html), a dot, and base64 of a key.
 * RabbitMQ before 4.3 closes a connection that publishes to an address that is not well-formed.
 */
export function directProcess(replyTo: ByteString): string | undefined {
  const process = isDirect(replyTo) ? DIRECT_ADDRESS.exec(replyTo.slice(DIRECT_REPLY_TO.length + 1))?.[1] : undefined;
  return process !== undefined && isPid(Buffer.from(process, "base64")) ? process : undefined;
}

/** Layout: version, NEW_PID_EXT, ATOM_UTF8_EXT or SMALL_ATOM_UTF8_EXT with the node's name, id, serial, creation. */
function isPid(term: Buffer): boolean {
  if (term[0] !== 131 || term[1] !== 88) return false;
  const start = term[2] === 118 ? 5 : term[2] === 119 ? 4 : NaN;
  const end = start + (start === 5 ? term.readUInt16BE(3) : term.readUInt8(3));
  return term.length === end + 12 && /^[^@]+@[^@]+$/.test(term.toString("latin1", start, end));
}

/**
 * Whether a name must not even be asked about: RabbitMQ leaves out line ends before it decodes a direct address, and
 * closes the connection if the rest is not well-formed.
 */
export function isDangerous(replyTo: ByteString): boolean {
  // deno-lint-ignore no-control-regex -- no broker gives a queue such a name
  return replyTo.startsWith(DIRECT_REPLY_TO) || /[\x00-\x1f\x7f]/.test(replyTo);
}

/** Whether the broker generated the name: a caller cannot use it to write to a queue of its choice. */
export function isServerNamed(replyTo: ByteString): boolean {
  return replyTo.startsWith("amq.gen-") || directProcess(replyTo) !== undefined;
}
