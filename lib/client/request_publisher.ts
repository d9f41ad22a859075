import type { Channel } from "../connection/channel.ts";
import { isChannelClosed, messageSizeLimit, toRpcError } from "../connection/broker_error.ts";
import { CONNECT_TIMEOUT_MS } from "../connection/connect_options.ts";
import type { Connection } from "../connection/connection.ts";
import { IsolatedPublisher } from "../connection/isolated_publisher.ts";
import type { KeptChannel } from "../connection/kept_channel.ts";
import { PublisherConfirms } from "../connection/publisher_confirms.ts";
import { RpcError } from "../contract/errors.ts";
import type { Publish, Returned } from "../wire/message.ts";
import { DIRECT_REPLY_TO } from "../wire/reply_address.ts";
import { requestMessage } from "../wire/request_message.ts";
import type { PendingCall } from "./pending_call.ts";
import { consumeReplies, type ReplyListener, ReplyQueue } from "./reply_queue.ts";

/** Callbacks for requests and replies. */
export interface RequestListener extends Omit<ReplyListener, "opened"> {
  /** A request was written. */
  written(call: PendingCall): void;
  /** The broker has returned a request: its queue does not exist. */
  returned(id: string): void;
  /** The broker has refused a request (nack). */
  refused(call: PendingCall): void;
  /** The broker never accepts this request, or it cannot be encoded. */
  rejected(call: PendingCall, error: RpcError): void;
  /** The channel was lost before the broker confirmed these. */
  requestsLost(calls: readonly PendingCall[], error: RpcError): void;
  /** Writing may continue. */
  writable(): void;
}

const NONE = new Uint8Array();

/** Whether requests have the time at which they were sent; tests of clients without a clock set it to false. */
export const requestClock = { enabled: true };

/** Writes the requests of one client, each as soon as that is possible, and consumes their replies. */
export class RequestPublisher {
  readonly #connection: Connection;
  readonly #listener: RequestListener;
  readonly #replyQueue: ReplyQueue;
  readonly #isolated: IsolatedPublisher;
  /** Calls that wait to be written, in order. */
  readonly #waiting = new Set<PendingCall>();
  readonly #confirms = new PublisherConfirms<PendingCall>((call, refused) => refused && this.#listener.refused(call));
  #publisher: KeptChannel | undefined;
  #direct = false;
  /** Whether the socket has no room for now. */
  #full = false;
  /** The largest body that the broker accepts, in bytes, as far as it is known. */
  #maxSize = Infinity;

