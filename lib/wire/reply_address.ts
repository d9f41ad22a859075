import { Buffer } from "node:buffer";
import type { ByteString } from "./byte_string.ts";

/** The address of RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to). */
export const DIRECT_REPLY_TO = "amq.rabbitmq.reply-to";

/** Base64 of a process id, a dot, and base64 of a key of 16 bytes. */
const DIRECT_ADDRESS = /^([A-Za-z0-9+/]{24,256}={0,2})\.[A-Za-z0-9+/]{22}==$/;

/** Whether an address is meant for RabbitMQ's direct reply-to; what goes there is never mandatory. */
export function isDirect(replyTo: ByteString): boolean {
  return replyTo.startsWith(`${DIRECT_REPLY_TO}.`);
}

/**
 * The process that a direct address names; undefined if the address has not the form that RabbitMQ gives it: base64 of
 * a pid in Erlang's external term format (https://www.erlang.org/doc/apps/erts/erl_ext_dist.html), and of a key.
 * RabbitMQ before 4.3 closes the connection on which something is published to another form.
 */
export function directProcess(replyTo: ByteString): string | undefined {
  const process = isDirect(replyTo) ? DIRECT_ADDRESS.exec(replyTo.slice(DIRECT_REPLY_TO.length + 1))?.[1] : undefined;
  return process !== undefined && isPid(Buffer.from(process, "base64")) ? process : undefined;
}

/** Version, NEW_PID_EXT, ATOM_UTF8_EXT or SMALL_ATOM_UTF8_EXT with the node's name, then id, serial and creation. */
function isPid(term: Buffer): boolean {
  if (term[0] !== 131 || term[1] !== 88) return false;
  const start = term[2] === 118 ? 5 : term[2] === 119 ? 4 : NaN;
  const end = start + (start === 5 ? term.readUInt16BE(3) : term.readUInt8(3));
  return term.length === end + 12 && /^[^@]+@[^@]+$/.test(term.toString("latin1", start, end));
}

/** Whether the broker itself made the name, so that answering there gives nobody access to another queue. */
export function isServerNamed(replyTo: ByteString): boolean {
  return replyTo.startsWith("amq.gen-") || directProcess(replyTo) !== undefined;
}
