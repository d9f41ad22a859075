import type { ConfirmChannel, ConsumeMessage } from "amqplib";
import { Acks } from "./acks.ts";
import { decodeBody, encodeBody } from "./codec.ts";
import type { Connection, KeptChannel } from "./connection.ts";
import { RpcError, type RpcOutcome, withOutcome } from "./errors.ts";
import type { ServerEvent } from "./events.ts";
import { type Procedure, queueArguments } from "./procedure.ts";
import { checkEncoding, encodeError, isServerNamed, readRequest } from "./protocol.ts";
import type { Replies, ReplyFate } from "./replies.ts";
import { deadlineError, type RequestContext, Running } from "./running.ts";

/** Runs one request and gives its result. */
export type Handler<Request, Reply> = (request: Request, context: RequestContext) => Reply | Promise<Reply>;

/** What a service needs of its server. */
export interface ServiceHost {
  readonly connection: Connection;
  readonly replies: Replies;
  /** Whether a reply may go to a queue that the broker has not named. */
  acceptReplyTo(name: string): boolean;
  /** Whether the caller has taken this call back. */
  isCanceled(id: string | undefined): boolean;
  /** The earliest time at which what is read now may have arrived. */
  arrivedAfter(): number;
  callerAlive(replyTo: string): Promise<boolean>;
  emit(event: ServerEvent): void;
}

/** How long a reply to a caller without deadline is worth sending, in ms. */
const REPLY_PATIENCE_MS = 60_000;

