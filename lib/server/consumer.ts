import type { ConfirmChannel, ConsumeMessage } from "amqplib";
import { AckBatcher } from "./ack_batcher.ts";
import { decodeBody, encodeBody } from "../contract/codec.ts";
import type { Connection, KeptChannel } from "../connection/connection.ts";
import { RpcError, type RpcOutcome, withOutcome } from "../contract/errors.ts";
import type { ServerEvent } from "../connection/events.ts";
import { settlesWithin } from "../connection/handshake.ts";
import { type Procedure, queueArguments } from "../contract/procedure.ts";
import { checkEncoding, encodeError, isDirect, isServerNamed, readRequest } from "../wire/protocol.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import type { ReplyFate, ReplyPublisher } from "./reply_publisher.ts";
import { deadlineError, type RequestContext, RunningRequest } from "./request_context.ts";

/** Runs one request and gives its result. */
export type Handler<Request, Reply> = (request: Request, context: RequestContext) => Reply | Promise<Reply>;

/** What a service needs of its server. */
export interface ConsumerHost {
  readonly connection: Connection;
  readonly replies: ReplyPublisher;
  readonly directReplies: DirectReplyPublisher;
  /** Whether a reply may go to a queue that the broker has not named. */
  acceptReplyTo(name: string): boolean;
  /** Whether the caller has taken this call back. */
  isCanceled(id: string | undefined): boolean;
  /** The earliest time at which what is read now may have arrived. */
  arrivedAfter(): number;
  callerAlive(replyTo: string): Promise<boolean>;
  emit(event: ServerEvent): void;
}

/** What a request is answered with. */
type Answer = RpcError | { readonly body: Uint8Array };

type RequestEvent = Exclude<
  Extract<ServerEvent, { readonly messageId: string | undefined }>,
  { readonly reason: string }
>;

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** How long a reply to a caller without deadline is worth sending, in ms. */
const REPLY_PATIENCE_MS = 60_000;
/** How long a deleted queue stays away, in ms, so that clients that publish learn what was lost with it. */
const ABSENCE_MS = 100;
/** How long a consumer is kept, at the most, until the broker has no more to send, in ms. */
const CANCEL_PATIENCE_MS = 250;

/** One procedure, served over one channel: consume, run, reply, ack. */
export class Consumer<RequestIn, RequestOut, ReplyIn, ReplyOut> {
  readonly #procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>;
  readonly #handler: Handler<RequestOut, ReplyIn>;
  readonly #host: ConsumerHost;
  readonly #running = new Set<RunningRequest>();
  #arrived: RunningRequest[] = [];
  #kept: KeptChannel | undefined;
  #acks: AckBatcher | undefined;
  #consumerTag: string | undefined;
  #stopped = false;
  #prefetch = 0;
  /** Whether the queue was deleted, or at least its consumer ended. */
  #deleted = false;
  /** Whether it was told that the queue is used as it is. */
  #adopted = false;
  #idle: (() => void)[] = [];

