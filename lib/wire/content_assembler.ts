import { Buffer } from "node:buffer";
import type { ByteReader } from "./byte_reader.ts";
import {
  BASIC,
  BASIC_ACK,
  BASIC_DELIVER,
  BASIC_GET_OK,
  BASIC_NACK,
  BASIC_RETURN,
  CHANNEL,
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_METHOD,
} from "./constants.ts";
import type { Confirm, Delivery, Returned } from "./message.ts";
import { NO_PROPERTIES, PropertiesDecoder } from "./properties_decoder.ts";

/** Receives what arrives on one channel. If a method throws, `FrameDecoder.push` throws the same error; its next call decodes the frames after it. */
export interface ChannelSink {
  /** A message for a consumer is complete. */
  delivered(delivery: Delivery): void;
  /** A message that could not be routed is complete. */
  returned(returned: Returned): void;
  /** The broker has confirmed or refused what was published. */
  confirmed(confirm: Confirm): void;
  /**
   * The broker broke the protocol on this channel, which should be closed. Called once: later messages and confirms of
   * the channel are dropped, other methods are still passed on.
   */
  violated(reason: string): void;
}

/**
 * What must come next on a channel. `foreign` is the content of `basic.get-ok`, which is not read here; `nothing` means
 * that the protocol was violated.
 */
type Awaited = "method" | "header" | "body" | "foreign" | "nothing";

const NO_BODY: Uint8Array = Buffer.alloc(0);

/**
 * Assembles messages from the frames of one channel: a method, a content header, and body frames up to the announced
 * size (section 2.3.5.2 of the specification). Holds one message at a time, of at most `maxBodySize` bytes.
 */
export class ContentAssembler {
  readonly #sink: ChannelSink;
  readonly #reader: ByteReader;
  readonly #maxBodySize: number;
  readonly #decoder = new PropertiesDecoder();
  #awaited: Awaited = "method";

  // The message in progress. Its strings still have the values of the previous message until they are overwritten: if the
  // new value is equal, the reader returns the old string and needs no new memory.
  #isReturn = false;
  #deliveryTag = 0;
  #redelivered = false;
  #replyCode = 0;
  #consumerTag = "";
  #replyText = "";
  #exchange = "";
  #routingKey = "";
  #properties = NO_PROPERTIES;
  #malformed: string | undefined;
  /** How many bytes of the body are still to come. */
  #remaining = 0;
  /** Collects a body that comes in several frames. */
  #body = NO_BODY;

  /**
   * @param reader Used within each call only, so all channels of a connection may share one.
   * @param maxBodySize In bytes. Larger messages arrive as malformed, and their bodies are not kept.
   */
  constructor(sink: ChannelSink, reader: ByteReader, maxBodySize: number) {
    this.#sink = sink;
    this.#reader = reader;
    this.#maxBodySize = maxBodySize;
  }

  /**
   * Accepts a frame, whose payload is in `bytes` from `start` up to `end`.
   *
   * @returns Whether the frame was handled here; if not, it must be passed on.
   */
  accept(type: number, bytes: Buffer, start: number, end: number): boolean {
    this.#reader.reset(bytes, start, end);
    switch (type) {
      case FRAME_METHOD:
        return this.#acceptMethod();
      case FRAME_HEADER:
        return this.#acceptHeader();
      case FRAME_BODY:
        return this.#acceptBody(bytes, start, end);
      default:
        return false;
    }
  }

