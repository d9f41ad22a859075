import type { Meter } from "../meter.ts";
import { bodies, type Drive, type Load, type Peer, WrongReply } from "../peer.ts";
import {
  ACK,
  BODY,
  concat,
  DELIVER,
  frame,
  HEADER,
  method,
  Properties,
  readUint32,
  shortString,
  table,
  uint,
  Wire,
} from "./wire.ts";

const DECLARE = 0x0032_000a;
const CONSUME = 0x003c_0014;
const PREFETCH = 0x003c_000a;
const SELECT_CONFIRMS = 0x0055_000a;
const PUBLISH = 0x003c_0028;

const EXCLUSIVE = 0b0100;
const DURABLE = 0b0010;
const NO_ACK = 0b0010;
const EXCLUSIVE_CONSUMER = 0b0100;
const MANDATORY = 1;

/** Messages come in on one channel and go out on the other, as ours do. */
const IN = 1;
const OUT = 2;
const TIMEOUT = 30_000;
/** More than are ever unconfirmed or unanswered at once; a power of two. */
const RING = 1 << 16;
const PREFIX = crypto.randomUUID().replaceAll("-", "").slice(0, 16);

async function consume(wire: Wire, queue: string, flags: number): Promise<void> {
  await wire.ask(IN, CONSUME, uint(2, 0), shortString(queue), shortString(""), uint(1, flags), table());
  await wire.ask(OUT, SELECT_CONFIRMS, uint(1, 0));
}

/** Which of a channel's numbers are open; the broker may close one, or all up to one. */
class Open {
  readonly #open = new Uint8Array(RING);
  #upTo = 0;
  count = 0;

  add(tag: number): void {
    if (this.#open[tag % RING] === 1) throw new Error("Too many messages are unconfirmed");
    this.#open[tag % RING] = 1;
    this.count++;
  }

  /** Closes what an ack names. */
  close(bytes: Uint8Array, at: number): void {
    const tag = readUint32(bytes, at + 8);
    if (bytes[at + 12] === 0) this.#close(tag);
    else while (this.#upTo < tag) this.#close(++this.#upTo);
  }

  #close(tag: number): void {
    this.count -= this.#open[tag % RING] ?? 0;
    this.#open[tag % RING] = 0;
  }

  /** The last number before the first that is open, of those after `tag` and before `end`. */
  closedUpTo(tag: number, end: number): number {
    while (tag + 1 < end && this.#open[(tag + 1) % RING] === 0) tag++;
    return tag;
  }
}

/** A method other than those expected is a nack or a return: something was not taken. */
function unexpected(which: number): Error {
  return new Error(`The broker sent method ${which >>> 16}.${which & 0xffff}`);
}

function writeHex(bytes: Uint8Array, at: number, value: number): void {
  for (let digit = 7; digit >= 0; digit--, value >>>= 4) {
    const nibble = value & 15;
    bytes[at + digit] = nibble < 10 ? 48 + nibble : 87 + nibble;
  }
}

function readHex(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let digit = 0; digit < 8; digit++) {
    const code = bytes[at + digit] ?? 0;
    value = (value << 4) | (code < 58 ? code - 48 : code - 87);
  }
  return value >>> 0;
}

/** The request with each body, ready but for its two ids, and where those lie. */
function templates(load: Load, replyTo: string): { frames: Uint8Array[]; correlationId: number; messageId: number } {
  const publish = method(OUT, PUBLISH, uint(2, 0), shortString(""), shortString(load.queue), uint(1, MANDATORY));
  const id = shortString(PREFIX + "0".repeat(8));
  const beforeId = concat(uint(2, 0x9780), shortString("text/plain"), uint(1, 1));
  const between = concat(shortString(replyTo), shortString(String(TIMEOUT)));
  const frames = bodies(load.bodyBytes).map((body) => {
    const bytes = new TextEncoder().encode(body);
    const size = concat(uint(4, 0x003c_0000), uint(8, bytes.length));
    return concat(publish, frame(HEADER, OUT, size, beforeId, id, between, id), frame(BODY, OUT, bytes));
  });
  const correlationId = publish.length + 7 + 12 + beforeId.length + 1 + PREFIX.length;
  return { frames, correlationId, messageId: correlationId + 8 + between.length + 1 + PREFIX.length };
}

async function connect(load: Load): Promise<Drive> {
  const wire = await Wire.open(load.url, 2);
  const declared = await wire.ask(IN, DECLARE, uint(2, 0), shortString(""), uint(1, EXCLUSIVE), table());
  const replyTo = new TextDecoder().decode(declared.subarray(1, 1 + (declared[0] ?? 0)));
  await consume(wire, replyTo, NO_ACK | EXCLUSIVE_CONSUMER);
  const caller = new Caller(wire, load, replyTo);
  return (inFlight, meter) => caller.drive(inFlight, meter);
}

class Caller {
  readonly #wire: Wire;
  readonly #bodyBytes: number;
  readonly #templates: ReturnType<typeof templates>;
  readonly #startedAt = new Float64Array(RING);
  readonly #unconfirmed = new Open();
  readonly #properties = new Properties();
  readonly #end: Promise<never>;
  #meter: Meter | undefined;
  #drained: () => void = () => {};
  #sent = 0;
  #waiting = 0;
  #answered = 0;

