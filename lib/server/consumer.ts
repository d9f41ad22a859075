import { toRpcError } from "../connection/broker_error.ts";
import type { Channel, ConsumeOptions } from "../connection/channel.ts";
import type { ChannelPlan, KeptChannel } from "../connection/kept_channel.ts";
import type { RpcError } from "../contract/errors.ts";
import type { ServerFigures } from "../contract/server_info.ts";
import type { ServerEvent } from "../events/server_event.ts";
import type { ByteString } from "../wire/byte_string.ts";
import { AckBatcher } from "./ack_batcher.ts";
import type { ConsumerHost } from "./consumer_host.ts";
import { consumerTimeout, isConsumerTimeout, refusesConsumerTimeout } from "./consumer_timeout.ts";
import { FormerConsumer } from "./former_consumer.ts";
import { declareQueue, isMissing } from "./queue_declaration.ts";
import { RequestDispatcher } from "./request_dispatcher.ts";
import type { RequestIntake } from "./request_intake.ts";
import type { RunningRequest } from "./running_request.ts";
import type { Served } from "./served.ts";

/** The figures of a queue, without those of the server. */
export type ConsumerFigures = Omit<ServerFigures, "id" | "name" | "version" | "library" | "uptime">;

/** Delay before a deleted queue is declared again, in ms, so that publishers receive basic.return. */
const ABSENCE_MS = 100;

/** Consumes the queue of one procedure or service over one channel. */
export class Consumer {
  readonly #served: Served;
  readonly #host: ConsumerHost;
  readonly #requests: RequestDispatcher;
  #kept: KeptChannel | undefined;
  #acks: AckBatcher | undefined;
  #intake: RequestIntake | undefined;
  #consumerTag: string | undefined;
  #consuming = false;
  #stopped = false;
  #prefetch = 0;
  #settingUp: Promise<void> | undefined;
  /** The consumer timeout to ask for, unless the queue has none. */
  #timeout: number | undefined;
  /** Those whose channels are still open. */
  readonly #former = new Set<FormerConsumer>();
  /** Whether `adopted_queue` was emitted. */
  #adopted = false;

  constructor(served: Served, host: ConsumerHost, loadShedding: boolean) {
    this.#served = served;
    this.#host = host;
    this.#requests = new RequestDispatcher(served, host, loadShedding);
  }

  /** The name of its queue. */
  get queue(): string {
    return this.#served.queue.queue;
  }

  /** How many requests it has accepted and not answered. */
  get size(): number {
    return this.#requests.running.size;
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
    const [oldest] = this.#requests.running;
    return {
      state: this.#stopped ? "draining" : "serving",
      consumers: this.consuming ? 1 + (this.#intake?.surplus ?? 0) : 0,
      prefetch: this.#prefetch,
      inFlight: this.#requests.running.size,
      oldest: oldest === undefined ? undefined : Math.round(performance.now() - oldest.arrivedAt),
      rejected: this.#requests.figures.rejected,
      methods: this.#requests.figures.describe(),
      omitted: 0,
    };
  }

  /** The requests that it has accepted and not answered, oldest first. */
  get running(): Iterable<RunningRequest> {
    return this.#requests.running;
  }

  /** Declares the queue and consumes it, now and after every loss. */
  async start(prefetch: number): Promise<void> {
    this.#prefetch = prefetch;
    const timeout = this.#timeout = this.#served.queue.consumerTimeout;
    const plan: ChannelPlan = {
      action: `serve "${this.queue}"`,
      setup: (channel) => this.#settingUp = this.#setUp(channel),
      opened: () => this.#setConsuming(true),
      lost: (error) => {
        this.#setConsuming(false);
        if (isConsumerTimeout(error)) this.#timedOut(this.#acks);
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
    const acks = this.#acks = new AckBatcher(channel);
    const intake = this.#intake ??= this.#requests.openIntake(this.#prefetch, {
      consumeArguments: () => this.#consumeOptions.arguments,
      openChannel: () => this.#host.connection.channel(`refuse requests of "${this.queue}"`),
      retired: (former) => this.#retired(former),
      ended: (acks, refusal) => this.#surplusEnded(acks, refusal),
    });
    this.#expectAgain();
    // At once: the second consumer may get them before this channel is replaced.
    channel.onClosed(() => this.#expectAgain());
    this.#consumerTag = undefined;
    if (this.#stopped) return;
    let canceled = false;
    channel.listen({
      delivered: (delivery) => this.#requests.deliver(delivery, acks, intake),
      consumerCanceled: () => {
        // It may come again, for further requests that exceed the timeout.
        if (!canceled) this.#consumerCanceled(channel, acks, intake);
        canceled = true;
      },
    });
    const consumerTag = this.#consumerTag = await this.#consume(channel);
    // `stop` may have been called meanwhile, before there was a consumer to cancel.
    if (this.#stopped) await channel.cancel(consumerTag);
  }

  /** Requests may be delivered again. */
  #expectAgain(): void {
    this.#intake?.channelReplaced();
    // After what has not started is gone.
    this.#requests.expectAgain(this.#prefetch);
  }

  async #consume(channel: Channel): Promise<string> {
    const options = this.#consumeOptions;
    if (options.arguments === undefined) return await channel.consume(this.queue);
    channel.onClosed((refusal) => {
      if (refusesConsumerTimeout(refusal)) this.#timeout = undefined;
    });
    return await channel.consume(this.queue, options);
  }

  get #consumeOptions(): ConsumeOptions {
    return this.#timeout === undefined ? {} : { arguments: { "x-consumer-timeout": this.#timeout } };
  }

  #setConsuming(consuming: boolean): void {
    this.#consuming = consuming;
    this.#host.consumingChanged();
  }

