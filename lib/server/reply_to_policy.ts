import { logFault } from "../events/log_events.ts";
import { type ByteString, fromByteString } from "../wire/byte_string.ts";
import { isDangerous, isServerNamed } from "../wire/reply_address.ts";
import type { ReplyQueueProbe } from "./reply_queue_probe.ts";

/** Decides which queues replies may go to: the server publishes to them with its own rights. */
export class ReplyToPolicy {
  readonly #allows: ((name: string) => boolean) | undefined;
  readonly #probe: ReplyQueueProbe;

  /** @param allows The server's option `replyTo`. */
  constructor(allows: ((name: string) => boolean) | undefined, probe: ReplyQueueProbe) {
    this.#allows = allows;
    this.#probe = probe;
  }

  /** Whether replies may go to this address; undefined if the broker cannot be asked now. */
  accepts(name: ByteString): boolean | Promise<boolean | undefined> {
    if (isServerNamed(name)) return true;
    if (isDangerous(name)) return false;
    return this.#isAllowed(fromByteString(name)) || this.#probe.isExclusive(name);
  }

  /** What the option throws is logged and ignored, so that it cannot close a channel. */
  #isAllowed(name: string): boolean {
    try {
      const allowed: unknown = this.#allows?.(name);
      // A promise is no answer; it must not end the process either.
      if (allowed instanceof Promise) allowed.catch(() => {});
      return allowed === true;
    } catch (error) {
      logFault("The replyTo option threw:", error);
      return false;
    }
  }
}