  constructor(
    procedure: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
    handler: Handler<RequestOut, ReplyIn>,
    host: ConsumerHost,
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
    this.#prefetch = prefetch;
    this.#kept = await this.#host.connection.keep({
      action: `serve "${this.queue}"`,
      setup: async (channel) => {
        if (this.#deleted) await this.#host.connection.sleep(ABSENCE_MS);
        this.#deleted = false;
        await this.#declare();
        await channel.prefetch(prefetch);
        const acks = this.#acks = new AckBatcher(channel);
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
    const acks = this.#acks;
    if (this.#consumerTag === undefined || acks === undefined) return;
    // What is on its way when a consumer is canceled comes back as redelivered, which these may not be.
    if (this.#procedure.idempotent === false) {
      await settlesWithin(acks.hold(this.#prefetch), CANCEL_PATIENCE_MS);
    }
    try {
      await this.#kept?.current?.cancel(this.#consumerTag);
    } catch {
      // The channel is gone, and the consumer with it.
    }
    acks.release();
  }

  /** Resolves when all that was taken is answered and acknowledged. */
  async idle(): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.flush();
  }

  /** Acknowledges what has ended, at once. */
  flush(): void {
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
    const action = `declare queue "${queue}"`;
    try {
      await connection.borrow(action, (channel) => channel.assertQueue(queue, declared));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      // 406: it exists with other arguments. 403: declaring needs more rights than using.
      if (error.code !== "failed_precondition" && error.code !== "permission_denied") throw error;
      const exists = connection.borrow(action, (channel) => channel.checkQueue(queue)).then(() => true, () => false);
      if (!await exists) throw error;
      if (this.#adopted) return;
      this.#adopted = true;
      this.#host.emit({ type: "adopted_queue", queue, reason: error.message });
    }
  }

  #deliver(message: ConsumeMessage | null, channel: ConfirmChannel, acks: AckBatcher): void {
    if (message === null) {
      this.#host.emit({ type: "consumer_canceled", queue: this.queue });
      this.#deleted = true;
      if (!this.#stopped) channel.close().catch(() => {});
      return;
    }
    acks.delivered();
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
    const running = new RunningRequest(message, meta, acks, arrivedAfter, (name) => this.#host.callerAlive(name));
    this.#running.add(running);
    // All of one read are noted before the first is run, so that a handler that blocks does not hide their age.
    if (this.#arrived.push(running) === 1) queueMicrotask(() => this.#startArrived());
  }

  #startArrived(): void {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const running of arrived) this.#run(running);
  }

  /** Neither this nor what follows is an async function: most handlers answer at once, and then nothing waits. */
  #run(running: RunningRequest): void {
    if (running.whyAborted !== undefined || this.#host.isCanceled(running.meta.correlationId)) {
      this.#tell("canceled_request", running);
      this.#end(running);
    } else if (running.endsAtTheEarliest <= performance.now()) {
      this.#expired(running);
    } else {
      const refusal = this.#refusal(running);
      if (refusal === undefined) this.#decode(running);
      else this.#finish(running, refusal);
    }
  }

  /** What was read late may have expired meanwhile: the broker knows. */
  #expired(running: RunningRequest): void {
    const { queue, idempotent } = this.#procedure;
    if (running.endsAt <= performance.now()) {
      this.#tell("expired_request", running);
      this.#end(running);
    } else if (idempotent === false) {
      const text = `Cannot run the request of "${queue}": its server stood still, and it may have expired meanwhile`;
      this.#reply(
        running,
        new RpcError("aborted", text, { outcome: running.redelivered ? "unknown" : "not_executed" }),
      );
    } else {
      this.#tell("returned_request", running);
      running.acks.reject(running.message, true);
      this.#forget(running);
    }
  }

  /** Why a request that was delivered before is not run again, if it is not. */
  #refusal(running: RunningRequest): RpcError | undefined {
    const { idempotent, maxDeliveries } = this.#procedure;
    let why: string;
    if (idempotent === false && running.redelivered) {
      why = "it may have run before, and may run but once";
    } else if ((running.deliveryCount ?? 0) >= maxDeliveries) {
      running.poisonous = true;
      why = `it was delivered ${running.deliveryCount} times without an answer, at most ${maxDeliveries} are allowed`;
    } else {
      return undefined;
    }
    return new RpcError("aborted", `Cannot run the request of "${this.queue}" again: ${why}`, { outcome: "unknown" });
  }

  #decode(running: RunningRequest): void {
    let value: RequestOut | Promise<RequestOut>;
    try {
      checkEncoding(running.message.properties, "request");
      value = decodeBody(this.#procedure.request, running.message.content, "request");
    } catch (error) {
      this.#undecodable(running, error);
      return;
    }
    if (value instanceof Promise) {
      value.then((decoded) => this.#handle(running, decoded), (error) => this.#undecodable(running, error));
    } else {
      this.#handle(running, value);
    }
  }

  #undecodable(running: RunningRequest, error: unknown): void {
    const outcome = running.redelivered ? "unknown" : "not_executed";
    this.#finish(running, error instanceof RpcError ? withOutcome(error, outcome) : this.#internal(error, outcome));
  }

  #handle(running: RunningRequest, value: RequestOut): void {
    // An asynchronous validator may have taken longer than the caller waits.
    if (running.endsAt <= performance.now()) running.abort(deadlineError());
    if (running.whyAborted !== undefined) {
      this.#finish(running, new RpcError(running.whyAborted, "Nobody waits any more"));
      return;
    }
    // Called as a function, so that `this` shows it nothing.
    const handler = this.#handler;
    let result: ReplyIn | PromiseLike<ReplyIn>;
    try {
      result = handler(value, running);
    } catch (error) {
      this.#throw(running, error);
      return;
    }
    if (isThenable(result)) {
      Promise.resolve(result).then((reply) => this.#succeed(running, reply), (error) => this.#throw(running, error));
    } else {
      this.#succeed(running, result);
    }
  }

  #succeed(running: RunningRequest, result: ReplyIn): void {
    let body: Uint8Array;
    try {
      body = encodeBody(this.#procedure.reply, result, "reply");
    } catch (error) {
      this.#finish(running, this.#internal(error));
      return;
    }
    this.#finish(running, { body });
  }

  /** The outcome of a nested call is not the outcome of this one. */
  #throw(running: RunningRequest, error: unknown): void {
    this.#finish(running, error instanceof RpcError ? withOutcome(error, "executed") : this.#internal(error));
  }

  #finish(running: RunningRequest, reply: Answer): void {
    running.end();
    const why = running.whyAborted;
    if (why === "canceled" || why === "deadline_exceeded" || running.endsAt <= performance.now()) {
      this.#tell(why === "canceled" ? "canceled_request" : "expired_request", running);
      this.#end(running);
    } else if (why === "unavailable" && reply instanceof RpcError) {
      // Stopped by the shutdown: not acknowledged, so another server gets it.
      this.#forget(running);
    } else {
      this.#reply(running, reply);
    }
  }

