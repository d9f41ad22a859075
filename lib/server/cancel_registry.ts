import type { ByteString } from "../wire/byte_string.ts";
import type { Cancel } from "../wire/control_message.ts";

/** At most this many cancels are remembered; when there are more, the older half is forgotten. */
export const MAX_REMEMBERED = 100_000;
/** How long a cancel is remembered at most, in ms: a canceled request that waits in the queue for longer is run. */
export const MAX_REMEMBER_MS = 600_000;

function keyOf(queue: ByteString, id: ByteString): string {
  return `${queue}\0${id}`;
}

/**
 * Remembers canceled calls, for cancels that arrive before their request. There are two generations, and the older one is
 * dropped as a whole, so that adding and forgetting take constant time.
 */
export class CancelRegistry {
  /** Until when each is remembered, on the clock of `performance.now()`. */
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #turnedAt = 0;

  /** Remembers a cancel. */
  add({ queue, id, rememberMs }: Cancel): void {
    if (rememberMs === 0) return;
    const now = performance.now();
    if (this.#young.size >= MAX_REMEMBERED / 2 || now - this.#turnedAt > MAX_REMEMBER_MS) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#turnedAt = now;
    }
    this.#young.set(keyOf(queue, id), now + Math.min(rememberMs, MAX_REMEMBER_MS));
  }

  /** Whether a call was canceled. */
  has(queue: ByteString, id: ByteString): boolean {
    if (this.#young.size === 0 && this.#old.size === 0) return false;
    const key = keyOf(queue, id);
    return (this.#young.get(key) ?? this.#old.get(key) ?? 0) > performance.now();
  }

  /** How many cancels are kept. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
