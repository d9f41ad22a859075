import type { Channel } from "../connection/channel.ts";
import { backoffDelay } from "../connection/backoff.ts";
import { isChannelClosed, messageSizeLimit, toRpcError } from "../connection/broker_error.ts";
import { CONNECT_TIMEOUT_MS } from "../connection/connect_options.ts";
import type { Connection } from "../connection/connection.ts";
import { IsolatedPublisher, type PublishFate } from "../connection/isolated_publisher.ts";
import type { KeptChannel } from "../connection/kept_channel.ts";
import { PublisherConfirms } from "../connection/publisher_confirms.ts";
import { RpcError } from "../contract/errors.ts";
import { encodeError } from "../wire/error_reply.ts";
import type { Publish, Returned } from "../wire/message.ts";
import { replyMessage, type ReplyParts } from "../wire/reply_message.ts";
import { keyOf, SuspectReplies } from "./suspect_replies.ts";
import { WaitingReplies } from "./waiting_replies.ts";

/**
 * How a reply ended: confirmed by the broker; returned, because the caller has left; dropped, for the reason given; or
 * harmful: dropped because the connection was lost twice while it was sent.
 */
export type ReplyFate = "confirmed" | "returned" | "dropped" | "harmful";

/** A reply to send. */
export interface Reply extends ReplyParts {
  /** When it is not worth sending any more, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** What to send instead of the body after a lost connection, or if `isLost`. */
  readonly bodyIfLost?: (() => Uint8Array) | undefined;
  /** Whether its request may be delivered again although it was taken off the queue; asked before it is written. */
  readonly isLost?: (() => boolean) | undefined;
  /**
   * Takes its request off the queue; absent if that is done already. Called once before it is written, unless it is
   * dropped before.
   */
  readonly take?: (() => void) | undefined;
  /** Called once with how it ended. */
  readonly done: (fate: ReplyFate, why: string) => void;
}

interface Sending {
  reply: Reply;
  attempts: number;
  /** Whether it is being sent on a channel of its own. */
  alone: boolean;
  /** Whether `done` was called. */
  ended: boolean;
  /** Whether a connection or channel was lost before it was confirmed. */
  suspect: boolean;
  /** Why it is not confirmed yet. */
  why: string;
  retryTimer?: ReturnType<typeof setTimeout> | undefined;
}

const RETRY = { min: 20, max: 1_000 };
/** A reply that has gone down with so many links is given up. */
const MAX_LOSSES = 2;

/**
 * Publishes each reply, again after lost channels, until the broker has confirmed
 * it or its caller's deadline has passed.
 */
