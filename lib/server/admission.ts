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
/** Requests are expected to have used up less than this part of their deadline before the servers are overloaded. */
const MAX_MARGIN = 1 / 2;
/** At most this part of a deadline is asked for: what has just been sent is always started. */
const MAX_NEED = 0.9;
/** For how long one sign of overload counts, in ms. */
const PRESSED_MS = 1_000;
/** What the way of the reply and a busy machine take, in ms. */
const OVERHEAD_MS = 10;

/** How long a burst of blind refusals may take, in ms. */
const BURST_MS = 250;
/** A burst was too short if fewer requests than this were answered after it, and too long if more than ten times as many. */
const ENOUGH_ANSWERS = 20;
const MAX_BURST = 10_000;

/** What is known about a request when it is judged. */
export interface Candidate {
  /** How long its caller waits in all, in ms; absent for plain clients, whose requests are always started. */
  readonly expiration: number | undefined;
  /** How long it has waited at least, in ms. */
  readonly waited: number;
  /** Whether the wait is known: the clock of its client was confirmed. */
  readonly known: boolean;
  /** When its caller stops waiting at the latest, on the clock of `performance.now()`. */
  readonly endsAt: number;
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

  // For requests whose wait is not known: after work in vain, a burst of them is refused, so that the next ones have
  // waited for less. The burst grows until work in vain is rare.
  #burst = 0;
  #toRefuse = 0;
  #refuseUntil = -Infinity;
  #lastBurst = -Infinity;
  #inVain = 0;
  #answered = 0;

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
   * @param mayWait Whether it would not be started at once.
   * @returns Why; undefined if it may be started.
   */
  judge(request: Candidate, service: ServiceTime, now: number, mayWait: boolean): Refusal | undefined {
    const { expiration, waited, known, endsAt } = request;
    if (expiration === undefined) return undefined;
    const left = endsAt - now;
    if (waited >= LONG_WAIT * expiration) {
      const needed = this.isPressed(now) ? this.#need(service, expiration, mayWait) : service.least;
      if (left >= needed) return undefined;
      this.#press(now);
      return { left, needed };
    }
    if (known) this.#toRefuse = 0;
    else if (this.#toRefuse > 0 && now < this.#refuseUntil) {
      this.#toRefuse--;
      this.#press(now);
      return { left: undefined, needed: service.least };
    }
    return undefined;
  }

  /**
   * Learns from a request whose handler has ended.
   *
   * @param inTime Whether its caller still waited.
   * @returns Whether it seems to have waited for long, without that being known.
   */
  ended(request: Candidate, service: ServiceTime, now: number, inTime: boolean): boolean {
    const { expiration, waited, known, endsAt, startedAt } = request;
    const duration = now - startedAt;
    if (inTime) {
      service.ended(duration);
      this.#answered++;
      this.#inVain = 0;
      return false;
    }
    service.aborted(duration);
    if (expiration === undefined) return false;
    if (waited >= LONG_WAIT * expiration) {
      this.#press(now);
      return false;
    }
    // Its caller has left long before its deadline, as far as that is known: it had waited, or its user has canceled it.
    if (known || endsAt - now < LONG_WAIT * expiration) return false;
    if (startedAt > this.#lastBurst && ++this.#inVain >= 2) this.#startBurst(now);
    return true;
  }

  /** How much time a request must have left while the servers are overloaded, in ms. */
  #need({ most }: ServiceTime, expiration: number, mayWait: boolean): number {
    const own = 1.1 * most + OVERHEAD_MS;
    if (!mayWait) return Math.min(own, MAX_NEED * expiration);
    // The same for all methods, or the slow ones would never be started.
    let longest = 0;
    for (const service of this.#services) if (service.most > longest) longest = service.most;
    const margin = Math.min(2 * (longest + OVERHEAD_MS), MAX_MARGIN * expiration);
    return Math.min(Math.max(own, margin), MAX_NEED * expiration);
  }

  #press(now: number): void {
    this.#pressedUntil = now + PRESSED_MS;
  }

  #startBurst(now: number): void {
    if (this.#burst === 0 || this.#answered < ENOUGH_ANSWERS) {
      this.#burst = Math.min(MAX_BURST, Math.max(4, 2 * this.#burst));
    } else if (this.#answered > 10 * ENOUGH_ANSWERS) this.#burst = Math.ceil(this.#burst / 2);
    this.#toRefuse = this.#burst;
    this.#refuseUntil = now + BURST_MS;
    this.#lastBurst = now;
    this.#answered = 0;
    this.#press(now);
  }
}