/** One procedure, served over one channel: consume, run, reply, ack. */
export class Service<RequestIn, RequestOut, ReplyIn, ReplyOut> {
  readonly #procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>;
  readonly #handler: Handler<RequestOut, ReplyIn>;
  readonly #host: ServiceHost;
  readonly #running = new Set<Running>();
  #arrived: Running[] = [];
  #kept: KeptChannel | undefined;
  #acks: Acks | undefined;
  #consumerTag: string | undefined;
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
    handler: Handler<RequestOut, ReplyIn>,
    host: ServiceHost,
  ) {
    this.#procedure = procedure;
    this.#handler = handler;
    this.#host = host;
  }

  /** The name of its queue. */
  get queue(): string {
    return this.#procedure.queue;
  }

  /** How many requests it has taken and not answered. */
  get size(): number {
    return this.#running.size;
  }

  /** Declares the queue and consumes it, now and after every loss. */
  async start(prefetch: number): Promise<void> {
    this.#kept = await this.#host.connection.keep({
      setup: async (channel) => {
        await this.#declare();
        await channel.prefetch(prefetch);
        const acks = this.#acks = new Acks(channel);
        this.#consumerTag = undefined;
        if (this.#stopped) return;
        const { consumerTag } = await channel.consume(this.queue, (message) => this.#deliver(message, channel, acks));
        this.#consumerTag = consumerTag;
        // It may have been stopped meanwhile, when there was nothing to cancel yet.
        if (this.#stopped) await channel.cancel(consumerTag);
      },
    });
  }

  /** Takes no more requests. */
  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      if (this.#consumerTag !== undefined) await this.#kept?.current?.cancel(this.#consumerTag);
    } catch {
      // The channel is gone, and the consumer with it.
    }
  }

  /** Resolves when all that was taken is answered and acknowledged. */
  async idle(): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#acks?.flush();
  }

  /** Tells every handler, or those of one call, to stop. */
  abort(reason: RpcError, id?: string): void {
    for (const running of this.#running) {
      if (id === undefined || running.meta.correlationId === id) running.abort(reason);
    }
  }

  /** An existing queue is used as it is, whatever its arguments. */
  async #declare(): Promise<void> {
    const { queue, queueType } = this.#procedure;
    const { connection } = this.#host;
    const declared = { durable: queueType !== "transient", arguments: queueArguments(this.#procedure) };
    try {
      await connection.borrow((channel) => channel.assertQueue(queue, declared));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const exists = error.code === "failed_precondition";
      const forbidden = error.code === "permission_denied";
      if (!exists && !forbidden) throw error;
      // Declaring needs more rights than using: 403 may still leave a queue to use, 405 does not.
      if (forbidden && !await connection.borrow((channel) => channel.checkQueue(queue)).then(() => true, () => false)) {
        throw error;
      }
      this.#host.emit({ type: "adopted_queue", queue, reason: error.message });
    }
  }

  #deliver(message: ConsumeMessage | null, channel: ConfirmChannel, acks: Acks): void {
    if (message === null) {
      this.#host.emit({ type: "consumer_canceled", queue: this.queue });
      if (!this.#stopped) channel.close().catch(() => {});
      return;
    }
    const meta = readRequest(message.properties);
    const { replyTo } = meta;
    if (replyTo === "" || !(isServerNamed(replyTo) || this.#host.acceptReplyTo(replyTo))) {
      const reason = replyTo === ""
        ? "it has no reply_to"
        : `its reply_to "${replyTo}" was not named by the broker; the server's 'replyTo' option can allow it`;
      acks.reject(message, false);
      this.#host.emit({ type: "rejected_request", queue: this.queue, reason });
      return;
    }
    const arrivedAfter = this.#host.arrivedAfter();
    const running = new Running(message, meta, acks, arrivedAfter, (name) => this.#host.callerAlive(name));
    this.#running.add(running);
    // All of one read are noted before the first is run, so that a handler that blocks does not hide their age.
    if (this.#arrived.push(running) === 1) queueMicrotask(() => this.#startArrived());
  }

  #startArrived(): void {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const running of arrived) this.#run(running);
  }

  async #run(running: Running): Promise<void> {
    const { messageId } = running.meta;
    if (running.whyAborted !== undefined || this.#host.isCanceled(running.meta.correlationId)) {
      this.#host.emit({ type: "canceled_request", queue: this.queue, messageId });
      this.#end(running);
      return;
    }
    if (running.endsAtTheEarliest <= performance.now()) {
      this.#expired(running);
      return;
    }
    let reply: RpcError | { readonly body: Uint8Array };
    try {
      reply = await this.#answer(running);
    } catch (error) {
      reply = this.#internal(error);
    }
    running.end();
    const why = running.whyAborted;
    if (why === "canceled" || why === "deadline_exceeded") {
      const type = why === "canceled" ? "canceled_request" : "expired_request";
      this.#host.emit({ type, queue: this.queue, messageId });
      this.#end(running);
    } else if (why === "unavailable" && reply instanceof RpcError) {
      // Stopped by the shutdown: not acknowledged, so another server gets it.
      this.#forget(running);
    } else {
      this.#reply(running, reply);
    }
  }

  /** What was read late may have expired meanwhile: the broker knows. */
  #expired(running: Running): void {
    const { messageId } = running.meta;
    const { queue, idempotent } = this.#procedure;
    if (running.endsAt <= performance.now()) {
      this.#host.emit({ type: "expired_request", queue, messageId });
      this.#end(running);
    } else if (idempotent === false) {
      const text = `Cannot run the request of "${queue}": its server stood still, and it may have expired meanwhile`;
      this.#reply(
        running,
        new RpcError("aborted", text, { outcome: running.redelivered ? "unknown" : "not_executed" }),
      );
    } else {
      this.#host.emit({ type: "returned_request", queue, messageId });
      running.acks.reject(running.message, true);
      this.#forget(running);
    }
  }

  /** The handler's result, or the refusal to run it. */
  async #answer(running: Running): Promise<RpcError | { readonly body: Uint8Array }> {
    const { request, reply, idempotent, maxDeliveries } = this.#procedure;
    const refused = running.redelivered ? "unknown" : "not_executed";
    if (idempotent === false && running.redelivered) {
      const text = `Cannot run the request of "${this.queue}" again: it may have run before, and may run but once`;
      return new RpcError("aborted", text, { outcome: "unknown" });
    }
    if ((running.deliveryCount ?? 0) >= maxDeliveries) {
      running.poisonous = true;
      const text = `Cannot run the request of "${this.queue}" again: it was delivered ${running.deliveryCount} times ` +
        `without an answer, at most ${maxDeliveries} are allowed`;
      return new RpcError("aborted", text, { outcome: "unknown" });
    }
    let value: RequestOut;
    try {
      checkEncoding(running.message.properties, "request");
      const decoded = decodeBody(request, running.message.content, "request");
      value = decoded instanceof Promise ? await decoded : decoded;
    } catch (error) {
      return error instanceof RpcError ? withOutcome(error, refused) : this.#internal(error, refused);
    }
    // An asynchronous validator may have taken longer than the caller waits.
    if (running.endsAt <= performance.now()) running.abort(deadlineError());
    if (running.whyAborted !== undefined) return new RpcError(running.whyAborted, "Nobody waits any more");
    let result: ReplyIn;
    try {
      // Called as a function, so that `this` shows it nothing.
      const handler = this.#handler;
      const returned = handler(value, running);
      result = returned instanceof Promise ? await returned : returned;
    } catch (error) {
      if (!(error instanceof RpcError)) return this.#internal(error);
      // The outcome of a nested call is not the outcome of this one.
      return withOutcome(error, "executed");
    }
    try {
      return { body: encodeBody(reply, result, "reply") };
    } catch (error) {
      return this.#internal(error);
    }
  }

  /** What an unknown exception says stays here. */
  #internal(error: unknown, outcome: RpcOutcome = "executed"): RpcError {
    const id = crypto.randomUUID();
    this.#host.emit({ type: "handler_error", queue: this.queue, id, error });
    return new RpcError("internal", `The server failed, its log says why under id ${id}`, { outcome, id });
  }

  #reply(running: Running, reply: RpcError | { readonly body: Uint8Array }): void {
    const isError = reply instanceof RpcError;
    this.#host.replies.send({
      meta: running.meta,
      body: isError ? encodeError(reply) : reply.body,
      contentType: isError ? "application/json" : this.#procedure.reply.contentType,
      isError,
      deadline: Math.min(running.endsAt, performance.now() + REPLY_PATIENCE_MS),
      done: (fate) => this.#replied(running, fate),
    });
  }

  #replied(running: Running, fate: ReplyFate): void {
    const { messageId } = running.meta;
    if (fate === "returned") this.#host.emit({ type: "caller_left", queue: this.queue, messageId });
    if (fate === "dropped") this.#host.emit({ type: "reply_dropped", queue: this.queue, messageId });
    this.#end(running);
  }

  #end(running: Running): void {
    running.end();
    // Rejected, it goes to the dead-letter exchange where there is one.
    if (running.poisonous) running.acks.reject(running.message, false);
    else running.acks.ack(running.message);
    this.#forget(running);
  }

  #forget(running: Running): void {
    this.#running.delete(running);
    if (this.#running.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
