/**
 * amqplib's own encoder and decoder, without a broker and without permissions, to hold ours against.
 *
 * Its `exports` forbid deep imports, so a connection is opened over a stream in memory, and its classes are taken from
 * there.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import net from "node:net";
import { Duplex } from "node:stream";
import { type ChannelModel, connect } from "amqplib";
import type { Place } from "../../lib/wire/frame_encoder.ts";

/** What amqplib's `BasicProperties` and `BasicPublish` are made of. */
export type Fields = Readonly<Record<string, unknown>>;

/** A decoded frame. */
export interface Frame {
  readonly channel: number;
  readonly id?: number;
  readonly content?: Buffer;
}

/** A message as amqplib gives it. */
export interface Message {
  readonly fields: Fields;
  readonly properties: Fields;
  readonly content: Buffer;
}

interface ChannelInternals extends EventEmitter {
  accept(frame: Frame): void;
}

interface ConnectionInternals {
  frameMax: number;
  maxFrameSize: number;
  rest: Buffer;
  readonly channels: ({ buffer: { write(chunk: Buffer): boolean } } | null)[];
  recvFrame(): Frame | false;
  sendMethod(channel: number, method: number, fields: Fields): boolean;
  sendMessage(
    channel: number,
    method: number,
    fields: Fields,
    header: number,
    properties: Fields,
    content: Buffer,
  ): boolean;
}

interface Api {
  publish(exchange: string, routingKey: string, content: Buffer, options: Fields): boolean;
}

/** Class and method, as amqplib numbers them. */
export const PUBLISH = 0x003c_0028;
/** As {@linkcode PUBLISH}. */
export const RETURN = 0x003c_0032;
/** As {@linkcode PUBLISH}. */
export const DELIVER = 0x003c_003c;
/** As {@linkcode PUBLISH}. */
export const GET_OK = 0x003c_0047;
/** As {@linkcode PUBLISH}. */
export const ACK = 0x003c_0050;
/** As {@linkcode PUBLISH}. */
export const REJECT = 0x003c_005a;
/** As {@linkcode PUBLISH}. */
export const NACK = 0x003c_0078;
const PROPERTIES = 60;

/** A socket that goes nowhere, and answers an opening handshake. */
class Socket extends Duplex {
  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    // channel.open, answered with channel.open-ok.
    if (chunk[0] === 1 && chunk[8] === 20 && chunk[10] === 10) {
      this.push(Buffer.from([1, chunk[1] as number, chunk[2] as number, 0, 0, 0, 8, 0, 20, 0, 11, 0, 0, 0, 0, 0xce]));
    }
    done();
  }

  setNoDelay(): void {}
}

/** connection.start, connection.tune (no limit of channels, 128 KiB, no heartbeat) and connection.open-ok. */
const HANDSHAKE = Buffer.from(
  "0100000000001c" + "000a000a0009" + "00000000" + "00000005504c41494e" + "00000005656e5f5553" + "ce" +
    "0100000000000c" + "000a001e" + "0000000200000000" + "ce" +
    "01000000000005" + "000a0029" + "00" + "ce",
  "hex",
);

async function openConnection(): Promise<ChannelModel> {
  const socket = new Socket();
  const original = net.connect;
  const fake = (_options: unknown, connected: () => void): Socket => {
    queueMicrotask(() => {
      socket.push(HANDSHAKE);
      connected();
    });
    return socket;
  };
  net.connect = fake as unknown as typeof net.connect;
  try {
    return await connect("amqp://localhost");
  } finally {
    net.connect = original;
  }
}

/** What a decoder made of what came, in order. */
export type Event =
  | { readonly kind: "delivery" | "return"; readonly channel: number; readonly message: Message }
  | { readonly kind: "confirm"; readonly channel: number; readonly fields: Fields; readonly nack: boolean }
  /** A frame for somebody else. */
  | { readonly kind: "other"; readonly channel: number }
  /** The channel would be closed. */
  | { readonly kind: "violation"; readonly channel: number }
  /** The connection would be lost. */
  | { readonly kind: "broken" };

/** amqplib's code for the wire. */
export class AmqplibOracle {
  readonly #connection: ConnectionInternals;
  readonly #api: Api & { ch: number };
  readonly #Channel: new (connection: unknown) => ChannelInternals;
  #written: Buffer[] = [];

