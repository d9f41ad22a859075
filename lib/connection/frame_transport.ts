import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import type { ChannelModel } from "amqplib";
import type { ChannelSink } from "../wire/content_assembler.ts";
import { FrameDecoder } from "../wire/frame_decoder.ts";
import type { Publish } from "../wire/message.ts";
import { WriteBatcher } from "./write_batcher.ts";
import { WriteFailure } from "./write_failure.ts";

/** Receives what arrives on one channel; `writable` is called when writing may continue. */
export interface TransportSink extends ChannelSink {
  writable(): void;
}

/** The private parts of an amqplib connection that are used here. */
interface Internals {
  readonly stream: Duplex;
  readonly channels: readonly ({ readonly buffer: Duplex } | null | undefined)[];
  readonly frameMax: number;
  readonly maxFrameSize: number;
  rest: Buffer;
  recvSinceLastCheck: boolean;
  sentSinceLastCheck: boolean;
  accept(frame: unknown): void;
  freshChannel(channel: unknown, options: unknown): number;
  recvFrame(): unknown;
}

/** Whether amqplib's private parts may be used; tests without them set it to false. */
export const frameTransport = { enabled: true };

function internalsOf(model: ChannelModel): Internals | undefined {
  const connection = model.connection as unknown as Partial<Internals>;
  const { accept, channels, frameMax, freshChannel, maxFrameSize, recvFrame, rest, stream } = connection;
  const known = frameTransport.enabled && accept?.length === 1 && Array.isArray(channels) &&
    typeof frameMax === "number" && freshChannel?.length === 2 && typeof maxFrameSize === "number" &&
    recvFrame?.length === 0 && Buffer.isBuffer(rest) && typeof connection.recvSinceLastCheck === "boolean" &&
    typeof stream?.write === "function" && typeof stream._write === "function" && typeof stream.read === "function" &&
    typeof stream.writableNeedDrain === "boolean";
  return known ? connection as Internals : undefined;
}

/**
 * Reads and writes the frames of an amqplib connection: messages, confirms and acks with the codec of `lib/wire`, all
 * others with amqplib, which also does the handshake and heartbeats, and opens and closes channels.
 *
 * This halves the CPU time of a call, and amqplib never decodes what a peer puts into a message.
 */
export class FrameTransport {
  readonly #connection: Internals;
  readonly #decoder: FrameDecoder;
  readonly #batcher: WriteBatcher;
  readonly #writes: WriteFailure;
  readonly #sinks = new Map<number, TransportSink>();
  #reads = 0;

  private constructor(connection: Internals) {
    this.#connection = connection;
    this.#writes = new WriteFailure(connection.stream);
    this.#batcher = new WriteBatcher(connection.stream);
    const { recvFrame } = connection;
    this.#decoder = new FrameDecoder({
      maxFrameSize: connection.maxFrameSize,
      other: (frame) => {
        connection.rest = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
        connection.accept(recvFrame.call(connection));
      },
    });
  }

  /**
   * Takes over the frames of a connection whose handshake is done.
   *
   * @returns Undefined if amqplib's private parts are not those expected; the connection is then unchanged.
   */
  static install(model: ChannelModel): FrameTransport | undefined {
    const connection = internalsOf(model);
    if (connection === undefined) return undefined;
    const transport = new FrameTransport(connection);
    transport.#install();
    return transport;
  }

  /** Whether a write has failed: the connection is lost when what the broker has sent is read. */
  get failed(): boolean {
    return this.#writes.failed;
  }

  /** How often something was read from the socket. */
  get reads(): number {
    return this.#reads;
  }

  /** Passes the messages and confirms of a channel to `sink` from now on. */
  take(channel: number, sink: TransportSink): void {
    this.#sinks.set(channel, sink);
    this.#decoder.take(channel, sink);
  }

  /** Removes a channel that is closed. */
  release(channel: number): void {
    this.#sinks.delete(channel);
    this.#decoder.release(channel);
  }

  /** Writes a message; returns whether more may be written now. */
  publish(channel: number, message: Publish): boolean {
    this.#batcher.publish({ channel, frameMax: this.#connection.frameMax }, message);
    return this.#hasRoom(channel);
  }

  /** Writes an ack. */
  ack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#batcher.ack(channel, deliveryTag, multiple);
  }

  /** Writes a nack. */
  nack(channel: number, deliveryTag: number, requeue: boolean): void {
    this.#batcher.nack(channel, deliveryTag, requeue);
  }

  /** Cuts the connection. */
  fail(why: string): void {
    this.#connection.stream.destroy(new Error(why));
  }

  #hasRoom(channel: number): boolean {
    this.#connection.sentSinceLastCheck = true;
    if (this.#batcher.hasRoom) return true;
    const sink = this.#sinks.get(channel);
    if (sink !== undefined) this.#batcher.whenRoom(sink.writable);
    return false;
  }

  #install(): void {
    const connection = this.#connection;
    const { freshChannel } = connection;
    connection.freshChannel = (channel, options) => {
      const number = freshChannel.call(connection, channel, options);
      const buffer = connection.channels[number]?.buffer;
      if (buffer !== undefined) {
        const drained = (): void => void buffer.emit("drain");
        buffer.write = (frame: Buffer): boolean => {
          this.#batcher.write(frame);
          if (this.#batcher.hasRoom) return true;
          this.#batcher.whenRoom(drained);
          return false;
        };
      }
      return number;
    };
    connection.recvFrame = () => {
      this.#receive();
      return false;
    };
    const { rest } = connection;
    connection.rest = Buffer.alloc(0);
    if (rest.length > 0) this.#decode(rest);
  }

  #receive(): void {
    for (;;) {
      const chunk: unknown = this.#connection.stream.read();
      if (!(chunk instanceof Uint8Array)) return;
      this.#connection.recvSinceLastCheck = true;
      this.#reads++;
      this.#decode(chunk);
    }
  }

  #decode(chunk: Uint8Array): void {
    const fault = this.#decoder.push(chunk);
    // amqplib closes the connection because of it, as because of a fault that it finds itself.
    if (fault !== undefined) throw new Error(fault);
  }
}
