import type { Refusal } from "./admission.ts";
import type { Place } from "./blind_shedding.ts";
import type { Intake, RunningRequest } from "./running_request.ts";
import {
  SurplusConsumer,
  type SurplusEnd,
  type SurplusHost,
  surplusLimit,
  surplusPrefetch,
} from "./surplus_consumer.ts";

/** What an intake needs from its consumer. */
export interface IntakeHost extends SurplusHost {
  /** Why a request must be refused; undefined if it may be started, now or after it has waited here. */
  judge(running: RunningRequest, now: number, place: Place): Refusal | undefined;
  /** Whether there was a sign of overload a moment ago. */
  isPressed(now: number): boolean;
  /** About the longest that any handler takes now, in ms. */
  longest(): number;
  run(running: RunningRequest): void;
  refuse(running: RunningRequest, why: Refusal): void;
  /** A request is the broker's again, because its channel is closed. */
  drop(running: RunningRequest): void;
  /** The channel of the second consumer was lost, with requests that were not acknowledged. */
  surplusLost(): void;
}

/** How often it is checked whether the second consumer is still needed, in ms. */
const CHECK_MS = 250;
/** How long it does without a second consumer after one was lost or refused, in ms. */
const PAUSE_MS = 10_000;
/** If a handler is idle that many times in a row, requests are not refused fast enough. */
const SLOW = 2;

/** If no more than this part of what may wait here does, the queue is short. */
export const ROOM = 1 / 4;

const SETTLED = Promise.resolve();

/**
 * Starts the requests of one queue. Normally each is started when it arrives. Under overload it has a second consumer, so
 * that those with too little time are refused while the handlers are busy, and some with enough time wait here for the
 * next handler. Without it, each refusal would cost a round trip to the broker, in which a server with a small prefetch
 * has nothing to do.
 */
export class RequestIntake implements Intake {
  readonly #host: IntakeHost;
  readonly #prefetch: number;
  /** Those with enough time, in order, that no handler is free for. */
  readonly #waiting = new Set<RunningRequest>();
  #busy = 0;
  /** The second consumer, and further ones if it is not fast enough. */
  readonly #surplus = new Set<SurplusConsumer>();
  /** How many requests the second consumer has at once, alone and together with the others. */
  #first = 0;
  #all = 0;
  /** How often in a row a handler was found idle. */
  #idle = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #pumping = false;
  /** When it may have a second consumer again, on the clock of `performance.now()`. */
  #againAt = -Infinity;
  #closed = false;

  /** @param prefetch How many handlers may run at once. */
  constructor(prefetch: number, host: IntakeHost) {
    this.#prefetch = prefetch;
    this.#host = host;
  }

  /** How many consumers it has beside the first one. */
  get surplus(): number {
    return this.#surplus.size;
  }

