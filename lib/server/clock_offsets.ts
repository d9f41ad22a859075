import type { ByteString } from "../wire/byte_string.ts";

/** By how much a client's clock may run slower than this server's: ten times as much as a bad quartz. */
const MAX_DRIFT = 1e-3;
/** A request that seems to have waited this much longer than it may, in ms, proves that its client's clock has jumped. */
const SLACK_MS = 250;
/** A broker's time that is earlier than one before by more than this, in ms, proves that its clock was set. */
const STEP_MS = 50;
/** By how much times are rounded, in ms, and a little more. */
const ROUNDING_MS = 2;
/** How long an answer is good for, in ms: clocks that drift by 1000 ppm are then 10 ms apart. */
const CONFIRMED_MS = 10_000;
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
  /** A lower bound of the difference, at that time. */
  least: number;
  /** Whether a request seemed to have waited for longer than it may, since then. */
  doubted: boolean;
  /** When the client was last asked for its clock. */
  askedAt: number;
  /** The latest time that came with a request of the client. */
  latest: number;
  /** How long its last request had waited at least, in ms, if nobody else has sent requests in its name. */
  waited: number;
}

/** Whether the clock is known from an answer that is not too old. */
export function isConfirmed({ confirmedAt }: ClientClock, now: number): boolean {
  return confirmedAt !== undefined && now - confirmedAt < CONFIRMED_MS;
}

/**
 * Learns how long requests have waited, from the times at which their clients have sent them, although all clocks differ.
 *
 * Time of arrival less time of sending is the difference of the two clocks plus the delay. The least of it that was ever
 * seen of a client is the difference plus the least delay (the base delay of LEDBAT, RFC 6817), and what a request has
 * more than that, it has waited. This errs to one side only: it is never longer than the true delay. A clock that runs
 * slower than this server's would make it longer; so the least is raised with time, by more than clocks drift.
 *
 * Anybody who knows the address of a client's replies can send requests in its name, with any time. So what the least says
 * counts once the client has confirmed it, and is then not changed by times that contradict the answer.
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
   * Learns from a request.
   *
   * @param client Whose clock it is: the address of its replies.
   * @param time When it was sent, on the client's clock, or when the broker got it, on the broker's.
   * @param now When it arrived, on the clock of `performance.now()`.
   * @param limit How long it may have waited at most: the broker drops what waits longer.
   * @param ordered Whether the client's requests arrive in the order of their times.
   * @returns What is known of the clock; `waited` is of this request.
   */
  measure(client: ByteString, time: number, now: number, limit: number, ordered: boolean): ClientClock {
    const offset = now - time;
    const known = this.#find(client);
    if (known === undefined) return this.#add(client, unconfirmed(offset, now, time));
    const isBack = ordered && time < known.latest - STEP_MS;
    if (isBack || time > known.latest) known.latest = time;
    const waited = offset - boundAt(known, now);
    known.waited = 0;
    if (isBack) {
      known.offset = offset;
      known.at = now;
    } else if (waited > 0 && waited <= limit + SLACK_MS) {
      known.waited = waited;
    } else if (known.confirmedAt === undefined || (waited <= 0 && offset >= leastAt(known, known.confirmedAt, now))) {
      known.offset = offset;
      known.at = now;
    } else {
      // Somebody else has sent it, or the client's clock has stood still, for example while its computer slept.
      known.doubted = true;
    }
    return known;
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
    const known = this.#find(client) ?? this.#add(client, unconfirmed(most, now, time));
    const bound = boundAt(known, now);
    // Below `least`, the client's clock has stood still since the bound was learned.
    if (bound > most || bound < least) {
      known.offset = most;
      known.at = now;
    }
    const before = known.confirmedAt === undefined ? -Infinity : leastAt(known, known.confirmedAt, now);
    known.least = before > least && before <= most ? before : least;
    known.confirmedAt = now;
    known.doubted = false;
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

  #add(client: ByteString, clock: ClientClock): ClientClock {
    if (this.#young.size >= MAX_CLIENTS / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(client, clock);
    return clock;
  }
}

/** The upper bound of the difference of the clocks, as it is now. */
function boundAt({ offset, at }: ClientClock, now: number): number {
  return offset + (now - at) * MAX_DRIFT;
}

/** The lower bound of the difference of the clocks, as it is now. */
function leastAt({ least }: ClientClock, confirmedAt: number, now: number): number {
  return least - ROUNDING_MS - (now - confirmedAt) * MAX_DRIFT;
}

function unconfirmed(offset: number, at: number, latest: number): ClientClock {
  return {
    offset,
    at,
    confirmedAt: undefined,
    least: -Infinity,
    doubted: false,
    askedAt: -Infinity,
    latest,
    waited: 0,
  };
}
