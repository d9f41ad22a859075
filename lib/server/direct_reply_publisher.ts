import type { Channel } from "../connection/channel.ts";
import { isChannelClosed } from "../connection/broker_error.ts";
import { PublisherConfirms } from "../connection/publisher_confirms.ts";
import type { Connection } from "../connection/connection.ts";
import type { ByteString } from "../wire/byte_string.ts";
import { replyMessage } from "../wire/reply_message.ts";
import { type Reply, taken } from "./reply_publisher.ts";
import { WaitingReplies } from "./waiting_replies.ts";

/** How many callers are remembered as safe to answer. */
const MAX_PROVEN = 10_000;
/** At most so many bytes of replies wait for a connection; when there are more, the oldest is dropped. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** At most this many replies, and about so many bytes of them, are unconfirmed at once. */
const MAX_UNCONFIRMED = 1_000;
const MAX_UNCONFIRMED_BYTES = 16 * 1024 * 1024;

/** What a lane needs from its publisher. */
interface LaneHost {
  /** How many replies may be unconfirmed at once. */
  readonly window: number;
  /** Whether the replies may be what breaks the connection. */
  readonly suspect: boolean;
  /** Opens its connection. */
  open(signal: AbortSignal): Promise<Connection>;
  /** Whether a reply that waits was given to another lane. */
  divert(reply: Reply): boolean;
  /** A reply has ended; `confirmed` is undefined if it was not written. */
  settled(reply: Reply, confirmed: boolean | undefined): void;
}

