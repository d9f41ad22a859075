import type { Channel } from "../connection/channel.ts";
import type { Connection } from "../connection/connection.ts";
import type { ChannelPlan, KeptChannel } from "../connection/kept_channel.ts";
import { settlesWithin } from "../contract/deadline.ts";
import type { RpcError } from "../contract/errors.ts";
import type { Interceptor } from "../contract/interceptor.ts";
import type { ServerFigures } from "../contract/server_info.ts";
import { type ByteString, fromByteString } from "../wire/byte_string.ts";
import type { Delivery } from "../wire/message.ts";
import { messageIdOf, readRequest, type RequestMeta } from "../wire/request_message.ts";
import { AckBatcher } from "./ack_batcher.ts";
import { consumerTimeout, isConsumerTimeout, refusesConsumerTimeout } from "./consumer_timeout.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import { FormerConsumer } from "./former_consumer.ts";
import { declareQueue, isMissing } from "./queue_declaration.ts";
import { QueueFigures } from "./queue_figures.ts";
import type { ReplyPublisher } from "./reply_publisher.ts";
import { type Remembered, RequestMemory } from "./request_memory.ts";
import { type ContextHost, RunningRequest } from "./running_request.ts";
import type { Settlement } from "./request_answers.ts";
import { RequestRunner, type RunnerHost } from "./request_runner.ts";
import { RunningRequests } from "./running_requests.ts";
import { type Served, unimplemented } from "./served.ts";
import type { StallDetector } from "./stall_detector.ts";
import type { ServerEvent } from "../events/server_event.ts";

/** The figures of a queue, without those of the server. */
export type ConsumerFigures = Omit<ServerFigures, "id" | "name" | "version" | "library" | "uptime">;

/** What a consumer needs from its server. */
export interface ConsumerHost extends ContextHost {
  readonly connection: Connection;
  readonly replies: ReplyPublisher;
  readonly directReplies: DirectReplyPublisher;
  /** Whether replies may go to this address. */
  acceptsReplyTo(name: ByteString): boolean | Promise<boolean | undefined>;
  /** Whether the caller has canceled this call. */
  isCanceled(queue: string, id: ByteString): boolean;
  readonly stalls: StallDetector<RunningRequest>;
  readonly interceptors: readonly Interceptor[];
  /** Whether `handled` is to be emitted at the end of a request. */
  readonly listens: boolean;
  emit(event: ServerEvent): void;
  /** It receives requests now, or no more. */
  consumingChanged(): void;
}

/** Delay before a deleted queue is declared again, in ms, so that publishers receive basic.return. */
const ABSENCE_MS = 100;
/** How long `stop` waits at most until the broker may send no more requests, in ms. */
const CANCEL_PATIENCE_MS = 250;

const SETTLED = Promise.resolve();

/** Consumes the queue of one procedure or service over one channel. */
export class Consumer {
  readonly #served: Served;
  readonly #runners: ReadonlyMap<string | undefined, RequestRunner>;
  readonly #figures: QueueFigures;
  readonly #host: ConsumerHost;
  /** Whether one of its procedures is at-most-once. */
  readonly #atMostOnce: boolean;
  readonly #running = new RunningRequests();
  readonly #memory = new RequestMemory();
  #kept: KeptChannel | undefined;
  #acks: AckBatcher | undefined;
  #consumerTag: string | undefined;
  #consuming = false;
  #stopped = false;
  #prefetch = 0;
  /** The consumer timeout to ask for, unless the queue has none. */
  #timeout: number | undefined;
  /** Those whose channels are still open. */
  readonly #former = new Set<FormerConsumer>();
  /** Whether `adopted_queue` was emitted. */
  #adopted = false;