  #acceptMethod(): boolean {
    const reader = this.#reader;
    const method = reader.int32();
    if (reader.failed) return this.#violate("A method frame without a method");
    if (this.#awaited !== "method") {
      // Methods of the class `channel`, such as its close, are passed on even after an error.
      if (method >>> 16 === CHANNEL) return false;
      if (this.#awaited === "header") return this.#violate("Expected a content header, got a method");
      if (this.#awaited === "body") return this.#violate("Expected a content body, got a method");
      if (this.#awaited === "nothing") return isHot(method);
      // It ends foreign content, which is not checked here.
      this.#awaited = "method";
    }
    switch (method) {
      case BASIC_DELIVER:
        return this.#beginDelivery();
      case BASIC_RETURN:
        return this.#beginReturn();
      case BASIC_ACK:
        return this.#confirm(false);
      case BASIC_NACK:
        return this.#confirm(true);
      case BASIC_GET_OK:
        this.#awaited = "foreign";
        return false;
      default:
        return false;
    }
  }

  #beginDelivery(): boolean {
    const reader = this.#reader;
    this.#consumerTag = reader.shortString(this.#consumerTag);
    this.#deliveryTag = reader.uint64();
    this.#redelivered = (reader.uint8() & 1) !== 0;
    this.#exchange = reader.shortString(this.#exchange);
    this.#routingKey = reader.shortString(this.#routingKey);
    if (reader.failed) return this.#violate("Cannot read basic.deliver");
    // A rounded tag would acknowledge another message.
    if (!Number.isSafeInteger(this.#deliveryTag)) return this.#violate("Delivery tag of 2^53 or more");
    this.#isReturn = false;
    this.#awaited = "header";
    return true;
  }

  #beginReturn(): boolean {
    const reader = this.#reader;
    this.#replyCode = reader.uint16();
    this.#replyText = reader.shortString(this.#replyText);
    this.#exchange = reader.shortString(this.#exchange);
    this.#routingKey = reader.shortString(this.#routingKey);
    if (reader.failed) return this.#violate("Cannot read basic.return");
    this.#isReturn = true;
    this.#awaited = "header";
    return true;
  }

  #confirm(nack: boolean): boolean {
    const reader = this.#reader;
    const deliveryTag = reader.uint64();
    const multiple = (reader.uint8() & 1) !== 0;
    if (reader.failed) return this.#violate(`Cannot read basic.${nack ? "nack" : "ack"}`);
    if (!Number.isSafeInteger(deliveryTag)) return this.#violate("Delivery tag of 2^53 or more");
    this.#sink.confirmed({ deliveryTag, multiple, nack });
    return true;
  }

  #acceptHeader(): boolean {
    const reader = this.#reader;
    if (this.#awaited === "foreign") return false;
    if (this.#awaited !== "header") return this.#unexpected("header");
    const classId = reader.uint16();
    // The weight, always 0.
    reader.uint16();
    const size = reader.uint64();
    if (reader.failed) return this.#violate("Cannot read the size in a content header");
    if (classId !== BASIC) return this.#violate(`Content header of class ${classId}, not ${BASIC}`);
    if (!Number.isSafeInteger(size)) return this.#violate("Content of 2^53 bytes or more");
    const properties = this.#decoder.decode(reader);
    this.#properties = properties ?? NO_PROPERTIES;
    this.#malformed = properties === undefined
      ? "its properties cannot be read"
      : size > this.#maxBodySize
      ? `its body has ${size} bytes, at most ${this.#maxBodySize} are allowed`
      : undefined;
    this.#remaining = size;
    if (size === 0) this.#complete(NO_BODY);
    else this.#awaited = "body";
    return true;
  }

  #acceptBody(bytes: Buffer, start: number, end: number): boolean {
    if (this.#awaited === "foreign") return false;
    if (this.#awaited !== "body") return this.#unexpected("body");
    const remaining = this.#remaining - (end - start);
    if (remaining < 0) return this.#violate("Too much content sent");
    if (this.#malformed !== undefined) {
      this.#remaining = remaining;
      if (remaining === 0) this.#complete(NO_BODY);
      return true;
    }
    if (this.#body.length === 0) {
      if (remaining === 0) {
        this.#complete(bytes.subarray(start, end));
        return true;
      }
      this.#body = Buffer.allocUnsafeSlow(this.#remaining);
    }
    bytes.copy(this.#body, this.#body.length - this.#remaining, start, end);
    this.#remaining = remaining;
    if (remaining === 0) this.#complete(this.#body);
    return true;
  }

  #complete(body: Uint8Array): void {
    const properties = this.#properties;
    const malformed = this.#malformed;
    const exchange = this.#exchange;
    const routingKey = this.#routingKey;
    // Reset before the sink is called, because it may throw.
    this.#awaited = "method";
    this.#properties = NO_PROPERTIES;
    this.#body = NO_BODY;
    if (this.#isReturn) {
      const replyCode = this.#replyCode;
      const replyText = this.#replyText;
      this.#sink.returned({ replyCode, replyText, exchange, routingKey, properties, body, malformed });
    } else {
      const consumerTag = this.#consumerTag;
      const deliveryTag = this.#deliveryTag;
      const redelivered = this.#redelivered;
      this.#sink.delivered({
        consumerTag,
        deliveryTag,
        redelivered,
        exchange,
        routingKey,
        properties,
        body,
        malformed,
      });
    }
  }

  /** Handles a header or a body that was not expected. */
  #unexpected(what: "header" | "body"): boolean {
    switch (this.#awaited) {
      case "nothing":
        return true;
      case "method":
        return this.#violate(`A content ${what} without a method before it`);
      case "header":
        return this.#violate("Expected a content header, got a body");
      default:
        return this.#violate("Expected a content body, got a header");
    }
  }

  #violate(reason: string): boolean {
    this.#awaited = "nothing";
    this.#properties = NO_PROPERTIES;
    this.#body = NO_BODY;
    this.#sink.violated(reason);
    return true;
  }
}

/** Whether a method is handled by {@linkcode ContentAssembler} or is followed by content (`basic.get-ok`). */
function isHot(method: number): boolean {
  return method === BASIC_DELIVER || method === BASIC_RETURN || method === BASIC_ACK || method === BASIC_NACK ||
    method === BASIC_GET_OK;
}
