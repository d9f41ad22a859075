import { BlindShedding, type Place } from "./blind_shedding.ts";
import type { ServiceTime } from "./service_time.ts";

/*
 * Little's law: a queue whose wait is as long as the deadline holds all that arrives within one deadline, and a broker
 * that drops only what has expired keeps it so: each request that is taken has almost no time left, and the work on it is
 * in vain. Shedding by the deadline refuses what has too little time left for its work, so the servers find, a moment
 * later, requests that have enough. As CoDel (RFC 8289) does, it looks at the wait of what is taken, not at the length of
 * the queue: only a request that has waited for long is a sign of overload. Under overload a margin is cheap, since
 * there is always another request; below capacity nothing waits for long, and nothing is refused.
 */

/** From this part of its deadline on, a request has waited for long. */
const LONG_WAIT = 1 / 4;
/** What is then left of its deadline. */
const SHORT_TIME = 1 - LONG_WAIT;
/** A request of which no more than this part is left is a sign of overload, even if that is enough for its work. */
const HALF_TIME = 1 / 2;
/** Requests are expected to have used up less than this part of their deadline before the servers are overloaded. */
const MAX_MARGIN = 1 / 2;
/** At most this part of a deadline is asked for: what has just been sent is always started. */
const MAX_NEED = 0.9;
/** For how long one sign of overload counts, in ms. */
const PRESSED_MS = 1_000;
/** What the way of the reply and a busy machine take, in ms. */
const OVERHEAD_MS = 10;

/** How fast the error is forgotten, for each request that is answered in time. */
const ERROR_DECAY = 0.98;

/** What is known about a request when it is judged. */
export interface Candidate {
  /** How long its caller waits in all, in ms; absent for plain clients, whose requests are always started. */
  readonly expiration: number | undefined;
  /** Whether its client sends its clock, and so can be asked for it. */
  readonly clocked: boolean;
  /** Whether its wait is known: the clock of its client was confirmed. */
  readonly known: boolean;
  /**
   * When its caller stops waiting, at the latest, on the clock of `performance.now()`: as well known as its wait is.
   */
  readonly likelyEndsAt: number;
  /** When its handler was started, on the clock of `performance.now()`. */
  readonly startedAt: number;
}

/** Why a request is not started. */
export interface Refusal {
  /** How much time it had left, in ms; absent if that is not known. */
  readonly left: number | undefined;
  /** How much it needs, in ms. */
  readonly needed: number;
}

/** Decides which requests of one queue are refused because they have too little time left. */
export class Admission {
  readonly #services: readonly ServiceTime[];
  #pressedUntil = -Infinity;
  /** By how much later than they did callers lately seemed to stop waiting, in ms: the error of what is known of waits. */
  #error = 0;

  /** For requests whose wait is not known. */
  readonly #blind = new BlindShedding();

  /** @param services How long the handler of each method takes. */
  constructor(services: readonly ServiceTime[]) {
    this.#services = services;
  }

  /** Whether there was a sign of overload a moment ago. */
  isPressed(now: number): boolean {
    return now < this.#pressedUntil;
  }

  /**
   * Whether a request must be refused.
   *
   * @returns Why; undefined if it may be started.
   */
  judge(request: Candidate, service: ServiceTime, now: number, place: Place): Refusal | undefined {
    const { expiration, likelyEndsAt } = request;
    if (expiration === undefined) return undefined;
    const left = likelyEndsAt - now;
    if (left <= SHORT_TIME * expiration) {
      const needed = this.isPressed(now) ? this.#need(service, expiration, place !== "handler") : service.least;
      if (left < needed || left <= HALF_TIME * expiration) this.#press(now);
      if (left >= needed) return undefined;
      return { left, needed };
    }
    if (!this.#blind.refuses(now, place)) return undefined;
    if (request.clocked) {
      if (request.known) this.#blind.stop();
      return undefined;
    }
    this.#press(now);
    return { left: undefined, needed: service.least };
  }

  /**
   * Learns from a request whose handler has ended.
   *
   * @param inTime Whether its caller still waited.
   * @returns Whether it seems to have waited for longer than is known.
   */
  ended(request: Candidate, service: ServiceTime, now: number, inTime: boolean): boolean {
    const { expiration, likelyEndsAt, startedAt } = request;
    const duration = now - startedAt;
    if (inTime) {
      service.ended(duration);
      this.#blind.answered(now);
      this.#error *= ERROR_DECAY;
      return false;
    }
    service.aborted(duration);
    if (expiration === undefined) return false;
    const early = likelyEndsAt - now;
    if (likelyEndsAt - startedAt <= SHORT_TIME * expiration) {
      this.#press(now);
      if (early >= LONG_WAIT * expiration) return false;
      this.#error = Math.max(this.#error, early);
      return early > OVERHEAD_MS;
    }
    // Its caller has left long before its deadline, as far as that is known: it had waited, or its user has canceled it.
    if (early < LONG_WAIT * expiration || request.known) return false;
    if (!request.clocked && this.#blind.inVain(startedAt, now)) this.#press(now);
    return true;
  }

  /** About the longest that any handler takes now, in ms. */
  get longest(): number {
    let longest = 0;
    for (const { most } of this.#services) if (most > longest) longest = most;
    return longest;
  }

  /** How much time a request must have left while the servers are overloaded, in ms. */
  #need({ most }: ServiceTime, expiration: number, mayWait: boolean): number {
    const own = 1.1 * most + OVERHEAD_MS + this.#error;
    if (!mayWait) return Math.min(own, MAX_NEED * expiration);
    // The same for all methods, or the slow ones would never be started.
    const margin = Math.min(2 * (this.longest + OVERHEAD_MS) + this.#error, MAX_MARGIN * expiration);
    return Math.min(Math.max(own, margin), MAX_NEED * expiration);
  }

  #press(now: number): void {
    this.#pressedUntil = now + PRESSED_MS;
  }
}
