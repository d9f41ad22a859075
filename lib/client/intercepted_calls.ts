import { DeadlineTimers } from "../contract/deadline_timers.ts";
import { markAsCallError, RpcError } from "../contract/errors.ts";
import { checkHeaders } from "../contract/headers.ts";
import { compose, type InterceptedCall, type Interceptor } from "../contract/interceptor.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import { AbortListeners } from "./abort_listeners.ts";
import { Attempts } from "./attempts.ts";
import type { ReadyCallOptions } from "./call_options.ts";

/** How long the interceptors may take after the last attempt, once the deadline has passed, in ms. */
const GRACE_MS = 100;

/** What calls with interceptors need from their client. */
export interface InterceptedCallsHost {
  /** The `host:port` of the broker. */
  readonly broker: string | undefined;
  /** Makes one attempt. */
  call(procedure: AnyProcedure, request: unknown, options: ReadyCallOptions): Promise<unknown>;
  /** A call has ended without any attempt, after `duration` ms; without an error, an interceptor gave the result. */
  endedUnsent(procedure: AnyProcedure, messageId: string, duration: number, error: RpcError | undefined): void;
}

/** One call in progress. */
interface Intercepted {
  readonly queue: string;
  readonly attempts: Attempts;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Ends the call, if it has not ended. */
  readonly stop: (error: RpcError) => void;
  graceTimer: ReturnType<typeof setTimeout> | undefined;
}

/** Calls around which interceptors run. Each ends at its deadline or its signal, whatever its interceptors wait for. */
export class InterceptedCalls {
  readonly #host: InterceptedCallsHost;
  readonly #deadlines = new DeadlineTimers<Intercepted>((call) => this.#expired(call));
  readonly #signals = new AbortListeners<Intercepted>((call) => this.#aborted(call));
  readonly #open = new Set<Intercepted>();
  readonly #waiting: (() => void)[] = [];

  constructor(host: InterceptedCallsHost) {
    this.#host = host;
  }

  /** How many calls have not ended, and have no attempt in flight: those count where they are pending. */
  get size(): number {
    let size = 0;
    for (const { attempts } of this.#open) if (attempts.inFlight === 0) size++;
    return size;
  }

  /**
   * Makes a call through its interceptors; rejects with an {@linkcode RpcError} only.
   *
   * @throws {RpcError} `canceled` if its signal is already aborted.
   */
  run(
    interceptors: readonly Interceptor[],
    procedure: AnyProcedure,
    request: unknown,
    options: ReadyCallOptions,
  ): Promise<unknown> {
    const { queue, method } = procedure;
    const { timeout, signal } = options;
    const startedAt = performance.now();
    const deadline = startedAt + timeout;
    // One identity for all attempts.
    const messageId = crypto.randomUUID();
    const attempts = new Attempts(procedure, (call) => this.#attempt(procedure, call, deadline, messageId, options));
    const guard = Promise.withResolvers<void>();
    const intercepted: Intercepted = {
      queue,
      attempts,
      deadline,
      timeout,
      signal,
      stop: guard.reject,
      graceTimer: undefined,
    };
    if (signal?.aborted) throw canceled(intercepted);
    this.#open.add(intercepted);
    this.#deadlines.add(intercepted, timeout);
    this.#signals.add(intercepted);
    const call: InterceptedCall = {
      side: "client",
      queue,
      method,
      request,
      headers: Object.freeze(Object.fromEntries(options.headers ?? [])),
      signal,
      deadline: new Date(Date.now() + timeout),
      messageId,
      correlationId: undefined,
      broker: this.#host.broker,
      parent: options.parent,
      context: undefined,
      arrivedAt: undefined,
      onAnswer: undefined,
    };
    const ended = (error: RpcError | undefined): void => {
      this.#end(intercepted);
      if (attempts.made === 0) this.#host.endedUnsent(procedure, messageId, performance.now() - startedAt, error);
    };
    const replied = through(interceptors, attempts, call).then((reply) => {
      guard.resolve();
      return reply;
    });
    // Promise.all(), because V8 finds the caller's frames through it, and not through Promise.race().
    return Promise.all([replied, guard.promise]).then(([reply]) => {
      ended(undefined);
      return reply;
    }, (thrown) => {
      const error = errorOf(thrown, intercepted);
      markAsCallError(error);
      ended(error);
      throw error;
    });
  }

  /** Resolves when all calls have ended. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Ends the calls that are left, whatever their interceptors wait for. */
  close(): void {
    for (const { queue, attempts: { outcome }, stop } of this.#open) {
      stop(new RpcError("canceled", `The call of "${queue}" did not end before the client was closed`, { outcome }));
    }
    this.#deadlines.clear();
  }

  #attempt(
    procedure: AnyProcedure,
    { request, headers, signal }: InterceptedCall,
    deadline: number,
    messageId: string,
    options: ReadyCallOptions,
  ): Promise<unknown> {
    const list = checkHeaders(headers, "call");
    const timeout = Math.ceil(deadline - performance.now());
    if (timeout <= 0) {
      const text = `Cannot call "${procedure.queue}": the deadline passed before its interceptors continued`;
      throw new RpcError("deadline_exceeded", text, { outcome: "not_executed" });
    }
    return this.#host.call(procedure, request, { ...options, timeout, signal, headers: list, messageId });
  }

  #expired(call: Intercepted): void {
    this.#stop(call, () => {
      const { queue, timeout, attempts: { outcome } } = call;
      const text = `The call of "${queue}" did not end within ${timeout} ms: its interceptors have not continued`;
      return new RpcError("deadline_exceeded", text, { outcome });
    });
  }

  #aborted(call: Intercepted): void {
    this.#stop(call, () => canceled(call));
  }

  /** An attempt in flight ends by itself, with an error that says more. */
  #stop(call: Intercepted, makeError: () => RpcError): void {
    const { attempts, stop } = call;
    if (attempts.inFlight === 0) return stop(makeError());
    // Once: an interceptor that goes on to call `next` would put off the end again and again.
    attempts.onIdle = () => {
      call.graceTimer ??= setTimeout(() => stop(makeError()), GRACE_MS);
    };
  }

  #end(call: Intercepted): void {
    call.attempts.onIdle = undefined;
    clearTimeout(call.graceTimer);
    this.#deadlines.delete(call, call.timeout);
    this.#signals.delete(call);
    this.#open.delete(call);
    if (this.#open.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function canceled({ queue, signal, attempts: { outcome } }: Intercepted): RpcError {
  return new RpcError("canceled", `The call of "${queue}" was canceled by its signal`, {
    outcome,
    cause: signal?.reason,
  });
}

/** Runs the interceptors; what they throw before their first wait rejects the promise too. */
function through(interceptors: readonly Interceptor[], { next }: Attempts, call: InterceptedCall): Promise<unknown> {
  try {
    return Promise.resolve(compose(interceptors, next)(call));
  } catch (error) {
    return Promise.reject(error);
  }
}

function errorOf(thrown: unknown, { queue, attempts: { outcome } }: Intercepted): RpcError {
  if (thrown instanceof RpcError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const text = `An interceptor of the client failed the call of "${queue}": ${reason}`;
  return new RpcError("internal", text, { outcome, cause: thrown });
}
