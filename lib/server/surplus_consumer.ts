import type { Channel } from "../connection/channel.ts";
import type { Delivery } from "../wire/message.ts";
import { AckBatcher } from "./ack_batcher.ts";
import { FormerConsumer } from "./former_consumer.ts";

/** What a second consumer needs from its server. */
export interface SurplusHost {
  readonly queue: string;
  /** Whether one of its procedures is at-most-once. */
  readonly atMostOnce: boolean;
  /** The arguments of the first consumer. */
  consumeArguments(): Readonly<Record<string, unknown>> | undefined;
  /** Opens a channel of its own, which a broker that allows no second consumer may close. */
  openChannel(): Promise<Channel>;
  deliver(delivery: Delivery, acks: AckBatcher): void;
  /** The broker has ended the consumer, and its requests keep their channel. */
  retired(former: FormerConsumer): void;
  /** The broker has ended the consumer: alone if there is no `refusal`, else by closing its channel. */
  ended(acks: AckBatcher, refusal: Error | undefined): void;
}

/** At least so many requests are taken at once, so that one round trip to the broker refuses many. */
const MIN_PREFETCH = 4;
/** At most so many, unless the first consumer takes more. */
const MAX_PREFETCH = 64;
/** And so many together with further ones. */
const MAX_TOTAL = 256;
/** How much work for its handlers it may take, in ms: it could wait here while another server is idle. */
const WORK_MS = 300;
/** Beside handlers that take longer than this, in ms, the time that refusals take does not count. */
const LONG_MS = 500;
/** Any consumer that has room comes first (https://www.rabbitmq.com/docs/consumer-priority). */
const PRIORITY = -1;

/** How it ended: when it was not needed any more; while the broker may deliver its requests again; or before it began. */
export type SurplusEnd = "idle" | "lost" | "refused";

/** How many requests are taken at once beside a first consumer with that prefetch, at the most. */
export function surplusLimit(prefetch: number): number {
  return Math.max(MAX_TOTAL, prefetch);
}

/**
 * How many requests the second consumer has at once.
 *
 * @param duration How long a handler takes, in ms; 0 if that is not known.
 * @returns 0 if it is not worth having one.
 */
export function surplusPrefetch(prefetch: number, duration: number): number {
  if (duration > LONG_MS * prefetch) return 0;
  // What is not known yet may take long.
  const work = duration === 0 ? 0 : Math.floor(prefetch * WORK_MS / duration);
  return Math.min(Math.max(MIN_PREFETCH, work), Math.max(MAX_PREFETCH, prefetch));
}

/**
 * A second consumer of a queue, under overload: it gets only those requests that no server has room for.
 */
export class SurplusConsumer {
  readonly #host: SurplusHost;
  readonly #prefetch: number;
  readonly #gone: (how: SurplusEnd) => void;
  #channel: Channel | undefined;
  #acks: AckBatcher | undefined;
  #consumerTag: string | undefined;
  readonly #opening: Promise<void>;
  #stopping = false;
  #over = false;

  /** @param gone Called once, when its channel is closed or the broker has ended it. */
  constructor(prefetch: number, host: SurplusHost, gone: (how: SurplusEnd) => void) {
    this.#prefetch = prefetch;
    this.#host = host;
    this.#gone = gone;
    this.#opening = this.#open();
  }

  /** Acknowledges finished requests at once, also while {@linkcode SurplusConsumer.stop} delays that. */
  flush(): void {
    this.#acks?.release();
  }

  /** Gets no more requests; those that it has got are finished. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const { atMostOnce } = this.#host;
    const channel = this.#channel;
    const acks = this.#acks;
    // Before it consumes, it closes its channel instead; while it begins to, it is canceled right afterwards.
    if (channel === undefined || acks === undefined || this.#consumerTag === undefined) return await this.#opening;
    // Requests in transit would be redelivered, and at-most-once requests would then not run.
    if (atMostOnce) await acks.holdUntilQuiet(this.#prefetch);
    await channel.cancel(this.#consumerTag).catch(() => {});
    this.#consumerTag = undefined;
    acks.release();
  }

  /** Closes its channel, if it gets no more requests and all that it got are finished. */
  closeIfIdle(): void {
    if (!this.#stopping || this.#consumerTag !== undefined || this.#acks === undefined) return;
    this.#acks.flush();
    if (this.#acks.unsettled === 0) this.#close("idle");
  }

  /** Closes its channel: what is not settled goes back to the queue. */
  close(): void {
    this.#close("lost");
  }

  #close(how: SurplusEnd): void {
    this.#stopping = true;
    this.#end(how);
    this.#channel?.close().catch(() => {});
  }

  async #open(): Promise<void> {
    try {
      const channel = await this.#host.openChannel();
      this.#channel = channel;
      if (this.#over) {
        await channel.close();
        return;
      }
      const acks = this.#acks = new AckBatcher(channel);
      channel.onClosed((refusal) => {
        if (refusal !== undefined && !this.#over) this.#host.ended(acks, refusal);
        this.#end("lost");
      });
      channel.listen({
        delivered: (delivery) => this.#host.deliver(delivery, acks),
        consumerCanceled: () => this.#canceled(channel, acks),
      });
      await channel.prefetch(this.#prefetch);
      if (this.#stopping) {
        this.#close("idle");
        return;
      }
      const consumerTag = await channel.consume(this.#host.queue, {
        arguments: { ...this.#host.consumeArguments(), "x-priority": PRIORITY },
      });
      this.#consumerTag = consumerTag;
      // It may have been stopped meanwhile, before there was a consumer to cancel.
      if (!this.#stopping) return;
      this.#stopping = false;
      await this.stop();
    } catch {
      this.#close("refused");
    }
  }

  /** Its requests keep their channel, or all would be delivered again and not only the one that has taken too long. */
  #canceled(channel: Channel, acks: AckBatcher): void {
    const consumerTag = this.#consumerTag;
    if (consumerTag === undefined) {
      this.close();
      return;
    }
    // It may come again, for further requests that exceed the timeout.
    if (this.#over) return;
    this.#stopping = true;
    this.#host.ended(acks, undefined);
    const former = new FormerConsumer(channel, consumerTag, acks);
    channel.listen({
      delivered: (delivery) => {
        former.cancel();
        this.#host.deliver(delivery, acks);
      },
    });
    this.#host.retired(former);
    this.#end("lost");
  }

  #end(how: SurplusEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#gone(how);
  }
}
