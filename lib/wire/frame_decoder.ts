import { ByteReader } from "./byte_reader.ts";
import { FRAME_BODY, FRAME_HEAD, FRAME_HEARTBEAT, FRAME_METHOD } from "./constants.ts";
import { type ChannelSink, ContentAssembler } from "./content_assembler.ts";
import { FrameSplitter } from "./frame_splitter.ts";

/** Bounds of what is accepted, and where the rest goes. */
export interface FrameDecoderOptions {
  /** The largest payload of a frame, in bytes; 0 for no limit. */
  readonly maxFrameSize: number;
  /**
   * The largest body of a message, in bytes. Larger ones arrive as malformed.
   *
   * @default {134_217_728} RabbitMQ's own default, 128 MiB, until 3.13.
   */
  readonly maxBodySize?: number;
  /**
   * Hears every frame that is not decoded here, whole, from its type to its end octet, in the order in which frames
   * came: all of channels that nobody took, and of the others all but messages and confirms. The bytes are valid as
   * those of a body are.
   */
  other(frame: Uint8Array, channel: number): void;
}

/** 128 MiB. */
const MAX_BODY_SIZE = 134_217_728;

/**
 * Decodes what comes from a broker after the handshake. Messages and confirms of the channels that were taken are
 * decoded and handed to their sinks, synchronously and in order; all else is handed on as it came.
 *
 * Whatever the bytes, nothing is thrown: a message that cannot be read arrives as malformed, frames in an impossible
 * order are a violation of the channel, and frames that cannot be told apart are a fault of the connection.
 */
export class FrameDecoder {
  readonly #splitter: FrameSplitter;
  readonly #reader = new ByteReader();
  readonly #assemblers = new Map<number, ContentAssembler>();
  readonly #maxBodySize: number;
  readonly #other: (frame: Uint8Array, channel: number) => void;
  #fault: string | undefined;
  // Most frames are of the channel of the frame before.
  #lastChannel = -1;
  #lastAssembler: ContentAssembler | undefined;

  constructor(options: FrameDecoderOptions) {
    this.#splitter = new FrameSplitter(options.maxFrameSize);
    this.#maxBodySize = options.maxBodySize ?? MAX_BODY_SIZE;
    this.#other = (frame, channel) => options.other(frame, channel);
  }

  /** Decodes messages and confirms of a channel from now on, anew if it was taken before. */
  take(channel: number, sink: ChannelSink): void {
    this.#assemblers.set(channel, new ContentAssembler(sink, this.#reader, this.#maxBodySize));
    this.#lastChannel = -1;
  }

  /** Hands on all frames of a channel from now on, and forgets what is incomplete; for a channel that is closed. */
  release(channel: number): void {
    this.#assemblers.delete(channel);
    this.#lastChannel = -1;
  }

  /**
   * Decodes what a socket gave, split in whatever way. The chunk's memory must not be written to afterwards. May not be
   * called by a sink.
   *
   * @returns Why the connection is broken, now and at every later call; undefined if all is well.
   * @throws What a sink throws; the next call goes on with the frame after.
   */
  push(chunk: Uint8Array): string | undefined {
    const splitter = this.#splitter;
    if (this.#fault !== undefined) return this.#fault;
    splitter.push(chunk);
    while (splitter.next()) {
      const { type, channel, bytes, start, end } = splitter;
      if (type !== FRAME_HEARTBEAT && (type < FRAME_METHOD || type > FRAME_BODY)) {
        return this.#fault = `Unknown frame type ${type}`;
      }
      const assembler = channel === this.#lastChannel ? this.#lastAssembler : this.#find(channel);
      if (assembler === undefined || !assembler.accept(type, bytes, start, end)) {
        this.#other(bytes.subarray(start - FRAME_HEAD, end + 1), channel);
      }
    }
    // What a quiet connection has read last must not stay in memory.
    this.#reader.release();
    splitter.release();
    return this.#fault = splitter.fault;
  }

  #find(channel: number): ContentAssembler | undefined {
    this.#lastChannel = channel;
    return this.#lastAssembler = this.#assemblers.get(channel);
  }
}
