import type { ConfirmChannel, ConsumeMessage, Message } from "amqplib";
import { isChannelClosed } from "../connection/broker_error.ts";
import { PublisherConfirms } from "../connection/publisher_confirms.ts";
import { CONNECT_TIMEOUT_MS } from "../connection/connect_options.ts";
import type { Connection, KeptChannel } from "../connection/connection.ts";
import { RpcError } from "../contract/errors.ts";
import { settlesWithin } from "../connection/handshake.ts";
import type { PendingCall } from "./pending_calls.ts";
import { DIRECT_REPLY_TO, requestProperties, toBuffer } from "../wire/protocol.ts";

/** What comes of requests, besides their confirms. */
export interface RequestListener {
  /** A reply has come, for whomever. */
  replied(message: ConsumeMessage): void;
  /** The broker has sent a request back: its queue does not exist. */
  returned(message: Message): void;
  /** The broker has not taken a request. */
  refused(call: PendingCall): void;
  /** This request alone made the broker close the channel, or cannot be written at all. */
  rejected(call: PendingCall, error: RpcError): void;
  /** These went down with the publishing channel, on their way to the broker. */
  requestsLost(calls: readonly PendingCall[], error: RpcError): void;
  /** No reply comes any more to what was sent so far. */
  repliesLost(error: RpcError): void;
  /** What waited may be written. */
  writable(): void;
}

const NONE = new Uint8Array();

/** Writes the requests of one client, each when there is somewhere to write it to, and hears their replies. */
export class RequestPublisher {
  readonly #connection: Connection;
  readonly #listener: RequestListener;
  /** Calls that wait to be written, in order. */
  readonly #waiting = new Set<PendingCall>();
  readonly #confirms = new PublisherConfirms<PendingCall>((call, refused) => refused && this.#listener.refused(call));
  #publisher: KeptChannel | undefined;
  #replyTo: string | undefined;
  /** Whether the socket takes no more for now. */
  #full = false;
  #watch: ReturnType<typeof setInterval> | undefined;
  #asking = false;

  /**
   * @param connection Where requests go.
   * @param listener Hears what comes of them.
   * @param patience How long the broker may confirm nothing before it is asked for a sign of life, in ms; 0 for ever.
   */
  constructor(connection: Connection, listener: RequestListener, patience: number) {
    this.#connection = connection;
    this.#listener = listener;
    if (patience === 0) return;
    this.#watch = setInterval(() => this.#checkProgress(patience), patience / 2);
    this.#watch.unref();
  }

  /** Ends the watch over the broker's confirms. */
  close(): void {
    clearInterval(this.#watch);
  }

  /** Opens the channels, replies first: none may come before it can be heard. */
  async open(replies: "queue" | "direct", patience: number = CONNECT_TIMEOUT_MS): Promise<void> {
    if (replies === "queue") await this.#openReplyQueue(patience);
    const direct = replies === "direct";
    this.#publisher = await this.#connection.keep({
      action: "open a channel for requests",
      setup: async (channel) => {
        channel.on("return", (message) => this.#listener.returned(message));
        this.#confirms.follow(channel);
        channel.on("drain", () => this.#openUp());
        // Direct reply-to must be consumed on the channel that publishes.
        if (direct) await this.#consume(DIRECT_REPLY_TO, channel);
      },
      opened: () => {
        if (direct) this.#replyTo = DIRECT_REPLY_TO;
        this.#openUp();
      },
      lost: (error) => {
        const unconfirmed = this.#confirms.takeAll();
        const [first] = unconfirmed;
        if (first !== undefined && unconfirmed.length === 1 && error.code !== "unavailable") {
          this.#listener.rejected(first, error);
        }
        this.#listener.requestsLost(unconfirmed, error);
        if (!direct) return;
        this.#replyTo = undefined;
        this.#listener.repliesLost(error);
      },
    }, patience);
  }

  /** Writes a request, or keeps it until it may be written. */
  send(call: PendingCall): void {
    const channel = this.#publisher?.current;
    const replyTo = this.#replyTo;
    if (channel === undefined || replyTo === undefined || this.#full || this.#connection.blocked !== undefined) {
      this.#waiting.add(call);
      return;
    }
    const { procedure, id, body } = call;
    const expiration = Math.max(1, Math.ceil(call.deadline - performance.now()));
    const properties = requestProperties({ id, replyTo, contentType: procedure.request.contentType, expiration });
    try {
      // What does not fit the socket now stays here, where it is known to be unwritten.
      this.#full = !channel.publish("", procedure.queue, toBuffer(body), properties);
    } catch (error) {
      this.#unwritten(call, error);
      return;
    }
    this.#confirms.add(call);
    call.attempts++;
    call.inFlight = true;
    call.refused = false;
    // Only an idempotent call is ever sent again.
    if (procedure.idempotent !== true) call.body = NONE;
  }

  /** Lets go of a request that need not be written any more. */
  drop(call: PendingCall): void {
    this.#waiting.delete(call);
  }

  /** Writes what waits, as far as it may be written. */
  flush(): void {
    for (const call of Array.from(this.#waiting)) {
      if (this.#full) break;
      this.#waiting.delete(call);
      if (!call.over) this.send(call);
    }
  }

  /**
   * RabbitMQ 3.10 can stop to read a connection for good when a queue is deleted under load, while its heartbeats
   * go on (its channel waits for credit from the queue that is gone). So the link counts as lost after as long as a
   * lost heartbeat takes: half of it in silence, the other half without an answer.
   */
  async #checkProgress(patience: number): Promise<void> {
    const excused = this.#asking || this.#connection.blocked !== undefined || this.#publisher?.current === undefined;
    if (excused || this.#confirms.silence < patience) return;
    this.#asking = true;
    const channel = this.#publisher?.current;
    const asked = this.#connection.borrow("ask the broker for a sign of life", () => Promise.resolve());
    const answered = await settlesWithin(asked, patience);
    this.#asking = false;
    if (!answered && this.#publisher?.current === channel && this.#connection.blocked === undefined) {
      this.#connection.abandon(`the broker has confirmed nothing for ${Math.round(this.#confirms.silence)} ms`);
    }
  }

  #openUp(): void {
    this.#full = false;
    this.flush();
    this.#listener.writable();
  }

  async #openReplyQueue(patience: number): Promise<void> {
    let queue: string | undefined;
    await this.#connection.keep({
      action: "open a reply queue",
      setup: async (channel) => {
        const declared = await channel.assertQueue("", { exclusive: true, durable: false });
        await this.#consume(declared.queue, channel);
        queue = declared.queue;
      },
      opened: () => {
        this.#replyTo = queue;
        this.flush();
      },
      lost: (error) => {
        this.#replyTo = undefined;
        this.#listener.repliesLost(error);
      },
    }, patience);
  }

  async #consume(queue: string, channel: ConfirmChannel): Promise<void> {
    await channel.consume(queue, (message) => {
      if (message !== null) this.#listener.replied(message);
      // The queue was deleted; closing brings the channel back with a new one.
      else channel.close().catch(() => {});
    }, { noAck: true });
  }

  #unwritten(call: PendingCall, error: unknown): void {
    // The channel has just closed and does not know it yet: the next one takes it.
    if (isChannelClosed(error)) this.#waiting.add(call);
    else this.#listener.rejected(call, new RpcError("invalid_argument", String(error), { cause: error }));
  }
}
