import type { PendingCall } from "./pending_call.ts";

/** How many queues are remembered; beyond it the oldest without calls in flight is forgotten. */
const MAX_QUEUES = 1_000;
/** How long servers have to declare a deleted queue again, in ms. */
const DELETION_MS = 2_000;

interface CalledQueue {
  /** Idempotent calls that were written and not answered. */
  readonly inFlight: Set<PendingCall>;
  /** Whether it has answered a call. */
  answered: boolean;
  /** Since when it is missing, if it is. */
  goneSince: number | undefined;
}

/**
 * What a client knows of the queues that it calls, so that it notices when one is deleted: a request that is returned
 * from a queue that has answered before was not the only one to be lost.
 */
export class CalledQueues {
  readonly #queues = new Map<string, CalledQueue>();

  /** Notes that a call was written. */
  written(call: PendingCall): void {
    if (call.procedure.idempotent === true) this.#at(call.procedure.queue).inFlight.add(call);
  }

  /** Notes that a call is not in flight any more. */
  landed(call: PendingCall): void {
    if (call.procedure.idempotent === true) this.#queues.get(call.procedure.queue)?.inFlight.delete(call);
  }

  /** Notes that a queue has answered. */
  answered(queue: string): void {
    const known = this.#at(queue);
    known.answered = true;
    known.goneSince = undefined;
  }

  /**
   * Notes that a call of a queue was returned.
   *
   * @returns The calls that were lost with the queue and are to be sent again; undefined if it was not deleted just now.
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

  /** Looks at a few only: work must not grow with the number of queues. */
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
