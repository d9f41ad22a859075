import type { ConfirmChannel, Message } from "amqplib";
import { PublisherConfirms } from "../connection/publisher_confirms.ts";
import { CONNECT_TIMEOUT_MS } from "../connection/connect_options.ts";
import { backoffDelay, type Connection, type KeptChannel } from "../connection/connection.ts";
import { isChannelClosed } from "../connection/broker_error.ts";
import { RpcError } from "../contract/errors.ts";
import { encodeError, replyProperties, type RequestMeta, toBuffer } from "../wire/protocol.ts";

/** How a reply ended: taken by the broker, sent back because the caller has left, or given up at its deadline. */
export type ReplyFate = "confirmed" | "returned" | "dropped";

/** A reply on its way. */
export interface Reply {
  readonly meta: RequestMeta;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly isError: boolean;
  /** Until when it is worth sending, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** Hears once how it ended. */
  readonly done: (fate: ReplyFate, why: string) => void;
}

interface Sending {
  reply: Reply;
  attempts: number;
  returned: boolean;
  /** Why it is not confirmed yet. */
  why: string;
  retryTimer?: ReturnType<typeof setTimeout>;
}

const RETRY = { min: 20, max: 1_000 };

/**
 * Publishes replies until the broker has confirmed each, over whatever
 * happens to the channel, until the deadline of its caller.
 */
export class ReplyPublisher {
  readonly #connection: Connection;
  /** Not confirmed yet, whether written or not. */
  readonly #open = new Set<Sending>();
  readonly #confirms = new PublisherConfirms<Sending>((sending, refused) => this.#settle(sending, refused));
  #kept: KeptChannel | undefined;
  #idle: (() => void)[] = [];

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Opens the channel that replies are published on. */
  static async open(connection: Connection, patience?: number): Promise<ReplyPublisher> {
    const replies = new ReplyPublisher(connection);
    replies.#kept = await connection.keep({
      action: "open a channel for replies",
      setup: (channel) => {
        channel.on("return", (message) => replies.#returned(message));
        replies.#confirms.follow(channel);
        return Promise.resolve();
      },
      opened: () => replies.flush(),
      lost: (error) => replies.#lose(error),
    }, patience ?? CONNECT_TIMEOUT_MS);
    return replies;
  }

  /** How many replies are on their way. */
  get size(): number {
    return this.#open.size;
  }

  /** Sends a reply, now or when there is a channel that may be written to. */
  send(reply: Reply): void {
    const sending: Sending = {
      reply,
      attempts: 0,
      returned: false,
      why: "there was no connection, or the broker did not confirm it",
    };
    this.#open.add(sending);
    const channel = this.#writable();
    if (channel !== undefined) this.#publish(channel, sending);
  }

  /** Sends what waits, after a loss or an alarm; finished work is never given back. */
  flush(): void {
    const channel = this.#writable();
    if (channel === undefined) return;
    const written = new Set(this.#confirms.values());
    for (const sending of Array.from(this.#open)) {
      if (!written.has(sending) && sending.retryTimer === undefined) this.#publish(channel, sending);
    }
  }

  /** Resolves when no reply is on its way. */
  idle(): Promise<void> {
    return this.#open.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Gives up on what is on its way. */
  abandon(): void {
    for (const sending of Array.from(this.#open)) this.#end(sending, "dropped");
  }

  #writable(): ConfirmChannel | undefined {
    return this.#connection.blocked === undefined ? this.#kept?.current : undefined;
  }

  #publish(channel: ConfirmChannel, sending: Sending): void {
    const { meta, body, contentType, isError, deadline } = sending.reply;
    if (sending.attempts++ > 0 && performance.now() >= deadline) {
      this.#end(sending, "dropped");
      return;
    }
    try {
      channel.publish("", meta.replyTo, toBuffer(body), replyProperties(meta, contentType, isError));
    } catch (error) {
      // A channel that has just closed leaves it to the next one; anything else would come again.
      if (!isChannelClosed(error)) {
        sending.why = String(error);
        this.#end(sending, "dropped");
      }
      return;
    }
    sending.returned = false;
    this.#confirms.add(sending);
  }

  /** The broker closes the channel for a reply that it refuses; the others that were under way are innocent. */
  #lose(error: RpcError): void {
    const unconfirmed = this.#confirms.takeAll();
    for (const sending of unconfirmed) sending.why = error.message;
    if (error.code === "unavailable") return;
    const [offender] = unconfirmed;
    if (offender === undefined || unconfirmed.length > 1) {
      // One after the other, in random order, they show which it is.
      for (const sending of unconfirmed) this.#refused(sending);
    } else if (offender.reply.isError) {
      this.#end(offender, "dropped");
    } else {
      const text = `The broker refuses the reply of ${offender.reply.body.byteLength} bytes: ${error.message}`;
      const refusal = new RpcError("resource_exhausted", text, { outcome: "executed" });
      const body = encodeError(refusal);
      offender.reply = { ...offender.reply, body, contentType: "application/json", isError: true };
    }
  }

  #returned({ fields, properties }: Message): void {
    for (const sending of this.#confirms.values()) {
      const { replyTo, correlationId } = sending.reply.meta;
      if (!sending.returned && replyTo === fields.routingKey && correlationId === properties.correlationId) {
        sending.returned = true;
        return;
      }
    }
  }

  #settle(sending: Sending, refused: boolean): void {
    if (refused) {
      sending.why = "the broker did not take it, the reply queue may be full";
      this.#refused(sending);
    } else {
      this.#end(sending, sending.returned ? "returned" : "confirmed");
    }
  }

  #refused(sending: Sending): void {
    clearTimeout(sending.retryTimer);
    const delay = backoffDelay(sending.attempts, RETRY);
    sending.retryTimer = setTimeout(() => {
      delete sending.retryTimer;
      const channel = this.#writable();
      if (channel !== undefined) this.#publish(channel, sending);
    }, delay);
  }

  #end(sending: Sending, fate: ReplyFate): void {
    if (!this.#open.delete(sending)) return;
    clearTimeout(sending.retryTimer);
    sending.reply.done(fate, sending.why);
    if (this.#open.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