export class ReplyPublisher {
  readonly #connection: Connection;
  readonly #isolated: IsolatedPublisher;
  /** How many have not ended. */
  #open = 0;
  /** Those of them that are not in `#confirms`: they wait to be sent, or are being sent on a channel of their own. */
  readonly #apart = new WaitingReplies<Sending>(({ reply }) => reply, (sending) => this.#expire(sending));
  readonly #confirms = new PublisherConfirms<Sending>((sending, refused) => {
    this.#settle(sending, refused ? "nacked" : this.#wasReturned(sending) ? "returned" : "confirmed");
  });
  /** How many replies of one address and correlation id were returned; the broker confirms them right afterwards. */
  readonly #returns = new Map<string, number>();
  readonly #suspects = new SuspectReplies();
  #kept: KeptChannel | undefined;
  /** The largest body that the broker accepts, in bytes, as far as it is known. */
  #maxSize = Infinity;
  #idle: (() => void)[] = [];

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.#isolated = new IsolatedPublisher(connection, "publish a reply");
  }

  /** Opens the channel for replies. */
  static async open(connection: Connection, patience: number = CONNECT_TIMEOUT_MS): Promise<ReplyPublisher> {
    const replies = new ReplyPublisher(connection);
    replies.#kept = await connection.keep({
      action: "open a channel for replies",
      confirms: replies.#confirms,
      setup: (channel) => {
        channel.listen({
          returned: (returned) => replies.#returned(returned),
          confirmed: (confirm) => replies.#confirms.confirm(confirm),
        });
        return Promise.resolve();
      },
      opened: () => replies.flush(),
      lost: (error) => replies.#lose(error),
    }, patience);
    return replies;
  }

  /**
   * Whether so many replies wait that the request of a further one, with a body of so many bytes, should stay in the queue
   * until that is written.
   */
  isFull(bytes: number): boolean {
    return this.#apart.isFull(bytes);
  }

  /** Sends a reply, now or as soon as there is a channel that may be written to. */
  send(reply: Reply): void {
    const sending: Sending = {
      reply,
      attempts: 0,
      alone: false,
      ended: false,
      suspect: this.#suspects.lossesOf(reply) > 0,
      why: "there was no connection, or the broker did not confirm it",
      retryTimer: undefined,
    };
    this.#open++;
    this.#sendNow(sending);
  }

  /** Sends the replies that wait, after a loss or an alarm; a finished request is never requeued. */
  flush(): void {
    if (this.#writable() === undefined) return;
    for (const sending of Array.from(this.#apart)) {
      if (!sending.alone && sending.retryTimer === undefined) this.#sendAgain(sending);
    }
  }

  /** Resolves when all replies are confirmed or dropped. */
  idle(): Promise<void> {
    return this.#open === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Drops the replies that are not confirmed. */
  abandon(): void {
    for (const sending of [...this.#confirms.takeAll(), ...this.#apart]) this.#end(sending, "dropped");
    this.#apart.close();
  }

  #writable(): Channel | undefined {
    return this.#connection.blocked === undefined ? this.#kept?.current : undefined;
  }

  #sendAgain(sending: Sending): void {
    if (sending.ended || this.#writable() === undefined) return;
    if (performance.now() >= sending.reply.deadline) this.#end(sending, "dropped");
    else this.#sendNow(sending);
  }

  #sendNow(sending: Sending): void {
    const channel = this.#writable();
    if (channel === undefined) {
      this.#apart.add(sending);
    } else if (!sending.suspect) {
      this.#publish(channel, sending);
    } else if (this.#suspects.lossesOf(sending.reply) < MAX_LOSSES) {
      this.#publishAlone(sending);
    } else {
      sending.why = "the connection was lost each time that it was sent";
      this.#end(sending, "harmful");
    }
  }

  #publish(channel: Channel, sending: Sending): void {
    sending.attempts++;
    try {
      channel.publish(this.#message(sending));
    } catch (error) {
      if (isChannelClosed(error)) {
        // The channel has just closed: the next one sends it. Any other error would be thrown again.
        this.#apart.add(sending);
        return;
      }
      sending.why = String(error);
      this.#end(sending, "dropped");
      return;
    }
    if (this.#apart.size > 0) this.#apart.delete(sending);
    this.#confirms.add(sending);
  }

  /** Sends a suspect reply on a channel of its own, where no other reply is lost with it. */
  async #publishAlone(sending: Sending): Promise<void> {
    sending.attempts++;
    sending.alone = true;
    this.#apart.add(sending);
    try {
      const fate = await this.#isolated.publish(() => sending.ended ? undefined : this.#message(sending));
      this.#settle(sending, fate);
    } catch (error) {
      const { code, message, outcome } = toRpcError(error, "publish a reply");
      sending.alone = false;
      sending.why = message;
      if (code !== "unavailable") {
        this.#refuse(sending, message);
        return;
      }
      // If it was not written, another one brought the connection down.
      if (outcome !== "not_executed") {
        this.#suspects.linkLost();
        this.#suspects.add(sending.reply);
        sending.reply = afterLoss(sending.reply);
      }
      this.#retry(sending);
    }
  }

  #message(sending: Sending): Publish {
    const reply = taken(sending.reply);
    if (reply !== sending.reply) {
      sending.reply = reply;
      this.#apart.update(sending);
    }
    if (reply.body.length <= this.#maxSize) return replyMessage(reply);
    return replyMessage(tooLarge(reply, `it accepts at most ${this.#maxSize}`));
  }

  /** Sends an error instead of a reply that made the broker close the channel. */
  #refuse(sending: Sending, why: string): void {
    if (sending.reply.isError) {
      this.#end(sending, "dropped");
      return;
    }
    sending.reply = tooLarge(sending.reply, why);
    this.#sendAgain(sending);
  }

  /** Any unconfirmed reply may have been the cause: each is sent again on a channel of its own. */
  #lose(error: RpcError): void {
    // The next link may be to another broker, with another limit.
    this.#maxSize = messageSizeLimit(error) ?? (error.code === "unavailable" ? Infinity : this.#maxSize);
    this.#returns.clear();
    const linkLost = error.code === "unavailable";
    if (linkLost) this.#suspects.linkLost();
    for (const sending of this.#confirms.takeAll()) {
      if (linkLost) {
        this.#suspects.add(sending.reply);
        sending.reply = afterLoss(sending.reply);
      }
      sending.why = error.message;
      sending.suspect = true;
      this.#apart.add(sending);
    }
  }

  #returned({ routingKey, properties }: Returned): void {
    const key = keyOf({ replyTo: routingKey, correlationId: properties.correlationId });
    this.#returns.set(key, 1 + (this.#returns.get(key) ?? 0));
  }

  #wasReturned({ reply }: Sending): boolean {
    if (this.#returns.size === 0) return false;
    const key = keyOf(reply);
    const count = this.#returns.get(key) ?? 0;
    if (count > 1) this.#returns.set(key, count - 1);
    else this.#returns.delete(key);
    return count > 0;
  }

  #settle(sending: Sending, fate: PublishFate): void {
    sending.alone = false;
    this.#suspects.delete(sending.reply);
    if (fate === "nacked") {
      sending.why = "the broker refused it, the reply queue may be full";
      this.#retry(sending);
    } else {
      this.#end(sending, fate);
    }
  }

  /** Its deadline has passed before it could be sent. */
  #expire(sending: Sending): void {
    // What is being sent ends by itself.
    if (sending.alone) return;
    if (this.#connection.blocked !== undefined) sending.why = "the broker was blocked until its deadline";
    this.#end(sending, "dropped");
  }

  #retry(sending: Sending): void {
    if (sending.ended) return;
    this.#apart.add(sending);
    clearTimeout(sending.retryTimer);
    sending.retryTimer = setTimeout(() => {
      sending.retryTimer = undefined;
      this.#sendAgain(sending);
    }, backoffDelay(sending.attempts, RETRY));
  }

  #end(sending: Sending, fate: ReplyFate): void {
    if (sending.ended) return;
    sending.ended = true;
    this.#open--;
    if (this.#apart.size > 0) this.#apart.delete(sending);
    clearTimeout(sending.retryTimer);
    sending.reply.done(fate, sending.why);
    if (this.#open === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}

/** Takes the request of a reply off the queue, and returns the reply as it is to be written then. */
export function taken(reply: Reply): Reply {
  const { take, isLost } = reply;
  if (take === undefined && isLost === undefined) return reply;
  take?.();
  const ready = take === undefined ? reply : { ...reply, take: undefined };
  return isLost?.() ? afterLoss(ready) : ready;
}

function afterLoss(reply: Reply): Reply {
  return reply.bodyIfLost === undefined ? reply : { ...reply, body: reply.bodyIfLost() };
}

function tooLarge(reply: Reply, why: string): Reply {
  const text = `The broker refuses the reply of ${reply.body.byteLength} bytes: ${why}`;
  const body = encodeError(new RpcError("resource_exhausted", text, { outcome: "executed" }));
  return { ...reply, body, contentType: "application/json", isError: true };
}
