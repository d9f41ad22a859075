import { type RpcCode, RpcError } from "../contract/errors.ts";
import type { Headers } from "../contract/headers.ts";
import type { ErrorMap } from "../contract/procedure.ts";
import type { RequestContext } from "../contract/request_context.ts";
import type { WorkerRequest } from "../contract/worker_message.ts";

/** What a handler in a worker process sees of its request. */
export class WorkerContext implements RequestContext<ErrorMap> {
  readonly redelivered: boolean;
  readonly deliveryCount: number | undefined;
  readonly messageId: string | undefined;
  readonly method: string | undefined;
  readonly headers: Headers;
  readonly propagated: Headers;
  readonly replyHeaders: Record<string, string> = {};
  readonly signal: AbortSignal;
  /** Bound, so that a handler may destructure it. */
  readonly callerAlive: () => Promise<boolean>;
  /** When its caller stops waiting, on the clock of `performance.now()`. */
  readonly #endsAt: number | undefined;

  constructor(request: WorkerRequest, signal: AbortSignal, callerAlive: () => Promise<boolean>) {
    this.#endsAt = request.left === undefined ? undefined : performance.now() + request.left;
    this.redelivered = request.redelivered;
    this.deliveryCount = request.deliveryCount;
    this.messageId = request.messageId;
    this.method = request.method;
    this.headers = Object.freeze(request.headers);
    this.propagated = Object.freeze(request.propagated);
    this.signal = signal;
    this.callerAlive = callerAlive;
  }

  get deadline(): Date | undefined {
    return this.#endsAt === undefined ? undefined : new Date(Date.now() + this.#endsAt - performance.now());
  }

  get error(): (code: RpcCode, details: unknown, message?: string) => RpcError {
    return (code, details, message = `The request was refused: ${code}`) => new RpcError(code, message, { details });
  }
}