  constructor(served: Served, host: ConsumerHost) {
    this.#served = served;
    this.#host = host;
    const runnerHost: RunnerHost = {
      stalls: host.stalls,
      replies: host.replies,
      directReplies: host.directReplies,
      interceptors: host.interceptors,
      get listens() {
        return host.listens;
      },
      get broker() {
        return host.connection.broker;
      },
      isCanceled: ({ meta: { correlationId } }) =>
        correlationId !== undefined && host.isCanceled(this.queue, correlationId),
      settle: (running, settlement) => this.#settle(running, settlement),
      emit: (event) => host.emit(event),
    };
    const procedures = Array.from(served.procedures);
    this.#atMostOnce = procedures.some(([, { procedure }]) => procedure.idempotent === false);
    this.#figures = new QueueFigures(served.procedures.keys());
    this.#runners = new Map(
      procedures.map(([method, { procedure, handler }]) => [method, new RequestRunner(procedure, handler, runnerHost)]),
    );
  }

  /** The name of its queue. */
  get queue(): string {
    return this.#served.queue.queue;
  }

  /** How many requests it has accepted and not answered. */
  get size(): number {
    return this.#running.size;
  }

  /** Whether it receives requests. */
  get consuming(): boolean {
    return this.#consuming && !this.#stopped;
  }

  /** Whether it was told to stop. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** What it tells of itself to whoever asks over the control exchange. */
  get figures(): ConsumerFigures {
    const [oldest] = this.#running;
    return {
      state: this.#stopped ? "draining" : "serving",
      prefetch: this.#prefetch,
      inFlight: this.#running.size,
      oldest: oldest === undefined ? undefined : Math.round(performance.now() - oldest.arrivedAt),
      rejected: this.#figures.rejected,
      methods: this.#figures.describe(),
      omitted: 0,
    };
  }

  /** The requests that it has accepted and not answered, oldest first. */
  get running(): Iterable<RunningRequest> {
    return this.#running;
  }

  /** Declares the queue and consumes it, now and after every loss. */
  async start(prefetch: number): Promise<void> {
    this.#prefetch = prefetch;
    const timeout = this.#timeout = this.#served.queue.consumerTimeout;
    const plan: ChannelPlan = {
      action: `serve "${this.queue}"`,
      setup: (channel) => this.#setUp(channel),
      opened: () => this.#setConsuming(true),
      lost: (error) => {
        this.#setConsuming(false);
        if (isConsumerTimeout(error)) this.#timedOut();
      },
    };
    try {
      this.#kept = await this.#host.connection.keep(plan);
    } catch (error) {
      if (this.#timeout === timeout) throw error;
      // Without the timeout, which the queue does not have.
      this.#kept = await this.#host.connection.keep(plan);
    }
  }

  async #setUp(channel: Channel): Promise<void> {
    await this.#declare();
    await channel.prefetch(this.#prefetch);
    this.#memory.channelOpened(this.#prefetch, this.#running);
    const acks = this.#acks = new AckBatcher(channel);
    this.#consumerTag = undefined;
    if (this.#stopped) return;
    let canceled = false;
    channel.listen({
      delivered: (delivery) => this.#deliver(delivery, acks),
      consumerCanceled: () => {
        // It may come again, for further requests that exceed the timeout.
        if (!canceled) this.#consumerCanceled(channel, acks);
        canceled = true;
      },
    });
    const consumerTag = this.#consumerTag = await this.#consume(channel);
    // `stop` may have been called meanwhile, before there was a consumer to cancel.
    if (this.#stopped) await channel.cancel(consumerTag);
  }

  async #consume(channel: Channel): Promise<string> {
    if (this.#timeout === undefined) return await channel.consume(this.queue);
    channel.onClosed((refusal) => {
      if (refusesConsumerTimeout(refusal)) this.#timeout = undefined;
    });
    return await channel.consume(this.queue, { arguments: { "x-consumer-timeout": this.#timeout } });
  }

  #setConsuming(consuming: boolean): void {
    this.#consuming = consuming;
    this.#host.consumingChanged();
  }

  /** Closes its channel, after {@linkcode Consumer.stop}. */
  async close(): Promise<void> {
    this.flush();
    await this.#kept?.close();
  }

  /** Stops consuming. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#host.consumingChanged();
    const acks = this.#acks;
    if (this.#consumerTag === undefined || acks === undefined) return;
    // Requests in transit when the consumer is canceled are redelivered, and at-most-once requests would then not run.
    if (this.#atMostOnce) {
      await settlesWithin(acks.hold(this.#prefetch), CANCEL_PATIENCE_MS);
    }
    try {
      await Promise.all([
        this.#kept?.current?.cancel(this.#consumerTag),
        ...Array.from(this.#former, (former) => former.cancel()),
      ]);
    } catch {
      // The channel is closed, and so the consumer is gone.
    }
    acks.release();
  }

  /** Resolves when all accepted requests are answered and acknowledged. */
  async idle(): Promise<void> {
    if (this.#running.size > 0) await this.#running.idle();
    this.flush();
  }

  /** Acknowledges finished requests at once. */
  flush(): void {
    this.#acks?.flush();
    for (const former of this.#former) former.flush();
  }

  /** Aborts the signal of every handler. */
  abort(reason: RpcError): void {
    this.#running.abort(reason);
  }

  /** Aborts the signals of the handlers of one call. */
  cancel(id: ByteString): void {
    this.#running.cancel(id);
  }

  async #declare(): Promise<void> {
    const reason = await declareQueue(this.#host.connection, this.#served.queue);
    if (reason === undefined || this.#adopted) return;
    this.#adopted = true;
    this.#host.emit({ type: "adopted_queue", queue: this.queue, reason });
  }

  /** The broker has ended the consumer, without saying why: the queue was deleted, or a request has taken too long. */
  async #consumerCanceled(channel: Channel, acks: AckBatcher): Promise<void> {
    const { queue } = this;
    const { connection } = this.#host;
    this.#setConsuming(false);
    // Also because a quorum queue that is being deleted exists for a while after its consumers have ended.
    await connection.sleep(ABSENCE_MS);
    const timeout = await isMissing(connection, queue) ? undefined : consumerTimeout(queue, this.#running, acks);
    if (channel.closed) return;
    this.#host.emit(timeout ?? { type: "consumer_canceled", queue });
    if (this.#stopped) return;
    const consumerTag = this.#consumerTag;
    if (timeout === undefined || consumerTag === undefined || this.#kept?.current !== channel) {
      // It is declared and consumed again on another channel.
      channel.close().catch(() => {});
      return;
    }
    const former = new FormerConsumer(channel, consumerTag, acks);
    this.#former.add(former);
    channel.listen({
      delivered: (delivery) => {
        former.cancel();
        this.#deliver(delivery, acks);
      },
    });
    channel.onClosed(() => this.#former.delete(former));
    this.#kept.replace();
  }

  /** The broker has closed the channel because a request has taken too long. */
  #timedOut(): void {
    const timeout = consumerTimeout(this.queue, this.#running, this.#acks);
    if (timeout !== undefined) this.#host.emit(timeout);
  }

  #deliver(delivery: Delivery, acks: AckBatcher): void {
    acks.delivered(delivery.deliveryTag);
    let meta = readRequest(delivery);
    const known = delivery.redelivered ? this.#memory.take(meta, delivery) : undefined;
    // Nobody has run it meanwhile: another server refuses a redelivered request that may run only once.
    if (known?.state === "unstarted") meta = { ...meta, redelivered: known.meta.redelivered };
    else if (known !== undefined) return this.#recognized(known, delivery, meta, acks);
    const { replyTo } = meta;
    const accepted = replyTo !== "" && this.#host.acceptsReplyTo(replyTo);
    if (accepted === false) {
      this.#reject(delivery, acks, replyTo);
      return;
    }
    const arrivedAfter = this.#host.stalls.arrivedAfter();
    const running = new RunningRequest(delivery, meta, acks, arrivedAfter, this.#host);
    this.#running.add(running);
    if (accepted === true) this.#start(running);
    else this.#startIf(accepted, running);
  }

  /** Does not run a request again that this server is running or has ended. */
  #recognized(
    known: Exclude<Remembered, { readonly state: "unstarted" }>,
    delivery: Delivery,
    meta: RequestMeta,
    acks: AckBatcher,
  ): void {
    this.#host.emit({
      type: "redelivered_request",
      queue: this.queue,
      messageId: messageIdOf(meta),
      state: known.state,
    });
    const { deliveryTag } = delivery;
    if (known.state === "running") {
      const { running } = known;
      running.attach(deliveryTag, meta, acks);
      if (running.started) this.#runners.get(running.method)?.redelivered(running);
      return;
    }
    if (known.settlement === "ack") acks.ack(deliveryTag);
    else acks.reject(deliveryTag, false);
    // This ack may be lost as well.
    this.#memory.ended({ acks, meta, delivery }, known.settlement);
  }

  async #startIf(accepted: Promise<boolean | undefined>, running: RunningRequest): Promise<void> {
    const answer = await accepted;
    const { acks, deliveryTag, delivery, meta: { replyTo } } = running;
    if (answer === true) {
      this.#start(running);
      return;
    }
    this.#running.delete(running);
    if (answer === false) {
      this.#reject({ ...delivery, deliveryTag }, acks, replyTo);
      return;
    }
    // Nothing is known against its caller.
    acks.reject(deliveryTag, true);
    this.#memory.unstarted(running);
  }

  #reject({ deliveryTag, malformed }: Delivery, acks: AckBatcher, replyTo: ByteString): void {
    const reason = malformed !== undefined
      ? malformed
      : replyTo === ""
      ? "it has no reply_to"
      : `its reply_to "${fromByteString(replyTo)}" is neither named by the broker nor exclusive; allow it with the ` +
        "server's 'replyTo' option";
    acks.reject(deliveryTag, false);
    this.#figures.reject();
    this.#host.emit({ type: "rejected_request", queue: this.queue, reason });
  }

  /**
   * Runs a request later, in a microtask of its own: all requests of one read are noted before the first is run, so that a
   * handler that blocks does not hide their age; and what a handler sets in its asynchronous context reaches no other.
   */
  #start(running: RunningRequest): void {
    SETTLED.then(() => this.#run(running));
  }

  #run(running: RunningRequest): void {
    const method = this.#methodOf(running);
    running.method = method;
    running.figures = this.#figures.of(method);
    const runner = this.#runners.get(method);
    if (runner !== undefined) runner.run(running);
    // The runner of any method can send the refusal.
    else for (const [, any] of this.#runners) return any.refuse(running, unimplemented(this.#served, method));
  }

  #methodOf({ delivery: { properties: { type } } }: RunningRequest): string | undefined {
    if (!this.#served.hasMethods) return undefined;
    return type === undefined || type === "" ? this.#served.default : fromByteString(type);
  }

  #settle(running: RunningRequest, settlement: Settlement): void {
    const { acks, deliveryTag } = running;
    if (settlement === "ack") acks.ack(deliveryTag);
    else if (settlement === "ack now") acks.ackNow(deliveryTag);
    // A rejected request goes to the dead-letter exchange if there is one.
    else if (settlement !== "leave") acks.reject(deliveryTag, settlement === "requeue");
    if (settlement === "reject") this.#memory.ended(running, "reject");
    else if (settlement === "ack" || settlement === "ack now") this.#memory.ended(running, "ack");
    this.#running.delete(running);
  }
}
