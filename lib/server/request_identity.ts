import type { ByteString } from "../wire/byte_string.ts";
import type { RequestMeta } from "../wire/request_message.ts";

/** How many bytes from each end of a body tell it from others. */
const SAMPLE_BYTES = 64;

const seeds = crypto.getRandomValues(new Int32Array(2));
const SEED_1 = seeds[0] as number;
const SEED_2 = seeds[1] as number;

/** The state of the hash after the reply address of the last request, because the next one often has the same. */
let replyTo: ByteString = "";
let replyTo1 = SEED_1;
let replyTo2 = SEED_2;

/** Two hashes in one, because a safe integer holds more bits than one of them. */
let first = 0;
let second = 0;

function add(number: number): void {
  first = Math.imul(first ^ number, 0x85eb_ca6b);
  first ^= first >>> 15;
  second = Math.imul(second ^ number, 0xc2b2_ae35);
  second ^= second >>> 13;
}

/** Adds a text, with its length before it, so that no two sequences of texts give the same numbers. */
function addText(text: ByteString): void {
  add(text.length);
  for (let at = 0; at < text.length; at++) add(text.charCodeAt(at));
}

/** Tells bodies apart where a client gives its requests no ids, or always the same; no protection against forgery. */
function addBody(body: Uint8Array): void {
  const middle = Math.min(body.length, SAMPLE_BYTES);
  add(body.length);
  for (let at = 0; at < middle; at++) add(body[at] as number);
  for (let at = Math.max(middle, body.length - SAMPLE_BYTES); at < body.length; at++) add(body[at] as number);
}

/**
 * The identity of a message, as a hash of 52 bits with a random key: a number takes no memory that outlives it, and nobody
 * can choose ids that collide. It covers the reply address and the correlation id, so that a request with the message id of
 * another caller's is another request: an answer goes only to where the sender of that very request wanted it.
 *
 * @param body It counts only if the request has no message id.
 */
export function identityOf(meta: RequestMeta, body: Uint8Array): number {
  const { correlationId = "", messageId } = meta;
  if (meta.replyTo !== replyTo) {
    first = SEED_1;
    second = SEED_2;
    addText(meta.replyTo);
    replyTo = meta.replyTo;
    replyTo1 = first;
    replyTo2 = second;
  }
  first = replyTo1;
  second = replyTo2;
  addText(correlationId);
  // Clients of this library send the same id twice.
  if (messageId === correlationId) {
    add(-1);
  } else if (messageId !== undefined) {
    addText(messageId);
  } else {
    add(-2);
    addBody(body);
  }
  add(0);
  return (first >>> 0) * 2 ** 20 + (second >>> 12);
}
