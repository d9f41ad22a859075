import { backoffDelay } from "../connection/backoff.ts";
import type { Connection } from "../connection/connection.ts";
import { emitTo } from "../events/event_listener.ts";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError, withOutcome } from "../contract/errors.ts";
import type { AnyProcedure } from "../contract/procedure.ts";
import { fromByteString } from "../wire/byte_string.ts";
import { isClockQuestion } from "../wire/clock_message.ts";
import type { Delivery } from "../wire/message.ts";
import { readStringHeaders } from "../wire/string_headers.ts";
import type { ReadyCallOptions } from "./call_options.ts";
import { CalledQueues } from "./called_queues.ts";
import { CancelPublisher } from "./cancel_publisher.ts";
import { PendingCall } from "./pending_call.ts";
import { PendingCalls } from "./pending_calls.ts";
import { QueueInspector } from "./queue_inspector.ts";
import { readReply } from "./read_reply.ts";
import { RequestPublisher } from "./request_publisher.ts";

/** Callbacks for calls, besides their promises. */
export interface CallListener {
  /** A call is settled, with an error, or without one if it has a result. */
  settled(call: PendingCall, error: Error | undefined): void;
  /** A reply came that no call waits for. */
  lateReply(correlationId: string | undefined): void;
}

const REFUSED = "the broker refused the request; the queue may be full";
const RETRY = { min: 100, max: 3_000 };

/**
 * Runs a client's calls: writes the request and waits for the reply; if one of them is lost, writes the request again or
 * rejects the call; rejects it at its deadline.
 */
export class CallRunner {
  readonly #connection: Connection;
  readonly #listener: CallListener;
  readonly #pending: PendingCalls;
  readonly #requests: RequestPublisher;
  readonly #inspector: QueueInspector;
  readonly #cancels: CancelPublisher;
  readonly #queues = new CalledQueues();