  /** What an unknown exception says stays here. */
  #internal(error: unknown, outcome: RpcOutcome = "executed"): RpcError {
    const id = crypto.randomUUID();
    this.#host.emit({ type: "handler_error", queue: this.queue, id, error });
    return new RpcError("internal", `The server failed, its log says why under id ${id}`, { outcome, id });
  }

  #reply(running: RunningRequest, reply: Answer): void {
    const isError = reply instanceof RpcError;
    const direct = isDirect(running.meta.replyTo);
    // At most once: what has cost a connection is not delivered again, to do the same.
    if (direct) this.#end(running);
    const { replies, directReplies } = this.#host;
    (direct ? directReplies : replies).send({
      meta: running.meta,
      body: isError ? encodeError(reply) : reply.body,
      contentType: isError ? "application/json" : this.#procedure.reply.contentType,
      isError,
      deadline: Math.min(running.endsAt, performance.now() + REPLY_PATIENCE_MS),
      done: (fate, why) => this.#replied(running, fate, why),
    });
  }

  #replied(running: RunningRequest, fate: ReplyFate, why: string): void {
    if (fate === "returned") this.#tell("caller_left", running);
    if (fate === "dropped") {
      const { messageId } = running.meta;
      this.#host.emit({ type: "reply_dropped", queue: this.queue, messageId, reason: why });
    }
    if (!isDirect(running.meta.replyTo)) this.#end(running);
  }

  #tell(type: RequestEvent["type"], { meta: { messageId } }: RunningRequest): void {
    this.#host.emit({ type, queue: this.queue, messageId });
  }

  #end(running: RunningRequest): void {
    running.end();
    // Rejected, it goes to the dead-letter exchange where there is one.
    if (running.poisonous) running.acks.reject(running.message, false);
    else running.acks.ack(running.message);
    this.#forget(running);
  }

  #forget(running: RunningRequest): void {
    this.#running.delete(running);
    if (this.#running.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
