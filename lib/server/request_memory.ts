import type { Delivery } from "../wire/message.ts";
import type { RequestMeta } from "../wire/request_message.ts";
import { identityOf } from "./request_identity.ts";
import type { RunningRequest } from "./running_request.ts";

/** At most this many requests that have ended are remembered; when there are more, the older half is forgotten. */
export const MAX_REMEMBERED = 10_000;
/** How long a request that has ended is remembered at least, in ms, unless there are too many; at most twice as long. */
export const REMEMBER_MS = 600_000;

/** What a server knows of a request that is delivered to it again. */
export type Remembered =
  /** It is still running, or its reply is not confirmed yet. */
  | { readonly state: "running"; readonly running: RunningRequest }
  /** It has ended: the redelivery is acknowledged, or rejected if the request was. */
  | { readonly state: "ended"; readonly settlement: "ack" | "reject" }
  /** It was never started; `meta` is that of the earlier delivery. */
  | { readonly state: "unstarted"; readonly meta: RequestMeta };

/** One delivery of a request. */
export type Delivered = Pick<RunningRequest, "acks" | "meta" | "delivery">;

type Ended = Exclude<Remembered, { readonly state: "running" }>;

function add<Item>(map: Map<number, Item[]>, key: number, item: Item): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}

function takeFrom<Item>(map: Map<number, Item[]>, key: number): Item | undefined {
  const items = map.get(key);
  const item = items?.pop();
  if (items?.length === 0) map.delete(key);
  return item;
}

/**
 * Remembers which requests of one queue this server is running, or has ended, although the broker may deliver them again
 * because the channel of their acks is lost. While no channel is lost it only notes the last requests that were
 * acknowledged: as many as the prefetch, because the broker delivers nothing more before it has seen an ack.
 */
export class RequestMemory {
  /** The identities of the last ones acknowledged on the current channel: a circle. */
  #acked = new Float64Array(1);
  /** How many were acknowledged. */
  #ackedCount = 0;
  /** Running requests whose channel is lost, by identity; clients that reuse ids may have several. */
  #running = new Map<number, Set<RunningRequest>>();
  /** Two generations of the others, as in `CancelRegistry`. */
  #young = new Map<number, Ended[]>();
  #old = new Map<number, Ended[]>();
  #youngSize = 0;
  #turnedAt = -Infinity;

  /** A request has ended, and is acknowledged or rejected for good. */
  ended(delivered: Delivered, settlement: "ack" | "reject"): void {
    const { acks, meta, delivery: { body } } = delivered;
    if (acks.closed) {
      const identity = identityOf(meta, body);
      this.#forget(identity, delivered);
      this.#remember(identity, { state: "ended", settlement });
    } else if (settlement === "ack" && (meta.messageId !== undefined || meta.correlationId !== undefined)) {
      this.#acked[this.#ackedCount++ % this.#acked.length] = identityOf(meta, body);
    }
  }

  /** A request goes back to the queue, and was not started. */
  unstarted(delivered: Delivered): void {
    const { meta, delivery: { body } } = delivered;
    const identity = identityOf(meta, body);
    this.#forget(identity, delivered);
    this.#remember(identity, { state: "unstarted", meta });
  }

  /**
   * A channel was lost, so all of its requests that run may be delivered again, and the last ones acknowledged too.
   *
   * @param prefetch How many requests are unacknowledged at most on the new channel.
   */
  channelOpened(prefetch: number, running: Iterable<RunningRequest>): void {
    this.#running = new Map();
    for (const one of running) {
      // Those of another channel, which is open, are not delivered again.
      if (!one.acks.closed) continue;
      const identity = identityOf(one.meta, one.delivery.body);
      const same = this.#running.get(identity);
      if (same === undefined) this.#running.set(identity, new Set([one]));
      else same.add(one);
    }
    const acked = new Map<number, number>();
    for (const identity of this.#acked.subarray(0, this.#ackedCount)) {
      acked.set(identity, 1 + (acked.get(identity) ?? 0));
    }
    this.#acked = new Float64Array(prefetch);
    this.#ackedCount = 0;
    for (const [identity, count] of acked) {
      // Twice the same identity: its client reuses ids, and a redelivery may be of a request that has not run.
      if (count === 1) this.#remember(identity, { state: "ended", settlement: "ack" });
    }
  }

  /** What is known of a redelivered request; each is recognized once for every loss. */
  take(meta: RequestMeta, { body }: Delivery): Remembered | undefined {
    if (this.#running.size === 0 && this.#young.size === 0 && this.#old.size === 0) return undefined;
    const identity = identityOf(meta, body);
    for (const running of this.#running.get(identity) ?? []) {
      this.#forget(identity, running);
      if (!running.settled) return { state: "running", running };
    }
    return takeFrom(this.#young, identity) ?? takeFrom(this.#old, identity);
  }

  /** How many requests it keeps, those that are running on a lost channel included. */
  get size(): number {
    return this.#running.size + Math.min(this.#ackedCount, this.#acked.length) + this.#young.size + this.#old.size;
  }

  /** Keeps no request with its body that is not running any more, or that was recognized. */
  #forget(identity: number, delivered: Delivered): void {
    const same = this.#running.get(identity);
    same?.delete(delivered as RunningRequest);
    if (same?.size === 0) this.#running.delete(identity);
  }

  #remember(identity: number, ended: Ended): void {
    const now = performance.now();
    if (this.#youngSize >= MAX_REMEMBERED / 2 || now - this.#turnedAt > REMEMBER_MS) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngSize = 0;
      this.#turnedAt = now;
    }
    this.#youngSize++;
    add(this.#young, identity, ended);
  }
}
