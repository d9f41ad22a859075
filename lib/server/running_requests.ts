import { RpcError } from "../contract/errors.ts";
import type { ByteString } from "../wire/byte_string.ts";
import type { RunningRequest } from "./running_request.ts";

/** The requests of one queue that are accepted and not answered, in the order in which they arrived. */
export class RunningRequests implements Iterable<RunningRequest> {
  readonly #all = new Set<RunningRequest>();
  /** Those with a correlation id; a set of them where several have the same. */
  readonly #byId = new Map<ByteString, RunningRequest | Set<RunningRequest>>();
  #idle: (() => void)[] = [];

  /** How many there are. */
  get size(): number {
    return this.#all.size;
  }

  /** All, the oldest first. */
  [Symbol.iterator](): Iterator<RunningRequest> {
    return this.#all.values();
  }

  /** Resolves when there is none. */
  idle(): Promise<void> {
    return this.#all.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Adds a request. */
  add(running: RunningRequest): void {
    this.#all.add(running);
    const { correlationId } = running.meta;
    if (correlationId === undefined) return;
    const known = this.#byId.get(correlationId);
    if (known === undefined) this.#byId.set(correlationId, running);
    else if (known instanceof Set) known.add(running);
    else this.#byId.set(correlationId, new Set([known, running]));
  }

  /** Removes a request that has ended. */
  delete(running: RunningRequest): void {
    running.settled = true;
    this.#all.delete(running);
    const { correlationId } = running.meta;
    if (correlationId !== undefined) this.#unlink(correlationId, running);
    if (this.#all.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Aborts the signal of every handler. */
  abort(reason: RpcError): void {
    for (const running of this.#all) running.abort(reason);
  }

  /** Aborts the signals of the handlers of one call. */
  cancel(id: ByteString): void {
    const running = this.#byId.get(id);
    if (running === undefined) return;
    const reason = new RpcError("canceled", "The caller has canceled the call");
    if (running instanceof Set) { for (const one of running) one.abort(reason); }
    else running.abort(reason);
  }

  #unlink(id: ByteString, running: RunningRequest): void {
    const known = this.#byId.get(id);
    if (known instanceof Set) {
      known.delete(running);
      if (known.size > 0) return;
    }
    this.#byId.delete(id);
  }
}