  constructor(wire: Wire, load: Load, replyTo: string) {
    this.#wire = wire;
    this.#bodyBytes = load.bodyBytes;
    this.#templates = templates(load, replyTo);
    // The guarantee of a deadline, as one timer for all.
    const late = new Promise<never>((_, reject) => {
      setInterval(() => {
        const latest = performance.now() - TIMEOUT;
        if (!this.#startedAt.some((time) => time > 0 && time < latest)) return;
        reject(new Error("A call did not end in time"));
      }, 1_000);
    });
    this.#end = Promise.race([wire.run((...frame) => this.#hear(...frame)), late]);
  }

  async drive(inFlight: number, meter: Meter): Promise<void> {
    this.#meter = meter;
    const drained = new Promise<void>((resolve) => this.#drained = resolve);
    for (let n = 0; n < inFlight; n++) this.#send();
    this.#wire.flush();
    await Promise.race([drained, this.#end]);
  }

  #send(): void {
    const { frames, correlationId, messageId } = this.#templates;
    const wire = this.#wire;
    const sent = ++this.#sent;
    const template = frames[sent % frames.length] as Uint8Array;
    wire.reserve(template.length);
    const { output, length } = wire;
    output.set(template, length);
    writeHex(output, length + correlationId, sent);
    writeHex(output, length + messageId, sent);
    wire.length += template.length;
    this.#unconfirmed.add(sent);
    this.#startedAt[sent % RING] = performance.now();
    this.#waiting++;
  }

  #hear(type: number, bytes: Uint8Array, at: number, size: number): void {
    if (type === BODY) this.#take(bytes, at, size);
    else if (type === HEADER) {
      this.#properties.read(bytes, at);
      this.#answered = readHex(bytes, this.#properties.correlationId + 1 + PREFIX.length);
    } else {
      const which = readUint32(bytes, at);
      if (which === ACK) this.#unconfirmed.close(bytes, at);
      else if (which !== DELIVER) throw unexpected(which);
    }
  }

  #take(bytes: Uint8Array, at: number, size: number): void {
    const answered = this.#answered;
    const { frames } = this.#templates;
    // The body is the last part of the pre-encoded frame, before its end.
    const template = frames[answered % frames.length] as Uint8Array;
    const body = template.length - 1 - this.#bodyBytes;
    const right = size === this.#bodyBytes && bytes[at] === template[body] && bytes[at + 1] === template[body + 1] &&
      bytes[at + size - 1] === template[template.length - 2];
    if (!right) throw new WrongReply(String(answered), new TextDecoder().decode(bytes.subarray(at, at + size)));
    const began = this.#startedAt[answered % RING] as number;
    if (began === 0) throw new Error("A reply came twice");
    this.#startedAt[answered % RING] = 0;
    this.#waiting--;
    this.#meter?.count(began);
    if (!this.#meter?.over) this.#send();
    else if (this.#waiting === 0) this.#drained();
  }
}

/** Copies bytes that are few enough for a view of them to cost more. */
function copy(from: Uint8Array, at: number, size: number, to: Uint8Array, start: number): number {
  for (let n = 0; n < size; n++) to[start + n] = from[at + n] as number;
  return start + size;
}

async function serve({ url, queue, queueKind, prefetch }: Load): Promise<void> {
  const wire = await Wire.open(url, 2);
  const type = table("x-queue-type", queueKind);
  await wire.ask(IN, DECLARE, uint(2, 0), shortString(queue), uint(1, DURABLE), type);
  await wire.ask(IN, PREFETCH, uint(4, 0), uint(2, prefetch), uint(1, 0));
  await consume(wire, queue, 0);
  answer(wire).catch((error) => {
    console.error(error);
    Deno.exit(1);
  });
}

/** Replies in the order of requests, so that a reply's number is that of its request. */
function answer(wire: Wire): Promise<void> {
  const publish = method(OUT, PUBLISH, uint(2, 0), shortString(""));
  const contentType = shortString("text/plain");
  const header = concat(uint(4, 0x003c_0000), uint(4, 0), uint(4, 0), uint(2, 0x9400), contentType, uint(1, 1));
  const ack = method(IN, ACK, uint(8, 0), uint(1, 1));
  const properties = new Properties();
  const unconfirmed = new Open();
  let sent = 0;
  let acked = 0;

  /** All of the reply but its body, whose frame follows as it came. */
  function begin(bytes: Uint8Array, at: number): void {
    properties.read(bytes, at);
    const { correlationId, replyTo, bodySize } = properties;
    const idSize = 1 + (bytes[correlationId] ?? 0);
    const replyToSize = 1 + (bytes[replyTo] ?? 0);
    const methodSize = publish.length - 8 + replyToSize + 1;
    const headerSize = header.length + idSize;
    wire.reserve(methodSize + headerSize + 16);
    const { output } = wire;
    let next = copy(publish, 0, publish.length - 1, output, wire.length);
    output[wire.length + 6] = methodSize;
    next = copy(bytes, replyTo, replyToSize, output, next);
    output[next++] = MANDATORY;
    output[next++] = 0xce;
    output[next++] = HEADER;
    output[next++] = 0;
    output[next++] = OUT;
    output[next++] = output[next++] = output[next++] = 0;
    output[next++] = headerSize;
    const size = next + 8;
    next = copy(header, 0, header.length, output, next);
    for (let n = 0; n < 4; n++) output[size + n] = bodySize >>> (24 - 8 * n);
    next = copy(bytes, correlationId, idSize, output, next);
    output[next++] = 0xce;
    wire.length = next;
  }

  return wire.run((type, bytes, at, size) => {
    if (type === HEADER) begin(bytes, at);
    else if (type === BODY) {
      if (size !== properties.bodySize) throw new Error("A body came in more than one frame");
      const start = wire.length;
      wire.push(bytes.subarray(at - 7, at + size + 1));
      wire.output[start + 2] = OUT;
      unconfirmed.add(++sent);
    } else {
      const which = readUint32(bytes, at);
      if (which === ACK) unconfirmed.close(bytes, at);
      else if (which !== DELIVER) throw unexpected(which);
    }
  }, () => {
    const upTo = unconfirmed.closedUpTo(acked, sent + 1);
    if (upTo === acked) return;
    acked = upTo;
    ack.set(uint(4, upTo), 15);
    wire.push(ack);
  });
}

/**
 * The leanest pair on bare sockets that gives what ours gives: pre-encoded
 * frames, one write per read, an exclusive reply queue, a deadline, mandatory,
 * confirms both ways, acks after the confirmed replies.
 */
export const floor: Peer = { serve, connect };
