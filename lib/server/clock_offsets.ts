import type { ByteString } from "../wire/byte_string.ts";

/** By how much a client's clock may run slower than this server's: ten times as much as a bad quartz. */
const MAX_DRIFT = 1e-3;
/** A request that seems to have waited this much longer than it may, in ms, proves that its client's clock has jumped. */
const SLACK_MS = 250;
/** At most this many clients are remembered; when there are more, the half that was silent for longest is forgotten. */
export const MAX_CLIENTS = 20_000;

/** What is known about the clock of one client. */
export interface ClientClock {
  /** This server's time less the client's, in ms: an upper bound, by the delay of the message that was fastest. */
  offset: number;
  /** When that was learned, on the clock of `performance.now()`. */
  at: number;
  /** When it was last confirmed by an answer that waited behind no requests; absent if never. */
  confirmedAt: number | undefined;
  /** When the client was last asked for its clock. */
  askedAt: number;
}

/**
 * Learns how long requests have waited, from the times at which their clients have sent them, although all clocks differ.
 *
 * Time of arrival less time of sending is the difference of the two clocks plus the delay. The least of it that was ever
 * seen of a client is the difference plus the least delay (the base delay of LEDBAT, RFC 6817), and what a request has
 * more than that, it has waited. This errs to one side only: it is never longer than the true delay. A clock that runs
 * slower than this server's would make it longer; so the least is raised with time, by more than clocks drift.
 *
 * Two generations, of which the older one is dropped as a whole: adding and forgetting take constant time.
 */
export class ClockOffsets {
  #young = new Map<ByteString, ClientClock>();
  #old = new Map<ByteString, ClientClock>();

  /** How many clients are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** What is known about a client, if anything. */
  get(client: ByteString): ClientClock | undefined {
    return this.#young.get(client) ?? this.#old.get(client);
  }

  /**
   * How long a request has waited at least, in ms.
   *
   * @param client Whose clock it is: the address of its replies.
   * @param sentAt When it was sent, on the client's clock.
   * @param now When it arrived, on the clock of `performance.now()`.
   * @param limit How long it may have waited at most: the broker drops what waits longer.
   */
  waited(client: ByteString, sentAt: number, now: number, limit: number): number {
    const offset = now - sentAt;
    const known = this.#find(client);
    if (known === undefined) {
      this.#add(client, { offset, at: now, confirmedAt: undefined, askedAt: -Infinity });
      return 0;
    }
    const waited = offset - boundAt(known, now);
    if (waited > 0 && waited <= limit + SLACK_MS) return waited;
    known.offset = offset;
    known.at = now;
    // The client's clock has stood still, for example while its computer slept.
    if (waited > 0) known.confirmedAt = undefined;
    return 0;
  }

  /**
   * Learns from a client's answer to the question for its time.
   *
   * @param time The client's time when it answered.
   * @param askedAt When it was asked, on the clock of `performance.now()`.
   * @param now When the answer arrived.
   */
  confirm(client: ByteString, time: number, askedAt: number, now: number): void {
    const most = now - time;
    const least = askedAt - time;
    const known = this.#find(client);
    if (known === undefined) {
      this.#add(client, { offset: most, at: now, confirmedAt: now, askedAt });
      return;
    }
    const bound = boundAt(known, now);
    // Below `least`, the client's clock has stood still since the bound was learned.
    if (bound > most || bound < least) {
      known.offset = most;
      known.at = now;
    }
    known.confirmedAt = now;
  }

  #find(client: ByteString): ClientClock | undefined {
    const young = this.#young.get(client);
    if (young !== undefined) return young;
    const old = this.#old.get(client);
    if (old !== undefined) {
      this.#old.delete(client);
      this.#add(client, old);
    }
    return old;
  }

  #add(client: ByteString, clock: ClientClock): void {
    if (this.#young.size >= MAX_CLIENTS / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(client, clock);
  }
}

/** The upper bound of the difference of the clocks, as it is now. */
function boundAt({ offset, at }: ClientClock, now: number): number {
  return offset + (now - at) * MAX_DRIFT;
}
