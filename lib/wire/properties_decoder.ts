import type { ByteReader } from "./byte_reader.ts";
import {
  APP_ID,
  CLUSTER_ID,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  EXPIRATION,
  HEADERS,
  KNOWN_FLAGS,
  MESSAGE_ID,
  PRIORITY,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
  USER_ID,
} from "./constants.ts";
import type { Properties } from "./message.ts";

/** The properties of a message that has none, or none that can be read. */
export const NO_PROPERTIES: Properties = Object.freeze({});

/**
 * Reads the property list of content headers. Strings that are the same from one message to the next, such as the
 * content type, are created once.
 */
export class PropertiesDecoder {
  #contentType = "";
  #contentEncoding = "";
  #correlationId = "";
  #replyTo = "";
  #expiration = "";
  #type = "";
  #userId = "";
  #appId = "";

  /**
   * Reads the flags and the properties that they name, up to the end.
   *
   * What RabbitMQ's own decoder refuses is malformed here too: unknown flags, a second word of flags, and bytes that are
   * left over.
   *
   * @returns The properties; undefined if they are malformed.
   */
  decode(reader: ByteReader): Properties | undefined {
    const flags = reader.uint16();
    if ((flags & ~KNOWN_FLAGS) !== 0) return undefined;
    // All messages get an object of the same shape. The order is that of the wire.
    const properties: Properties = {
      contentType: flags & CONTENT_TYPE ? this.#contentType = reader.shortString(this.#contentType) : undefined,
      contentEncoding: flags & CONTENT_ENCODING
        ? this.#contentEncoding = reader.shortString(this.#contentEncoding)
        : undefined,
      headers: flags & HEADERS ? reader.longBytes() : undefined,
      deliveryMode: flags & DELIVERY_MODE ? reader.uint8() : undefined,
      priority: flags & PRIORITY ? reader.uint8() : undefined,
      correlationId: flags & CORRELATION_ID ? this.#correlationId = reader.shortString(this.#correlationId) : undefined,
      replyTo: flags & REPLY_TO ? this.#replyTo = reader.shortString(this.#replyTo) : undefined,
      expiration: flags & EXPIRATION ? this.#expiration = reader.shortString(this.#expiration) : undefined,
      // Many callers send their correlation id here too; otherwise it is unique.
      messageId: flags & MESSAGE_ID ? reader.shortString(this.#correlationId) : undefined,
      timestamp: flags & TIMESTAMP ? reader.uint64() : undefined,
      type: flags & TYPE ? this.#type = reader.shortString(this.#type) : undefined,
      userId: flags & USER_ID ? this.#userId = reader.shortString(this.#userId) : undefined,
      appId: flags & APP_ID ? this.#appId = reader.shortString(this.#appId) : undefined,
      clusterId: flags & CLUSTER_ID ? reader.shortString() : undefined,
    };
    return reader.failed || reader.left > 0 ? undefined : properties;
  }
}