  private constructor(connection: ConnectionInternals, api: Api & { ch: number }) {
    this.#connection = connection;
    this.#api = api;
    // The class that has the state machine for messages is the one right below EventEmitter.
    let prototype: object = api;
    while (Object.getPrototypeOf(prototype) !== EventEmitter.prototype) prototype = Object.getPrototypeOf(prototype);
    this.#Channel = prototype.constructor as new (connection: unknown) => ChannelInternals;
  }

  /** Makes one. */
  static async open(): Promise<AmqplibOracle> {
    const model = await openConnection();
    const channel = await model.createChannel();
    return new AmqplibOracle(
      model.connection as unknown as ConnectionInternals,
      channel as unknown as Api & { ch: number },
    );
  }

  /** The bytes that `channel.publish` writes. */
  publish(
    place: Place,
    message: {
      readonly exchange: string;
      readonly routingKey: string;
      readonly content: Buffer;
      readonly options: Fields;
    },
  ): Buffer {
    this.#api.ch = place.channel;
    return this.#capture(place, () => {
      this.#api.publish(message.exchange, message.routingKey, message.content, message.options);
    });
  }

  /** A method frame. */
  method(channel: number, method: number, fields: Fields): Buffer {
    return this.#capture({ channel, frameMax: 4096 }, () => this.#connection.sendMethod(channel, method, fields));
  }

  /** The frames of a method with content. */
  message(place: Place, method: number, { fields, properties, content }: Message): Buffer {
    const { channel } = place;
    return this.#capture(place, () => {
      this.#connection.sendMessage(channel, method, fields, PROPERTIES, properties, content);
    });
  }

  #capture({ channel, frameMax }: Place, write: () => void): Buffer {
    this.#written = [];
    this.#connection.frameMax = frameMax;
    this.#connection.channels[channel] ??= { buffer: { write: () => true } };
    const entry = this.#connection.channels[channel];
    if (entry !== null && entry !== undefined) entry.buffer.write = (chunk) => this.#written.push(chunk) > 0;
    write();
    return Buffer.concat(this.#written);
  }

  /**
   * What amqplib makes of bytes, with those channels open. It is told of no `basic.get`, so what it says after a
   * `basic.get-ok` means nothing.
   */
  decode(bytes: Buffer, { maxFrameSize, open }: { maxFrameSize: number; open: readonly number[] }): Event[] {
    const events: Event[] = [];
    const channels = new Map<number, ChannelInternals>();
    const channelOf = (channel: number): ChannelInternals => {
      const known = channels.get(channel);
      if (known !== undefined) return known;
      // All that it sends is channel.close.
      const made = new this.#Channel({ sendMethod: () => events.push({ kind: "violation", channel }) });
      channels.set(channel, made);
      listen(made, channel);
      return made;
    };
    const connection: ConnectionInternals = Object.create(Object.getPrototypeOf(this.#connection));
    Object.assign(connection, { rest: bytes, maxFrameSize, stream: { read: () => null } });
    try {
      for (let frame = connection.recvFrame(); frame !== false; frame = connection.recvFrame()) {
        const { channel, id, content } = frame;
        const known = content !== undefined || id !== undefined && KNOWN.has(id);
        if (!known || !open.includes(channel)) events.push({ kind: "other", channel });
        else channelOf(channel).accept(frame);
      }
    } catch {
      events.push({ kind: "broken" });
    }
    return events;

    function listen(target: ChannelInternals, channel: number): void {
      target.on("delivery", (message: Message) => events.push({ kind: "delivery", channel, message }));
      target.on("return", (message: Message) => events.push({ kind: "return", channel, message }));
      target.removeAllListeners("ack").on("ack", (fields: Fields) => {
        events.push({ kind: "confirm", channel, fields, nack: false });
      });
      target.removeAllListeners("nack").on("nack", (fields: Fields) => {
        events.push({ kind: "confirm", channel, fields, nack: true });
      });
    }
  }
}

const KNOWN: ReadonlySet<number> = new Set([RETURN, DELIVER, ACK, NACK, PROPERTIES]);
