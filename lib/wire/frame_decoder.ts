import { ByteReader } from "./byte_reader.ts";
import { FRAME_BODY, FRAME_HEAD, FRAME_HEARTBEAT, FRAME_METHOD } from "./constants.ts";
import { type ChannelSink, ContentAssembler } from "./content_assembler.ts";
import { FrameSplitter } from "./frame_splitter.ts";

/** Limits, and the receiver of the frames that are not decoded here. */
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
   * Called with every frame that is not decoded here, whole, from its type to its end octet, in order: all frames of
   * channels that were not taken, and all except messages and confirms of the others. The bytes are valid as long as
   * those of a body.
   */
  other(frame: Uint8Array, channel: number): void;
}

/** 128 MiB. */
const MAX_BODY_SIZE = 134_217_728;

/**
 * Decodes what comes from a broker after the handshake. Messages and confirms of the channels that were taken are
 * decoded and passed to their sinks, synchronously and in order; all else is passed on unchanged.
 *
 * No bytes make it throw: a message that cannot be read arrives as malformed, frames in a wrong order are a violation on
 * their channel, and bytes that are not frames are a fault of the connection.
 */
export class FrameDecoder {
  readonly #splitter: FrameSplitter;
  readonly #reader = new ByteReader();
  readonly #assemblers = new Map<number, ContentAssembler>();
  readonly #maxBodySize: number;
  readonly #other: (frame: Uint8Array, channel: number) => void;
  #fault: string | undefined;
  // Most frames are on the same channel as the frame before.
  #lastChannel = -1;
  #lastAssembler: ContentAssembler | undefined;

  constructor(options: FrameDecoderOptions) {
    this.#splitter = new FrameSplitter(options.maxFrameSize);
    this.#maxBodySize = options.maxBodySize ?? MAX_BODY_SIZE;
    this.#other = (frame, channel) => options.other(frame, channel);
  }

  /** Decodes messages and confirms of a channel from now on; starts again if it was taken before. */
  take(channel: number, sink: ChannelSink): void {
    this.#assemblers.set(channel, new ContentAssembler(sink, this.#reader, this.#maxBodySize));
    this.#lastChannel = -1;
  }

  /** Passes on all frames of a channel from now on, and drops an incomplete message; for a channel that is closed. */
  release(channel: number): void {
    this.#assemblers.delete(channel);
    this.#lastChannel = -1;
  }

  /**
   * Decodes a chunk from a socket; chunks may begin and end anywhere. The chunk's memory must not be written to
   * afterwards. A sink must not call this.
   *
   * @returns Why the connection is broken, now and at every later call; undefined if all is well.
   * @throws What a sink throws; the next call continues with the next frame.
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
    // Otherwise an idle connection would keep its last chunk in memory.
    this.#reader.release();
    splitter.release();
    return this.#fault = splitter.fault;
  }

  #find(channel: number): ContentAssembler | undefined {
    this.#lastChannel = channel;
    return this.#lastAssembler = this.#assemblers.get(channel);
  }
}