  constructor(connection: Connection, listener: RequestListener) {
    this.#connection = connection;
    this.#listener = listener;
    this.#isolated = new IsolatedPublisher(connection, "publish a request");
    this.#replyQueue = new ReplyQueue({
      replied: (reply) => listener.replied(reply),
      opened: () => this.flush(),
      repliesLost: (error) => listener.repliesLost(error),
    });
  }

  /** Opens the channels; that of the replies first, so that no reply comes too early. */
  async open(replies: "queue" | "direct", patience: number = CONNECT_TIMEOUT_MS): Promise<void> {
    this.#direct = replies === "direct";
    if (!this.#direct) await this.#replyQueue.open(this.#connection, patience);
    this.#publisher = await this.#connection.keep({
      action: "open a channel for requests",
      confirms: this.#confirms,
      setup: (channel) => this.#setUp(channel),
      opened: () => this.#openUp(),
      lost: (error) => this.#lose(error),
    }, patience);
    // The first `opened` was called before `#publisher` was set.
    this.#openUp();
  }

  async #setUp(channel: Channel): Promise<void> {
    channel.listen({
      ...consumeReplies(this.#listener, channel),
      returned: ({ properties }: Returned) => this.#listener.returned(properties.correlationId ?? ""),
      confirmed: (confirm) => this.#confirms.confirm(confirm),
      writable: () => this.#openUp(),
    });
    // Direct reply-to must be consumed on the channel that publishes.
    if (this.#direct) await channel.consume(DIRECT_REPLY_TO, { noAck: true });
  }

  #lose(error: RpcError): void {
    const unconfirmed = this.#confirms.takeAll();
    const limit = messageSizeLimit(error);
    if (limit !== undefined) this.#maxSize = limit;
    // The next link may be to another broker, with another limit.
    else if (error.code === "unavailable") this.#maxSize = Infinity;
    const culprits = unconfirmed.filter(({ size }) => size > this.#maxSize);
    for (const call of culprits) this.#listener.rejected(call, tooLarge(call, this.#maxSize));
    const [first] = unconfirmed;
    if (first !== undefined && unconfirmed.length === 1 && error.code !== "unavailable") {
      this.#listener.rejected(first, error);
    }
    // With the culprits known, all others may be sent again side by side.
    const innocent = culprits.length > 0 ? new RpcError("unavailable", error.message, { cause: error }) : error;
    this.#listener.requestsLost(unconfirmed, innocent);
    if (this.#direct) this.#listener.repliesLost(error);
  }

  /** Writes a request, or keeps it until it may be written. */
  send(call: PendingCall): void {
    const channel = this.#publisher?.current;
    const replyTo = this.#replyTo;
    if (channel === undefined || replyTo === undefined || this.#full || this.#connection.blocked !== undefined) {
      this.#waiting.add(call);
      return;
    }
    try {
      // When the socket is full, later requests wait here, where they are known to be unwritten.
      this.#full = !channel.publish(this.#message(call, replyTo));
    } catch (error) {
      // The channel has just closed: the next one sends it.
      if (isChannelClosed(error)) this.#waiting.add(call);
      else this.#listener.rejected(call, error instanceof RpcError ? error : invalid(error));
      return;
    }
    this.#confirms.add(call);
    this.#written(call);
  }

  /**
   * Writes a request on a channel of its own, because it may be the one that made the broker close the last channel.
   *
   * @returns Whether that is possible: with direct reply-to there is one channel for all.
   */
  sendAlone(call: PendingCall): boolean {
    if (this.#direct) return false;
    this.#sendAlone(call);
    return true;
  }

  async #sendAlone(call: PendingCall): Promise<void> {
    const replyTo = this.#replyTo;
    if (replyTo === undefined || this.#connection.blocked !== undefined) {
      this.#waiting.add(call);
      return;
    }
    try {
      const fate = await this.#isolated.publish(() => {
        if (call.over || call.answered) return undefined;
        const message = this.#message(call, this.#replyTo ?? replyTo);
        this.#written(call);
        return message;
      });
      if (fate === "returned") this.#listener.returned(call.id);
      else if (fate === "nacked") this.#listener.refused(call);
    } catch (error) {
      const why = error instanceof RpcError ? error : toRpcError(error, "publish a request");
      if (why.code === "unavailable" && call.inFlight) this.#listener.requestsLost([call], why);
      // It was not written: the next channel sends it.
      else if (why.code === "unavailable") { if (!call.over && !call.answered) this.send(call); }
      else this.#listener.rejected(call, why);
    }
  }

  /** Removes a request that need not be written any more. */
  drop(call: PendingCall): void {
    this.#waiting.delete(call);
  }

  /** Writes the requests that wait, as far as there is room. */
  flush(): void {
    for (const call of this.#waiting) {
      // What cannot be written would be added again at the end.
      if (this.#full || this.#publisher?.current === undefined || this.#replyTo === undefined) return;
      if (this.#connection.blocked !== undefined || this.#publisher.current.closed) return;
      this.#waiting.delete(call);
      if (!call.over && !call.answered) this.send(call);
    }
  }

  get #replyTo(): string | undefined {
    return this.#direct ? DIRECT_REPLY_TO : this.#replyQueue.name;
  }

  #message(call: PendingCall, replyTo: string): Publish {
    const { procedure: { queue, method, request: { contentType } }, headers, id, messageId, body, priority } = call;
    if (body.length > this.#maxSize) throw tooLarge(call, this.#maxSize);
    const now = performance.now();
    return requestMessage({
      queue,
      method,
      headers,
      id,
      messageId,
      replyTo,
      contentType,
      expiration: Math.max(1, Math.ceil(call.deadline - now)),
      sentAt: requestClock.enabled ? now : undefined,
      priority,
      body,
    });
  }

  #written(call: PendingCall): void {
    call.attempts++;
    call.inFlight = true;
    call.refused = false;
    this.#listener.written(call);
    // Only an idempotent call is ever sent again.
    if (call.procedure.idempotent !== true) call.body = NONE;
  }

  #openUp(): void {
    this.#full = false;
    this.flush();
    this.#listener.writable();
  }
}

function tooLarge({ size, outcome }: PendingCall, limit: number): RpcError {
  return new RpcError("resource_exhausted", `the request has ${size} bytes, the broker takes ${limit}`, { outcome });
}

function invalid(error: unknown): RpcError {
  return new RpcError("invalid_argument", error instanceof Error ? error.message : String(error), { cause: error });
}