  /** Starts a request, refuses it, or keeps it until a handler is free. */
  arrived(running: RunningRequest): void {
    const mayWait = this.#surplus.size > 0 && this.#busy >= this.#prefetch;
    if (this.#waiting.size > 0) this.#refuseFirst();
    // The broker delivers it again, so that it must be neither run nor refused here.
    if (running.acks.lost) this.#host.drop(running);
    else if (running.whyAborted !== undefined) this.#host.run(running);
    else if (this.#isRefused(running, running.arrivedAt, mayWait ? this.#place : "handler")) return;
    else if (mayWait || this.#waiting.size > 0) this.#waiting.add(running);
    else this.#start(running);
  }

  /** The handler of a request has ended, so another one may start. */
  handled(running: RunningRequest): void {
    if (!running.holdsHandler) return;
    running.holdsHandler = false;
    this.#busy--;
    if (this.#waiting.size === 0 || this.#pumping) return;
    this.#pumping = true;
    // Not within the end of another request.
    SETTLED.then(() => this.#pump());
  }

  /** A request was acknowledged, rejected or left. */
  settled(running: RunningRequest): void {
    this.#waiting.delete(running);
    this.handled(running);
  }

  /** A request was aborted: if it has not started, it ends now. */
  aborted(running: RunningRequest): void {
    if (this.#waiting.delete(running)) this.#host.run(running);
  }

  /** Acknowledges finished requests at once. */
  flush(): void {
    for (const surplus of this.#surplus) surplus.flush();
  }

  /** Takes no more requests over the second consumer. */
  async stop(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all(Array.from(this.#surplus, (surplus) => surplus.stop()));
  }

  /** The queue is consumed over another channel: gives back what waits here on a closed one. The second consumer stays. */
  channelReplaced(): void {
    this.#dropLost();
    this.#againAt = -Infinity;
  }

  /** The queue is not consumed any more: gives back what waits here, then closes the second consumer. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const running of this.#waiting) {
      this.#waiting.delete(running);
      this.#host.drop(running);
    }
    const all = Array.from(this.#surplus);
    this.#surplus.clear();
    for (const surplus of all) surplus.close();
  }

  /** Where a request goes that no handler is free for. */
  get #place(): Place {
    return this.#waiting.size < this.#all * ROOM ? "room" : "full";
  }

  #start(running: RunningRequest): void {
    running.holdsHandler = true;
    this.#busy++;
    this.#host.run(running);
  }

  #pump(): void {
    this.#pumping = false;
    while (this.#busy < this.#prefetch) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      this.#waiting.delete(first);
      if (first.acks.lost) this.#host.drop(first);
      else if (first.whyAborted !== undefined) this.#host.run(first);
      else if (!this.#isRefused(first, performance.now(), "handler")) this.#start(first);
    }
  }

  /** What has waited here for too long makes room for another one. */
  #refuseFirst(): void {
    const now = performance.now();
    for (const first of this.#waiting) {
      const why = first.acks.lost ? undefined : this.#host.judge(first, now, "handler");
      if (why === undefined && !first.acks.lost) return;
      this.#waiting.delete(first);
      if (why === undefined) this.#host.drop(first);
      else this.#host.refuse(first, why);
    }
  }

  /** Gives back what waits here on a closed channel. */
  #dropLost(): void {
    for (const running of this.#waiting) {
      if (!running.acks.lost) continue;
      this.#waiting.delete(running);
      this.#host.drop(running);
    }
  }

  #isRefused(running: RunningRequest, now: number, place: Place): boolean {
    const why = this.#host.judge(running, now, place);
    if (this.#surplus.size === 0 && this.#host.isPressed(now) && !this.#closed && now >= this.#againAt) {
      this.#openFirst();
    }
    if (why === undefined) return false;
    this.#host.refuse(running, why);
    return true;
  }

  #openFirst(): void {
    const prefetch = surplusPrefetch(this.#prefetch, this.#host.longest());
    if (prefetch === 0) return;
    this.#first = prefetch;
    this.#all = this.#idle = 0;
    this.#open(prefetch);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  #open(prefetch: number): void {
    this.#all += prefetch;
    const surplus = new SurplusConsumer(prefetch, this.#host, (how) => this.#gone(surplus, how));
    this.#surplus.add(surplus);
  }

  #gone(surplus: SurplusConsumer, how: SurplusEnd): void {
    if (!this.#surplus.delete(surplus)) return;
    if (this.#surplus.size === 0) clearInterval(this.#timer);
    if (how === "idle") return;
    this.#againAt = performance.now() + PAUSE_MS;
    if (how === "refused") return;
    this.#dropLost();
    this.#host.surplusLost();
  }

  #check(): void {
    const wanted = surplusPrefetch(this.#prefetch, this.#host.longest());
    const first = this.#first;
    // With another prefetch, it is opened again.
    const over = !this.#host.isPressed(performance.now()) || wanted > 2 * first || wanted < first / 2;
    for (const surplus of Array.from(this.#surplus)) {
      if (over) surplus.stop();
      surplus.closeIfIdle();
    }
    const idle = !over && this.#busy < this.#prefetch && this.#waiting.size === 0;
    this.#idle = idle ? this.#idle + 1 : 0;
    if (this.#idle < SLOW) return;
    this.#idle = 0;
    // All that comes is too late: requests expire faster than they are refused.
    const more = Math.min(3 * this.#all, surplusLimit(this.#prefetch) - this.#all);
    if (more > 0) this.#open(more);
  }
}
