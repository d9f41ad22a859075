import type { PendingCall } from "./pending_call.ts";

/** How many queues are remembered; beyond that the oldest one without calls in flight is forgotten. */
const MAX_QUEUES = 1_000;
/** How long servers have to declare a deleted queue again, in ms. */
const DELETION_MS = 2_000;

interface CalledQueue {
  /** Idempotent calls that are written and not yet answered. */
  readonly inFlight: Set<PendingCall>;
  /** Whether it has answered a call. */
  answered: boolean;
  /** Since when it is missing, if it is, on the clock of `performance.now()`. */
  goneSince: number | undefined;
}

/**
 * What a client knows about the queues that it calls, in order to detect a deleted one: if a request to a queue that has
 * answered before is returned, the requests that waited in that queue are lost too.
 */
export class CalledQueues {
  readonly #queues = new Map<string, CalledQueue>();

  /** Records that a call was written. */
  written(call: PendingCall): void {
    if (call.procedure.idempotent === true) this.#at(call.procedure.queue).inFlight.add(call);
  }

  /** Records that a call is not in flight any more. */
  landed(call: PendingCall): void {
    if (call.procedure.idempotent === true) this.#queues.get(call.procedure.queue)?.inFlight.delete(call);
  }

  /** Records that a queue has answered. */
  answered(queue: string): void {
    const known = this.#at(queue);
    known.answered = true;
    known.goneSince = undefined;
  }

  /**
   * Records that the request of a call was returned.
   *
   * @returns The calls that were lost with the queue and are to be sent again; undefined if it was not just deleted.
   */
  returned({ procedure: { queue, idempotent } }: PendingCall): readonly PendingCall[] | undefined {
    const known = this.#queues.get(queue);
    if (known === undefined || !known.answered || idempotent !== true) return undefined;
    const now = performance.now();
    known.goneSince ??= now;
    if (now - known.goneSince > DELETION_MS) return undefined;
    const lost = Array.from(known.inFlight);
    known.inFlight.clear();
    return lost;
  }

  #at(queue: string): CalledQueue {
    let known = this.#queues.get(queue);
    if (known === undefined) {
      if (this.#queues.size >= MAX_QUEUES) this.#forgetOne();
      known = { inFlight: new Set(), answered: false, goneSince: undefined };
      this.#queues.set(queue, known);
    }
    return known;
  }

  /** Checks only a few queues, so that the work does not grow with their number. */
  #forgetOne(): void {
    let looked = 0;
    for (const [name, known] of this.#queues) {
      this.#queues.delete(name);
      if (known.inFlight.size === 0) return;
      // Not in the way of the next look.
      this.#queues.set(name, known);
      if (++looked === 8) return;
    }
  }
}
