import type { ReplyParts } from "../wire/reply_message.ts";

/** How many replies are remembered; beyond it the oldest is forgotten. */
const MAX_REMEMBERED = 1_000;

interface Loss {
  count: number;
  /** The last link that it went down with. */
  link: number;
}

type Address = Pick<ReplyParts, "replyTo" | "correlationId">;

/**
 * A key made of the reply address and the correlation id. Both are unchanged when a request is redelivered, so all replies
 * to one request have the same key.
 */
export function keyOf({ replyTo, correlationId = "" }: Address): string {
  return `${replyTo}\0${correlationId}`;
}

/**
 * Counts, for each request, how many links were lost while a reply to it was not yet confirmed: the reply may be what
 * breaks the link. After a loss, the broker delivers the request again and the server answers it again, so the count is
 * kept for the request, not for a single reply.
 */
export class SuspectReplies {
  readonly #losses = new Map<string, Loss>();
  #link = 0;

  /** Notes that a link was lost. Call it before `add`: the replies that are added afterwards were lost with this link. */
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
