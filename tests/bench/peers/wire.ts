/** What of AMQP 0-9-1 the floor speaks; the numbers are those of the specification. */

export const METHOD = 1;
export const HEADER = 2;
export const BODY = 3;

/** Class and method in one number. */
export const DELIVER = 0x003c_003c;
export const ACK = 0x003c_0050;
const CHANNEL_CLOSE = 0x0014_0028;
const CONNECTION_CLOSE = 0x000a_0032;

const FRAME_END = 0xce;
const FRAME_MAX = 131_072;
/** Room for two frames of the largest size. */
const INPUT_SIZE = 2 * FRAME_MAX + 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A number of so many bytes, most significant first. */
export function uint(size: 1 | 2 | 4 | 8, value: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = size - 1, rest = value; at >= 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

export function shortString(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return concat(uint(1, bytes.length), bytes);
}

export function longString(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return concat(uint(4, bytes.length), bytes);
}

/** A table that is empty, or has one text in it. */
export function table(key?: string, value = ""): Uint8Array {
  if (key === undefined) return uint(4, 0);
  const entry = concat(shortString(key), encoder.encode("S"), longString(value));
  return concat(uint(4, entry.length), entry);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function frame(type: number, channel: number, ...payload: readonly Uint8Array[]): Uint8Array {
  const bytes = concat(...payload);
  return concat(uint(1, type), uint(2, channel), uint(4, bytes.length), bytes, uint(1, FRAME_END));
}

export function method(channel: number, classAndMethod: number, ...payload: readonly Uint8Array[]): Uint8Array {
  return frame(METHOD, channel, uint(4, classAndMethod), ...payload);
}

export function readUint32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** Hears each frame; its payload lies at `at` and is overwritten by the next read. */
export type OnFrame = (type: number, bytes: Uint8Array, at: number, size: number) => void;

/** A connection on a bare socket. */
export class Wire {
  /** What the next write takes. */
  output: Uint8Array = new Uint8Array(1 << 16);
  length = 0;
  #spare: Uint8Array = new Uint8Array(1 << 16);
  #writing = false;
  readonly #socket: Deno.TcpConn;
  readonly #input = new Uint8Array(INPUT_SIZE);
  #used = 0;
  #at = 0;

  private constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
    socket.setNoDelay(true);
  }

  /** Connects and opens channels 1 to `channels`. */
  static async open(url: string, channels: number): Promise<Wire> {
    const { hostname, port, username, password } = new URL(url);
    const wire = new Wire(await Deno.connect({ hostname, port: Number(port) }));
    await wire.#ask(encoder.encode("AMQP\x00\x00\x09\x01"));
    const credentials = longString(`\0${username}\0${password}`);
    await wire.#ask(
      method(0, 0x000a_000b, table(), shortString("PLAIN"), credentials, shortString("en_US")),
    );
    wire.push(method(0, 0x000a_001f, uint(2, 2047), uint(4, FRAME_MAX), uint(2, 0)));
    await wire.#ask(method(0, 0x000a_0028, shortString("/"), shortString(""), uint(1, 0)));
    for (let channel = 1; channel <= channels; channel++) {
      await wire.ask(channel, 0x0014_000a, shortString(""));
    }
    return wire;
  }

  /** Sends a method, and gives the arguments of its answer. */
  async ask(channel: number, classAndMethod: number, ...payload: readonly Uint8Array[]): Promise<Uint8Array> {
    return await this.#ask(method(channel, classAndMethod, ...payload));
  }

  async #ask(bytes: Uint8Array): Promise<Uint8Array> {
    this.push(bytes);
    this.flush();
    let answer: Uint8Array | undefined;
    while (answer === undefined) {
      await this.#read((_type, input, at, size) => answer = input.slice(at + 4, at + size), 1);
    }
    return answer;
  }

  /** Puts bytes into the next write. */
  push(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.output.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Makes room for the next bytes. */
  reserve(size: number): void {
    if (this.length + size <= this.output.length) return;
    const larger = new Uint8Array(2 * (this.length + size));
    larger.set(this.output.subarray(0, this.length));
    this.output = larger;
  }

  /** Writes all that waits, in one write; what comes meanwhile goes into the next. */
  flush(): void {
    if (!this.#writing && this.length > 0) this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.length > 0) {
      const bytes = this.output.subarray(0, this.length);
      [this.output, this.#spare] = [this.#spare, this.output];
      this.length = 0;
      for (let at = 0; at < bytes.length;) at += await this.#socket.write(bytes.subarray(at));
    }
    this.#writing = false;
  }

  /** Reads for ever; one write follows each read. */
  async run(onFrame: OnFrame, afterRead?: () => void): Promise<never> {
    for (;;) {
      await this.#read(onFrame, Infinity);
      afterRead?.();
      this.flush();
    }
  }

  /** Reads once, unless whole frames are left, and gives at most so many frames away. */
  async #read(onFrame: OnFrame, atMost: number): Promise<void> {
    const input = this.#input;
    if (this.#next() < 0) {
      input.copyWithin(0, this.#at, this.#used);
      this.#used -= this.#at;
      this.#at = 0;
      const count = await this.#socket.read(input.subarray(this.#used));
      if (count === null) throw new Error("The broker closed the connection");
      this.#used += count;
    }
    for (let given = 0; given < atMost; given++) {
      const size = this.#next();
      if (size < 0) return;
      const at = this.#at + 7;
      this.#at += size + 8;
      const type = input[at - 7] ?? 0;
      if (type === METHOD) refuseClose(input, at, size);
      onFrame(type, input, at, size);
    }
  }

  /** The size of the next frame's payload; -1 if it has not been read whole. */
  #next(): number {
    const left = this.#used - this.#at;
    if (left < 8) return -1;
    const size = readUint32(this.#input, this.#at + 3);
    return left < size + 8 ? -1 : size;
  }
}

function refuseClose(input: Uint8Array, at: number, size: number): void {
  const which = readUint32(input, at);
  if (which !== CHANNEL_CLOSE && which !== CONNECTION_CLOSE) return;
  throw new Error(`The broker closed: ${decoder.decode(input.subarray(at + 7, at + size - 4))}`);
}

/** Where the properties that an RPC needs lie in a content header; each begins with its length. */
export class Properties {
  bodySize = 0;
  correlationId = 0;
  replyTo = 0;

  /** Looks through the header whose payload begins at `at`. */
  read(bytes: Uint8Array, at: number): void {
    this.bodySize = readUint32(bytes, at + 8);
    const flags = ((bytes[at + 12] ?? 0) << 8) | (bytes[at + 13] ?? 0);
    let next = at + 14;
    if (flags & 0x8000) next += 1 + (bytes[next] ?? 0);
    if (flags & 0x4000) next += 1 + (bytes[next] ?? 0);
    if (flags & 0x2000) next += 4 + readUint32(bytes, next);
    if (flags & 0x1000) next += 1;
    if (flags & 0x0800) next += 1;
    this.correlationId = next;
    if (flags & 0x0400) next += 1 + (bytes[next] ?? 0);
    this.replyTo = next;
  }
}