  constructor(connection: Connection, listener: CallListener) {
    this.#connection = connection;
    this.#listener = listener;
    this.#requests = new RequestPublisher(connection, {
      written: (call) => this.#queues.written(call),
      replied: (reply) => this.#replied(reply),
      returned: (id) => this.#returned(id),
      refused: (call) => this.#refused(call),
      rejected: (call, error) => this.#rejected(call, error),
      requestsLost: (calls, error) => this.#lose(calls, error),
      repliesLost: (error) => this.#lose(this.#pending.values(), error),
      writable: () => this.#cancels.flush(),
    });
    this.#inspector = new QueueInspector(connection);
    this.#cancels = new CancelPublisher(connection);
    this.#pending = new PendingCalls({
      expired: (call) => this.#expire(call),
      aborted: (call) => this.#abort(call),
      left: (call) => this.#queues.landed(call),
      settled: (call, error) => listener.settled(call, error),
    });
  }

  /** Opens the channels for requests and replies. */
  async open(replies: "queue" | "direct", patience?: number): Promise<void> {
    await this.#requests.open(replies, patience);
  }

  /** How many calls have not ended. */
  get size(): number {
    return this.#pending.size;
  }

  /**
   * Makes a call.
   *
   * @throws {RpcError} `canceled` if its signal is already aborted.
   */
  run(procedure: AnyProcedure, body: Uint8Array, options: ReadyCallOptions): Promise<unknown> {
    const call = new PendingCall(this.#pending.ids, procedure, body, options.timeout, options);
    if (options.signal?.aborted) throw this.#canceled(call);
    const settled = this.#pending.add(call);
    if (options.failFast) this.#sendIfConsumed(call);
    else this.#requests.send(call);
    return settled;
  }

  /** Waits for the calls in progress, up to `drainTimeout` ms; those that are left reject with `canceled`. */
  async close(drainTimeout: number): Promise<void> {
    await settlesWithin(this.#pending.idle(), drainTimeout);
    for (const call of Array.from(this.#pending.values())) {
      this.#requests.drop(call);
      this.#cancels.cancel(call);
      this.#fail(call, "canceled", "the client was closed before the call ended");
    }
    this.#pending.close();
    await this.#cancels.close();
  }

  /** Writes the requests and cancels that waited for the end of an alarm. */
  flush(): void {
    this.#requests.flush();
    this.#cancels.flush();
  }

  #rejected(call: PendingCall, error: RpcError): void {
    const text = `Call ${call.id} to "${call.procedure.queue}" was refused: ${error.message}`;
    this.#pending.reject(call, new RpcError(error.code, text, { outcome: call.outcome, cause: error }));
  }

  /** Rejects or repeats calls whose request or reply was lost with a channel. */
  #lose(calls: Iterable<PendingCall>, error: RpcError): void {
    for (const call of Array.from(calls)) {
      if (!call.inFlight || call.over) continue;
      this.#land(call);
      if (call.procedure.idempotent !== true) {
        this.#fail(call, "unavailable", `${error.message}, after the request was sent`, error);
      } else if (error.code === "unavailable") {
        this.#requests.send(call);
      } else if (!this.#requests.sendAlone(call)) {
        this.#retry(call);
      }
    }
  }

  #refused(call: PendingCall): void {
    if (call.over || call.answered) return;
    this.#land(call);
    call.refused = true;
    if (call.procedure.idempotent !== true) {
      this.#fail(call, "resource_exhausted", REFUSED);
      return;
    }
    this.#retry(call);
  }

  #retry(call: PendingCall): void {
    clearTimeout(call.retryTimer);
    call.retryTimer = setTimeout(() => {
      if (!call.answered) this.#requests.send(call);
    }, backoffDelay(call.attempts, RETRY));
  }

  #returned(id: string): void {
    const call = this.#pending.get(id);
    if (call === undefined || call.answered) return;
    const lost = this.#queues.returned(call);
    if (lost !== undefined) {
      // Servers declare the queue again, but the requests that waited in it are lost.
      for (const other of lost) {
        other.inFlight = false;
        this.#retry(other);
      }
      return;
    }
    const text = `Cannot call "${call.procedure.queue}": the queue does not exist, so start a server for it`;
    this.#pending.reject(call, new RpcError("unavailable", text, { outcome: call.outcomeIfLastDidNotRun }));
  }

  #land(call: PendingCall): void {
    call.inFlight = false;
    this.#queues.landed(call);
  }

  #replied(reply: Delivery): void {
    const { properties } = reply;
    const { correlationId } = properties;
    const call = correlationId === undefined ? undefined : this.#pending.get(correlationId);
    if (call === undefined || call.answered) {
      if (isClockQuestion(properties)) {
        this.#cancels.tellClock(properties);
        return;
      }
      const id = correlationId === undefined ? undefined : fromByteString(correlationId);
      this.#listener.lateReply(id);
      return;
    }
    call.answered = true;
    this.#land(call);
    this.#queues.answered(call.procedure.queue);
    if (call.onReplyHeaders !== undefined) {
      const headers = readStringHeaders(properties.headers);
      if (Object.keys(headers).length > 0) emitTo(call.onReplyHeaders, headers);
    }
    const fail = (error: RpcError): void => void this.#pending.reject(call, this.#answered(call, error));
    try {
      const value = readReply(call.procedure, reply);
      if (value instanceof Promise) value.then((decoded) => this.#pending.resolve(call, decoded), fail);
      else this.#pending.resolve(call, value);
    } catch (error) {
      fail(error as RpcError);
    }
  }

  /** The server knows one attempt only; the outcome must cover all attempts. */
  #answered(call: PendingCall, error: RpcError): RpcError {
    if (error.outcome !== "not_executed" || call.outcomeIfLastDidNotRun === "not_executed") return error;
    return withOutcome(error, "unknown");
  }

  #fail(call: PendingCall, code: RpcError["code"], why: string, cause?: unknown): void {
    const text = `Call ${call.id} to "${call.procedure.queue}" failed: ${why}`;
    this.#pending.reject(call, new RpcError(code, text, { outcome: call.outcome, cause }));
  }

  #canceled(call: PendingCall): RpcError {
    const cause = call.signal?.reason;
    const text = `Call ${call.id} to "${call.procedure.queue}" was canceled by its signal`;
    return new RpcError("canceled", text, { outcome: call.outcome, cause });
  }

  #abort(call: PendingCall): void {
    this.#requests.drop(call);
    this.#cancels.cancel(call);
    this.#pending.reject(call, this.#canceled(call));
  }

  async #expire(call: PendingCall): Promise<void> {
    this.#requests.drop(call);
    this.#cancels.cancel(call);
    const blocked = this.#connection.blocked;
    const subject = `Call ${call.id} to "${call.procedure.queue}" did not end within ${call.timeout} ms`;
    if (blocked !== undefined) {
      const text = `${subject}: the broker accepts no messages (${blocked}), free its memory or disk`;
      this.#pending.reject(call, new RpcError("resource_exhausted", text, { outcome: call.outcome }));
      return;
    }
    if (call.refused) {
      this.#fail(call, "resource_exhausted", `${REFUSED}, until its deadline of ${call.timeout} ms`);
      return;
    }
    const found = await this.#inspector.describe(call.procedure.queue);
    this.#pending.reject(call, new RpcError("deadline_exceeded", subject + found, { outcome: call.outcome }));
  }

  async #sendIfConsumed(call: PendingCall): Promise<void> {
    const unserved = await this.#inspector.whyUnserved(call.procedure.queue);
    if (call.over) return;
    if (unserved === undefined) this.#requests.send(call);
    else this.#fail(call, unserved.code, unserved.why, unserved.cause);
  }
}