/** One connection for replies to direct addresses. */
class Lane {
  readonly #host: LaneHost;
  readonly #closing = new AbortController();
  readonly #waiting = new WaitingReplies<Reply>(
    (reply) => reply,
    (reply) => this.#drop(reply, "its caller's deadline has passed"),
  );
  readonly #confirms: PublisherConfirms<Reply>;
  #underWay = 0;
  #underWayBytes = 0;
  #opening: Promise<void> | undefined;
  #connection: Connection | undefined;
  #channel: Channel | undefined;

  constructor(host: LaneHost) {
    this.#host = host;
    this.#confirms = new PublisherConfirms((reply, refused) => {
      this.#underWay--;
      this.#underWayBytes -= reply.body.length;
      this.#end(reply, refused ? "the broker refused it" : undefined);
      this.flush();
    });
  }

  /** Whether so many replies wait that the request of a further one should stay in the queue. */
  isFull(bytes: number): boolean {
    if (!this.#waiting.isFull(bytes)) return false;
    // Bad addresses may break its connection again and again: requests with them must not take up the prefetch.
    return !this.#host.suspect || this.#connection === undefined || this.#connection.blocked !== undefined;
  }

  send(reply: Reply): void {
    const channel = this.#waiting.size === 0 ? this.#writable() : undefined;
    if (channel !== undefined) {
      this.#publish(channel, reply);
      return;
    }
    this.#waiting.add(reply);
    if (this.#waiting.bytes > MAX_WAITING_BYTES) this.#dropOldest(reply);
    this.#opening ??= this.#connect();
    this.flush();
  }

  /** Sends the replies that wait, as far as possible. */
  flush(): void {
    if (this.#waiting.size === 0) return;
    for (const reply of this.#waiting) {
      const channel = this.#writable();
      if (channel === undefined) return;
      if (reply.deadline <= performance.now()) this.#drop(reply, "its caller's deadline has passed");
      else if (this.#host.divert(reply)) this.#waiting.delete(reply);
      else this.#publish(channel, reply);
    }
  }

  /** Drops the replies that are not confirmed. */
  abandon(): void {
    for (const reply of [...this.#waiting, ...this.#confirms.takeAll()]) this.#drop(reply, "the server is closing");
    this.#waiting.close();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    // The connection first: what opens a channel on it waits until it is back, or closed.
    await Promise.all([this.#connection?.close(), this.#opening]);
    await this.#connection?.close();
  }

  async #connect(): Promise<void> {
    try {
      const connection = this.#connection = await this.#host.open(this.#closing.signal);
      await connection.keep({
        action: "open a channel for direct replies",
        confirms: this.#confirms,
        setup: (channel) => {
          channel.listen({ confirmed: (confirm) => this.#confirms.confirm(confirm) });
          this.#channel = channel;
          return Promise.resolve();
        },
        opened: () => this.flush(),
        lost: (error) => {
          this.#channel = undefined;
          this.#underWay = this.#underWayBytes = 0;
          // Not sent again: one of them may have made the broker close the connection.
          for (const reply of this.#confirms.takeAll()) this.#end(reply, error.message);
        },
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const connection = this.#connection;
      // First, so that a reply that is sent meanwhile opens another connection.
      this.#connection = this.#opening = undefined;
      for (const reply of this.#waiting) this.#drop(reply, why);
      await connection?.close();
    }
  }

  /** The channel, if a reply may be written to it now. */
  #writable(): Channel | undefined {
    const hasRoom = this.#underWay < this.#host.window && this.#underWayBytes < MAX_UNCONFIRMED_BYTES;
    return hasRoom && this.#connection?.blocked === undefined ? this.#channel : undefined;
  }

  #publish(channel: Channel, given: Reply): void {
    if (this.#waiting.size > 0) this.#waiting.delete(given);
    const reply = taken(given);
    try {
      channel.publish(replyMessage(reply));
    } catch (error) {
      if (isChannelClosed(error)) {
        // The channel has just closed: the next one sends it.
        this.#channel = undefined;
        this.#waiting.add(reply);
      } else {
        this.#drop(reply, String(error));
      }
      return;
    }
    this.#confirms.add(reply);
    this.#underWay++;
    this.#underWayBytes += reply.body.length;
  }

  #dropOldest(newest: Reply): void {
    for (const oldest of this.#waiting.taken()) {
      if (this.#waiting.bytes <= MAX_WAITING_BYTES || oldest === newest) return;
      this.#drop(oldest, "too many replies wait for a connection");
    }
  }

  #drop(reply: Reply, why: string): void {
    this.#waiting.delete(reply);
    this.#host.settled(reply, undefined);
    reply.done("dropped", why);
  }

  /** A reply that was written has ended. */
  #end(reply: Reply, why: string | undefined): void {
    this.#host.settled(reply, why === undefined);
    reply.done(why === undefined ? "confirmed" : "dropped", why ?? "");
  }
}

/**
 * Sends replies to direct addresses (https://www.rabbitmq.com/docs/direct-reply-to): at most once, over connections of
 * their own, because RabbitMQ before 4.3 closes the connection if the address names a node that is not there. Callers
 * without a confirmed reply so far get theirs one at a time over a second connection, so that a bad address can cost
 * only its own reply.
 */
export class DirectReplyPublisher {
  readonly #lane: Lane;
  readonly #trial: Lane;
  /** The addresses of callers that a reply was confirmed for, the one that was longest ago first. */
  readonly #proven = new Set<ByteString>();
  #underWay = 0;
  #idle: (() => void)[] = [];

  /** @param open Opens a connection for replies; called when the first reply needs it. */
  constructor(open: (flush: () => void, signal: AbortSignal) => Promise<Connection>) {
    const settled = (reply: Reply, confirmed: boolean | undefined): void => this.#settled(reply, confirmed);
    const lane = this.#lane = new Lane({
      window: MAX_UNCONFIRMED,
      suspect: false,
      open: (signal) => open(() => lane.flush(), signal),
      divert: () => false,
      settled,
    });
    const trial = this.#trial = new Lane({
      window: 1,
      suspect: true,
      open: (signal) => open(() => trial.flush(), signal),
      divert: (reply) => {
        if (!this.#proven.has(reply.replyTo)) return false;
        lane.send(reply);
        return true;
      },
      settled,
    });
  }

  /**
   * Whether so many replies wait that the request of a further one, with a body of so many bytes, should stay in the queue
   * until that is written.
   */
  isFull(bytes: number): boolean {
    return this.#lane.isFull(bytes) || this.#trial.isFull(bytes);
  }

  /** Sends a reply once. */
  send(reply: Reply): void {
    this.#underWay++;
    if (this.#proven.has(reply.replyTo)) this.#lane.send(reply);
    else this.#trial.send(reply);
  }

  /** Resolves when all replies are confirmed or dropped. */
  idle(): Promise<void> {
    return this.#underWay === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Drops the replies that are not confirmed. */
  abandon(): void {
    this.#lane.abandon();
    this.#trial.abandon();
  }

  /** Closes the connections; never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.#lane.close(), this.#trial.close()]);
  }

  #settled(reply: Reply, confirmed: boolean | undefined): void {
    this.#underWay--;
    if (confirmed !== undefined) this.#remember(reply.replyTo, confirmed);
    if (this.#underWay > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #remember(caller: ByteString, confirmed: boolean): void {
    this.#proven.delete(caller);
    if (!confirmed) return;
    this.#proven.add(caller);
    const [oldest] = this.#proven;
    if (oldest !== undefined && this.#proven.size > MAX_PROVEN) this.#proven.delete(oldest);
  }
}
