import type { RpcCode, RpcError } from "../contract/errors.ts";
import type { Headers } from "../contract/headers.ts";
import type { ErrorMap } from "../contract/procedure.ts";
import type { RequestContext } from "../contract/request_context.ts";
import { errorWithDetails } from "../contract/typed_error.ts";
import type { RunningRequest } from "./running_request.ts";

/**
 * What a handler sees of its request, and nothing else: interceptors add properties to this object, which must not
 * replace what the server itself needs. Functions are bound, so that a handler may destructure it.
 */
export class HandlerContext implements RequestContext<ErrorMap> {
  readonly #running: RunningRequest;

  constructor(running: RunningRequest) {
    this.#running = running;
  }

  get signal(): AbortSignal {
    return this.#running.signal;
  }

  get deadline(): Date | undefined {
    return this.#running.deadline;
  }

  get redelivered(): boolean {
    return this.#running.redelivered;
  }

  get deliveryCount(): number | undefined {
    return this.#running.deliveryCount;
  }

  get messageId(): string | undefined {
    return this.#running.messageId;
  }

  get method(): string | undefined {
    return this.#running.method;
  }

  get headers(): Headers {
    return this.#running.headers;
  }

  get propagated(): Headers {
    return this.#running.propagated;
  }

  get replyHeaders(): Record<string, string> {
    return this.#running.replyHeaders;
  }

  get error(): (code: RpcCode, details: unknown, message?: string) => RpcError {
    return errorWithDetails;
  }

  get callerAlive(): () => Promise<boolean> {
    return () => this.#running.callerAlive();
  }
}
