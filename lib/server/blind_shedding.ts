/** Where a request would go: to a handler that is free; or it would wait here, where there is room, or hardly any. */
export type Place = "handler" | "room" | "full";

/** A burst was too short if fewer requests than this were answered after it, and too long if more than ten times as many. */
const ENOUGH_ANSWERS = 20;
const MIN_BURST = 4;
const MAX_BURST = 10_000;
/** How long a burst may take, in ms: what waits here leaves room for few refusals in one round trip to the broker. */
const BURST_MS = 1_000;
/** If no request has come and no handler has ended for so long, in ms, and one is free, the queue was empty. */
const IDLE_MS = 50;
/** How fast the share falls with each answer, to try whether less is enough. */
const SHARE_DECAY = 0.998;
/** How much more is refused after work in vain. */
const SHARE_GROWTH = 1.1;
const MAX_SHARE = 100;

/**
 * Refuses requests whose wait is not known. It learns only from work in vain: requests whose callers stopped waiting
 * before the handler had ended. These may also have been canceled by their users, so nothing is refused as long as a
 * handler is free, or few requests wait for one.
 *
 * Then a burst of requests is refused, so that the next ones have waited for less; it is doubled until work in vain is
 * rare. From then on, for each answer, so many are refused as were before, so that the queue stays as it is.
 */
export class BlindShedding {
  #burst = 0;
  #toRefuse = 0;
  #refuseUntil = -Infinity;
  #lastBurst = -Infinity;
  #inVain = 0;
  /** Since the last burst. */
  #answered = 0;
  #refused = 0;
  /** How many are refused for each answer, and how many are to be refused now. */
  #share = 0;
  #owed = 0;
  /** When a request came last, or a handler ended. */
  #activeAt = -Infinity;

  /** Whether the next request is refused. */
  refuses(now: number, place: Place): boolean {
    if (this.#burst === 0) return false;
    const idle = now - this.#activeAt;
    this.#activeAt = now;
    if (place === "handler" && idle > IDLE_MS) this.stop();
    // With a long queue there is no room here for longer than a round trip.
    if (place === "room") this.#owed = this.#share = 0;
    if (place !== "full") return false;
    if (this.#toRefuse > 0 && now < this.#refuseUntil) this.#toRefuse--;
    else if (this.#owed >= 1) this.#owed--;
    else return false;
    this.#refused++;
    return true;
  }

  /** The queue is short: refuses nothing until there is work in vain again. */
  stop(): void {
    this.#toRefuse = this.#owed = this.#share = 0;
  }

  /** A request was answered in time. */
  answered(now: number): void {
    this.#activeAt = now;
    this.#answered++;
    this.#inVain = 0;
    if (this.#share === 0) return;
    this.#share *= SHARE_DECAY;
    this.#owed = Math.min(this.#owed + this.#share, 2 * this.#share + 1);
  }

  /**
   * The caller of a request stopped waiting before its handler had ended, or has canceled it.
   *
   * @returns Whether a burst begins.
   */
  inVain(startedAt: number, now: number): boolean {
    this.#activeAt = now;
    // Two in a row: a single one may have been canceled by its user. Those started before the burst tell nothing about it.
    if (startedAt <= this.#lastBurst || ++this.#inVain < 2) return false;
    const short = this.#answered < ENOUGH_ANSWERS;
    if (this.#burst === 0 || short) this.#burst = Math.min(MAX_BURST, Math.max(MIN_BURST, 2 * this.#burst));
    else if (this.#answered > 10 * ENOUGH_ANSWERS) this.#burst = Math.ceil(this.#burst / 2);
    if (this.#answered > 0) {
      this.#share = Math.min(MAX_SHARE, SHARE_GROWTH * Math.max(this.#share, this.#refused / this.#answered));
    }
    this.#toRefuse = this.#burst;
    this.#refuseUntil = now + BURST_MS;
    this.#lastBurst = now;
    this.#answered = this.#refused = 0;
    return true;
  }
}
