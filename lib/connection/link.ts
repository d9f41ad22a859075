import type { Channel } from "./channel.ts";
import type { ConnectOptions } from "./connect_options.ts";
import type { Host } from "./broker_url.ts";
import type { HandshakeOptions } from "./handshake.ts";

/** How long a close handshake may take before the link is cut, in ms. */
export const CLOSE_TIMEOUT_MS = 1_000;

/** Callbacks of a link. */
export interface LinkListener {
  /** The broker has stopped reading what is published, for the reason given, or reads again. */
  blocked(reason: string | undefined): void;
  /** The link is gone. */
  lost(cause: Error | undefined): void;
}

/** One AMQP connection to one broker, from its handshake until it is lost or closed. */
export interface Link {
  readonly host: Host;
  /** Why the broker has stopped reading what is published; absent if it has not. */
  readonly blocked: string | undefined;
  /** The version of RabbitMQ, such as `4.3.6`; absent if the broker is another one, or does not say. */
  readonly version: string | undefined;
  /**
   * Checks that the link is not closed already: a close that arrives together with the end of the handshake is emitted
   * before there is a listener.
   *
   * @throws {RpcError} `unavailable` if it is closed.
   */
  assertOpen(): void;
  /**
   * Opens a channel.
   *
   * @param confirm Whether the broker confirms what is published on it.
   * @throws {RpcError} If the link is lost, or the broker does not open it in time.
   */
  openChannel(action: string, confirm: boolean): Promise<Channel>;
  /** Closes the connection, and cuts the link if the broker does not answer; never rejects. */
  close(): Promise<void>;
  /** Cuts the link at once. */
  cut(why: string): void;
}

/**
 * Connects to a broker.
 *
 * @throws What the way to the broker throws; `toRpcError` says what it means.
 */
export type OpenLink = (host: Host, options: HandshakeOptions, listener: LinkListener) => Promise<Link>;

/** The key of an option that is not public, for `lib/testing`: what opens links instead of amqplib. */
export const OPEN_LINK: unique symbol = Symbol("open link");

/** The options of a connection, public or not. */
export interface LinkOptions extends ConnectOptions {
  readonly [OPEN_LINK]?: OpenLink;
}
