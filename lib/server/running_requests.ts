import { RpcError } from "../contract/errors.ts";
import type { ByteString } from "../wire/byte_string.ts";
import type { RunningRequest } from "./running_request.ts";

/** The requests of one queue that are accepted and not answered, in the order in which they arrived. */
export class RunningRequests implements Iterable<RunningRequest> {
  /** By correlation id; by themselves where there is none, or where another one has the same. */
  readonly #all = new Map<ByteString | RunningRequest, RunningRequest>();
  /** Those with the correlation id of another one. */
  readonly #twins = new Map<ByteString, Set<RunningRequest>>();
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
    const { correlationId } = running.meta;
    if (correlationId !== undefined && !this.#all.has(correlationId)) {
      this.#all.set(correlationId, running);
      return;
    }
    this.#all.set(running, running);
    if (correlationId === undefined) return;
    const twins = this.#twins.get(correlationId);
    if (twins === undefined) this.#twins.set(correlationId, new Set([running]));
    else twins.add(running);
  }

  /** Removes a request that has ended. */
  delete(running: RunningRequest): void {
    running.settled = true;
    const { correlationId } = running.meta;
    if (correlationId !== undefined && this.#all.get(correlationId) === running) this.#all.delete(correlationId);
    else if (this.#all.delete(running) && correlationId !== undefined) this.#unlink(correlationId, running);
    if (this.#all.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Aborts the signal of every handler. */
  abort(reason: RpcError): void {
    for (const running of this.#all.values()) running.abort(reason);
  }

  /** Aborts the signals of the handlers of one call. */
  cancel(id: ByteString): void {
    const running = this.#all.get(id);
    const twins = this.#twins.get(id);
    if (running === undefined && twins === undefined) return;
    const reason = new RpcError("canceled", "The caller has canceled the call");
    running?.abort(reason);
    for (const twin of twins ?? []) twin.abort(reason);
  }

  #unlink(id: ByteString, twin: RunningRequest): void {
    const twins = this.#twins.get(id);
    twins?.delete(twin);
    if (twins?.size === 0) this.#twins.delete(id);
  }
}
