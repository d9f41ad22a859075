import type { RpcCode, RpcError } from "./errors.ts";
import type { Headers } from "./headers.ts";
import type { ErrorMap, NoErrors } from "./procedure.ts";
import type { DetailsIn } from "./typed_error.ts";

/** What a handler is told about its request. */
export interface RequestContext<Errors extends ErrorMap = NoErrors> {
  /**
   * Aborted when nobody waits any more: at the deadline, when the caller took
   * the call back, or when the server shuts down and its `drainTimeout` has passed.
   * Its reason is an `RpcError`.
   */
  readonly signal: AbortSignal;
  /** Until when the caller waits at the most; absent for a client that sets no expiration. */
  readonly deadline: Date | undefined;
  /** Whether the request may have been delivered before. */
  readonly redelivered: boolean;
  /** How often it was delivered before; counted by quorum queues alone. */
  readonly deliveryCount: number | undefined;
  /** The call's identity, the same over every retry of it; absent for plain clients. */
  readonly messageId: string | undefined;
  /** The method of a service; absent for a procedure with a queue of its own. */
  readonly method: string | undefined;
  /** The headers that the caller sent, frozen. */
  readonly headers: Headers;
  /** Those of `headers` that the server's option `propagate` names; they go along with calls that name this as `parent`. */
  readonly propagated: Headers;
  /** The headers of the reply; what is set here until the handler ends goes to the caller. */
  readonly replyHeaders: Record<string, string>;
  /**
   * Makes an error that was declared with the procedure, to be thrown.
   *
   * @param code One of the declared codes.
   * @param details What the code was declared with; validated before it is sent.
   * @param message For a person; made of the code if absent.
   */
  error<Code extends keyof Errors & RpcCode>(code: Code, details: DetailsIn<Errors[Code]>, message?: string): RpcError;
  /**
   * Asks the broker whether the caller is still there, before expensive work.
   * One round trip; `true` if the broker cannot be asked.
   */
  callerAlive(): Promise<boolean>;
}
