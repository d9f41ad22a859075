import type { ReplyParts } from "../wire/reply_message.ts";

/** How many replies are remembered; beyond it the oldest is forgotten. */
const MAX_REMEMBERED = 1_000;

interface Loss {
  count: number;
  /** The last link that it went down with. */
  link: number;
}

type Address = Pick<ReplyParts, "replyTo" | "correlationId">;

/** Names a reply by its address and correlation id: a request that is redelivered gets the same again. */
export function keyOf({ replyTo, correlationId = "" }: Address): string {
  return `${replyTo}\0${correlationId}`;
}

/**
 * Counts the links that went down while a reply was under way. A link takes its requests with it, which come again and
 * are answered again, so the count belongs to the request and not to one reply of it.
 */
export class SuspectReplies {
  readonly #losses = new Map<string, Loss>();
  #link = 0;

  /** Notes that a link is lost; those that are added next went down with it. */
  linkLost(): void {
    this.#link++;
  }

  /** Notes a reply that went down with the link. */
  add(reply: Address): void {
    const key = keyOf(reply);
    const loss = this.#losses.get(key);
    if (loss !== undefined) {
      if (loss.link !== this.#link) loss.count++;
      loss.link = this.#link;
      return;
    }
    this.#losses.set(key, { count: 1, link: this.#link });
    const [oldest] = this.#losses.keys();
    if (oldest !== undefined && this.#losses.size > MAX_REMEMBERED) this.#losses.delete(oldest);
  }

  /** How many links went down with replies to the request. */
  lossesOf(reply: Address): number {
    return this.#losses.size === 0 ? 0 : this.#losses.get(keyOf(reply))?.count ?? 0;
  }

  /** Forgets a reply that has done no harm. */
  delete(reply: Address): void {
    if (this.#losses.size > 0) this.#losses.delete(keyOf(reply));
  }
}
