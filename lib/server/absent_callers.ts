import { settlesWithin } from "../contract/deadline.ts";
import type { ByteString } from "../wire/byte_string.ts";

/** So many callers are asked for after one was found to have left. */
const QUESTIONS = 4;
/** So many are asked for at the most after the last one that had left. */
export const MAX_QUESTIONS = 16;
/** A request waits this long for the answer at the most, in ms; then it is run. */
const PATIENCE_MS = 1_000;
/** How long it counts that a caller is there, in ms. */
const PRESENT_MS = 2_000;
/** At most this many callers are remembered; when there are more, the older half is forgotten. */
export const MAX_REMEMBERED = 20_000;
/** How long a caller is remembered at least, in ms, after it was last heard of. */
const REMEMBER_MS = 60_000;

/**
 * Knows callers that have left, so that their requests are not run: many may wait in the queue. A caller has left if its
 * reply queue is gone. Only queues that the broker has named count: such a name never comes back, while a client that
 * names its queue declares it again when it reconnects.
 *
 * Nothing is asked until a reply was returned because its caller had left. That is a reason to ask for the next few
 * callers, and each one of those that has left too is a reason to ask for a few more.
 *
 * Two generations, of which the older one is dropped as a whole: adding and forgetting take constant time.
 */
export class AbsentCallers {
  readonly #isAlive: (replyTo: ByteString) => Promise<boolean>;
  /** Until when each is taken to be there, on the clock of `performance.now()`; of those that have left, `-Infinity`. */
  #young = new Map<ByteString, number>();
  #old = new Map<ByteString, number>();
  #turnedAt = 0;
  #questions = 0;
  readonly #asking = new Map<ByteString, Promise<boolean>>();

  /** @param isAlive Asks the broker whether a queue is there; true if it cannot be asked. */
  constructor(isAlive: (replyTo: ByteString) => Promise<boolean>) {
    this.#isAlive = isAlive;
  }

  /** Whether a caller may have left, which is worth asking for; false while all callers wait for their replies. */
  get suspected(): boolean {
    return this.#questions > 0 || this.#young.size > 0 || this.#old.size > 0;
  }

  /** How many callers are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** A reply was returned: its caller has left. */
  returned(replyTo: ByteString): void {
    if (!isNamedByBroker(replyTo)) return;
    this.#questions = Math.min(MAX_QUESTIONS, this.#questions + QUESTIONS);
    this.#remember(replyTo, -Infinity);
  }

  /** Whether the caller of a request has left, as far as that is known. */
  hasLeft(replyTo: ByteString): boolean | Promise<boolean> {
    if (!isNamedByBroker(replyTo)) return false;
    const now = performance.now();
    const presentUntil = this.#find(replyTo, now);
    if (presentUntil === -Infinity) return true;
    if (this.#questions === 0 || (presentUntil !== undefined && now < presentUntil)) return false;
    let asking = this.#asking.get(replyTo);
    if (asking === undefined) {
      this.#questions--;
      asking = this.#ask(replyTo).finally(() => this.#asking.delete(replyTo));
      this.#asking.set(replyTo, asking);
    }
    return asking;
  }

  async #ask(replyTo: ByteString): Promise<boolean> {
    const answer = this.#isAlive(replyTo);
    if (!await settlesWithin(answer, PATIENCE_MS)) {
      // Nothing is asked until the next reply is returned.
      this.#questions = 0;
      return false;
    }
    const left = !await answer;
    if (left) this.returned(replyTo);
    else this.#remember(replyTo, performance.now() + PRESENT_MS);
    return left;
  }

  #find(replyTo: ByteString, now: number): number | undefined {
    if (now - this.#turnedAt > REMEMBER_MS) this.#turn(now);
    const young = this.#young.get(replyTo);
    if (young !== undefined) return young;
    const old = this.#old.get(replyTo);
    if (old !== undefined) this.#remember(replyTo, old);
    return old;
  }

  #remember(replyTo: ByteString, presentUntil: number): void {
    if (this.#young.size >= MAX_REMEMBERED / 2) this.#turn(performance.now());
    this.#old.delete(replyTo);
    this.#young.set(replyTo, presentUntil);
  }

  #turn(now: number): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#turnedAt = now;
  }
}

function isNamedByBroker(replyTo: ByteString): boolean {
  return replyTo.startsWith("amq.gen-");
}
