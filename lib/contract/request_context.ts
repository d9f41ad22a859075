import type { RpcCode, RpcError } from "./errors.ts";
import type { Headers } from "./headers.ts";
import type { ErrorMap, NoErrors } from "./procedure.ts";
import type { DetailsIn } from "./typed_error.ts";

/**
 * The type of a code where a procedure declares no errors: it has no values, and the compiler's message names it. Declare
 * the code with the option `errors`, or throw an `RpcError`.
 */
export type NoErrorsDeclared = RpcCode & { readonly declared: never };

/** What a handler knows about its request. */
export interface RequestContext<Errors extends ErrorMap = NoErrors> {
  /**
   * Aborted at the deadline, when the caller cancels the call, or when the server
   * shuts down and its `drainTimeout` has passed. Its reason is an `RpcError`:
   * `deadline_exceeded`, `canceled` or `unavailable`.
   */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, at the latest; absent for a client that sets no expiration. */
  readonly deadline: Date | undefined;
  /** Whether the request may have been delivered before. */
  readonly redelivered: boolean;
  /**
   * How often it was delivered before without being answered; absent for the
   * first delivery, and on classic queues, which do not count. It is the larger
   * of the broker's two counts: `x-delivery-count`, which before RabbitMQ 4.3
   * counts every delivery, and from 4.3 on only those that ended in a lost
   * channel or a reject; and `x-acquired-count`, which from 4.3 on counts every
   * delivery (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
   */
  readonly deliveryCount: number | undefined;
  /** The call's identity, the same in every retry; absent for clients that send none. */
  readonly messageId: string | undefined;
  /** The method of a service; absent for a procedure with a queue of its own. */
  readonly method: string | undefined;
  /** The headers that the caller sent, frozen. */
  readonly headers: Headers;
  /** Those of `headers` that the server's option `propagate` names; calls with this context as `parent` send them too. */
  readonly propagated: Headers;
  /** The headers of the reply; set them before the handler ends. The rules of `CallOptions.headers` apply. */
  readonly replyHeaders: Record<string, string>;
  /**
   * Creates an error that was declared with the procedure; throw it.
   *
   * @param code One of the declared codes.
   * @param details The details, as the codec of that code takes them; validated before they are sent.
   * @param message What failed; a text with the code if absent.
   * @returns The error.
   */
  error<Code extends keyof Errors & RpcCode>(
    code: [keyof Errors & RpcCode] extends [never] ? NoErrorsDeclared : Code,
    details: DetailsIn<Errors[Code]>,
    message?: string,
  ): RpcError;
  /**
   * Asks the broker whether the caller's reply queue still exists, for use before
   * expensive work. Takes one round trip; `true` if the broker cannot be asked, and
   * for direct reply-to.
   */
  callerAlive(): Promise<boolean>;
}

/** The part of a handler's context that a nested call uses. */
export type ParentContext = Pick<RequestContext, "signal" | "deadline" | "propagated">;
