import type { Channel } from "../connection/channel.ts";
import { settlesWithin } from "../contract/deadline.ts";

/** If no request arrives for so long while acks are held, in ms, the next one is not expected soon. */
const QUIET_MS = 250;
/** How long acks are held at most before a consumer is canceled, in ms. */
const MAX_HOLD_MS = 2_000;

/**
 * Acknowledges the deliveries of one channel, with one frame for all that
 * ended in the same turn where their order allows it.
 */
export class AckBatcher {
  readonly #channel: Pick<Channel, "ack" | "nack" | "closed">;
  /** Deliveries that have not ended, lowest tag first. */
  readonly #open = new Set<number>();
  #turn: number[] = [];
  #lastTag = 0;
  /** How many deliveries are neither acknowledged nor rejected yet. */
  #unsettled = 0;
  #held = false;
  #whenUnsettled: { readonly count: number; readonly notify: () => void } | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(channel: Pick<Channel, "ack" | "nack" | "closed">) {
    this.#channel = channel;
  }

  /** Whether the broker delivers again what is not acknowledged: the channel is closed, or its consumer has ended. */
  get closed(): boolean {
    return this.#channel.closed || this.#whenIdle !== undefined;
  }

  /** Whether the channel is closed, so that nothing can be acknowledged any more. */
  get lost(): boolean {
    return this.#channel.closed;
  }

  /** How many deliveries are neither acknowledged nor rejected yet. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /**
   * The broker has ended the consumer, and takes some of its deliveries back: from now on none is acknowledged together
   * with others. Calls `idle` whenever the last one is settled.
   */
  retire(idle: () => void): void {
    this.#whenIdle = idle;
    if (this.#unsettled === 0) idle();
  }

  /** Forgets a delivery that the broker has taken back and delivered again on another channel. */
  drop(deliveryTag: number): void {
    if (this.#open.delete(deliveryTag)) this.#settled(1);
  }

  /** Records a delivery; each tag is larger than the one before. */
  delivered(deliveryTag: number): void {
    this.#open.add(deliveryTag);
    this.#lastTag = deliveryTag;
    this.#unsettled++;
    if (this.#whenUnsettled !== undefined && this.#unsettled >= this.#whenUnsettled.count) this.#whenUnsettled.notify();
  }

  /**
   * Delays acks until `release`; resolves then, or when `prefetch` deliveries are unsettled: the broker then sends no
   * more.
   */
  hold(prefetch: number): Promise<void> {
    this.#held = true;
    return new Promise((notify) => {
      if (this.#unsettled >= prefetch || this.#channel.closed) notify();
      else this.#whenUnsettled = { count: prefetch, notify };
    });
  }

  /**
   * Delays acks until `release`, so that a consumer can be canceled with no request in transit; resolves when the broker
   * sends no more, when no request has come for a while, or after two seconds.
   */
  async holdUntilQuiet(prefetch: number): Promise<void> {
    const full = this.hold(prefetch);
    for (let waited = 0; waited < MAX_HOLD_MS; waited += QUIET_MS) {
      const before = this.#lastTag;
      if (await settlesWithin(full, QUIET_MS) || this.#lastTag === before) return;
    }
  }

  /** Sends the delayed acks, and delays no later ones. */
  release(): void {
    this.#held = false;
    this.#whenUnsettled?.notify();
    this.#whenUnsettled = undefined;
    this.flush();
  }

  /** Acknowledges a delivery at the end of the turn; does nothing on a closed channel: the broker redelivers. */
  ack(deliveryTag: number): void {
    if (this.#turn.length === 0) queueMicrotask(() => this.flush());
    this.#turn.push(deliveryTag);
    this.#open.delete(deliveryTag);
  }

  /** Acknowledges a delivery at once, before anything else is written. */
  ackNow(deliveryTag: number): void {
    this.#open.delete(deliveryTag);
    this.#channel.ack(deliveryTag, false);
    this.#settled(1);
  }

  /** Rejects a delivery at once: to the dead-letter exchange, or back to the queue. */
  reject(deliveryTag: number, requeue: boolean): void {
    this.#open.delete(deliveryTag);
    this.#channel.nack(deliveryTag, requeue);
    this.#settled(1);
  }

  /** Acknowledges what waits for the end of the turn. */
  flush(): void {
    const turn = this.#turn;
    if (turn.length === 0 || this.#held) return;
    this.#turn = [];
    // Tags below the first open one share one ack; finished tags above one that is still open need one each.
    const [firstOpen = Infinity] = this.#whenIdle === undefined ? this.#open : [0];
    let multiple = 0;
    for (const tag of turn) {
      if (tag > firstOpen) this.#channel.ack(tag, false);
      else if (tag > multiple) multiple = tag;
    }
    if (multiple > 0) this.#channel.ack(multiple, true);
    this.#settled(turn.length);
  }

  #settled(count: number): void {
    this.#unsettled -= count;
    if (this.#unsettled === 0) this.#whenIdle?.();
  }
}