  /** Closes its channel, after {@linkcode Consumer.stop}. */
  async close(): Promise<void> {
    this.flush();
    this.#intake?.close();
    for (const former of this.#former) former.close();
    await this.#kept?.close();
  }

  /** Stops consuming. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#host.consumingChanged();
    const acks = this.#acks;
    const stopped = this.#intake?.stop();
    if (this.#consumerTag === undefined || acks === undefined) {
      // It cancels the consumer that it has begun to create; if it fails, there is none.
      await Promise.allSettled([this.#settingUp, stopped]);
      return;
    }
    // Requests in transit when the consumer is canceled are redelivered, and at-most-once requests would then not run.
    if (this.#requests.atMostOnce) await acks.holdUntilQuiet(this.#prefetch);
    try {
      await Promise.all([
        this.#kept?.current?.cancel(this.#consumerTag),
        ...Array.from(this.#former, (former) => former.cancel()),
      ]);
    } catch {
      // The channel is closed, and so the consumer is gone.
    }
    acks.release();
    await stopped;
  }

  /** Resolves when all accepted requests are answered and acknowledged. */
  async idle(): Promise<void> {
    await this.#requests.running.idle();
    this.flush();
  }

  /** Acknowledges finished requests at once, also while {@linkcode Consumer.stop} delays that. */
  flush(): void {
    this.#acks?.release();
    for (const former of this.#former) former.flush();
    this.#intake?.flush();
  }

  /** Aborts the signal of every handler. */
  abort(reason: RpcError): void {
    this.#requests.running.abort(reason);
  }

  /** Aborts the signals of the handlers of one call. */
  cancel(id: ByteString): void {
    this.#requests.running.cancel(id);
  }

  async #declare(): Promise<void> {
    const reason = await declareQueue(this.#host.connection, this.#served.queue);
    if (reason === undefined || this.#adopted) return;
    this.#adopted = true;
    this.#host.emit({ type: "adopted_queue", queue: this.queue, reason });
  }

  /** The broker has ended the consumer, without saying why: the queue was deleted, or a request has taken too long. */
  async #consumerCanceled(channel: Channel, acks: AckBatcher, intake: RequestIntake): Promise<void> {
    this.#setConsuming(false);
    // The second consumer may get what was taken back before it is known why.
    acks.retire(() => {});
    this.#expectAgain();
    const timeout = await this.#timeoutOf(acks);
    if (channel.closed) return;
    this.#host.emit(timeout ?? { type: "consumer_canceled", queue: this.queue });
    if (this.#stopped) return;
    const consumerTag = this.#consumerTag;
    if (timeout === undefined || consumerTag === undefined || this.#kept?.current !== channel) {
      // It is declared and consumed again on another channel.
      channel.close().catch(() => {});
      return;
    }
    const former = new FormerConsumer(channel, consumerTag, acks);
    this.#retired(former);
    channel.listen({
      delivered: (delivery) => {
        former.cancel();
        this.#requests.deliver(delivery, acks, intake);
      },
    });
    this.#kept.replace();
  }

  #retired(former: FormerConsumer): void {
    this.#former.add(former);
    former.onClosed(() => this.#former.delete(former));
  }

  /** The event for a consumer that the broker has ended; undefined if that was not because of a timeout. */
  async #timeoutOf(acks: AckBatcher): Promise<ServerEvent | undefined> {
    const { queue } = this;
    const { connection } = this.#host;
    // Also because a quorum queue that is being deleted exists for a while after its consumers have ended.
    await connection.sleep(ABSENCE_MS);
    return await isMissing(connection, queue) ? undefined : consumerTimeout(queue, this.#requests.running, acks);
  }

  /** The broker has ended the second consumer; its intake knows what to do. */
  async #surplusEnded(acks: AckBatcher, refusal: Error | undefined): Promise<void> {
    if (refusal === undefined) {
      const timeout = await this.#timeoutOf(acks);
      if (timeout !== undefined) this.#host.emit(timeout);
    } else if (isConsumerTimeout(toRpcError(refusal, `serve "${this.queue}"`))) this.#timedOut(acks);
  }

  /** The broker has closed a channel because a request has taken too long. */
  #timedOut(acks: AckBatcher | undefined): void {
    const timeout = consumerTimeout(this.queue, this.#requests.running, acks);
    if (timeout !== undefined) this.#host.emit(timeout);
  }
}
