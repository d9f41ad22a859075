import { type ByteString, fromByteString } from "../wire/byte_string.ts";
import type { Delivery } from "../wire/message.ts";
import { messageIdOf, readRequest, type RequestMeta } from "../wire/request_message.ts";
import type { AckBatcher } from "./ack_batcher.ts";
import type { Refusal } from "./admission.ts";
import type { ConsumerHost } from "./consumer_host.ts";
import { OverloadGuard } from "./overload_guard.ts";
import { QueueFigures } from "./queue_figures.ts";
import type { Settlement } from "./request_answers.ts";
import { RequestIntake } from "./request_intake.ts";
import { type Remembered, RequestMemory } from "./request_memory.ts";
import { RequestRunner, type RunnerHost } from "./request_runner.ts";
import { RunningRequest } from "./running_request.ts";
import { RunningRequests } from "./running_requests.ts";
import { type Served, unimplemented } from "./served.ts";
import { type SurplusHost, surplusLimit } from "./surplus_consumer.ts";

const SETTLED = Promise.resolve();

/** Decides what becomes of each delivery of one queue: rejects it, recognizes it, refuses it, or runs it; and settles it. */
export class RequestDispatcher {
  /** The requests in progress. */
  readonly running: RunningRequests = new RunningRequests();
  readonly figures: QueueFigures;
  /** Whether one of the procedures is at-most-once. */
  readonly atMostOnce: boolean;
  readonly #served: Served;
  readonly #runners: ReadonlyMap<string | undefined, RequestRunner>;
  readonly #host: ConsumerHost;
  readonly #memory = new RequestMemory();
  /** Absent if requests are never refused for lack of time. */
  readonly #guard: OverloadGuard | undefined;

  constructor(served: Served, host: ConsumerHost, loadShedding: boolean) {
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
        correlationId !== undefined && host.isCanceled(this.#queue, correlationId),
      handled: (running, now) => {
        this.#guard?.handled(running, now);
        running.intake.handled(running);
      },
      replyReturned: (replyTo) => host.absent.returned(replyTo),
      settle: (running, settlement) => this.#settle(running, settlement),
      emit: (event) => host.emit(event),
    };
    const procedures = Array.from(served.procedures);
    if (loadShedding) this.#guard = new OverloadGuard(this.#queue, served.procedures.keys(), host);
    this.atMostOnce = procedures.some(([, { procedure }]) => procedure.idempotent === false);
    this.figures = new QueueFigures(served.procedures.keys());
    this.#runners = new Map(
      procedures.map(([method, { procedure, handler }]) => [method, new RequestRunner(procedure, handler, runnerHost)]),
    );
  }

  get #queue(): string {
    return this.#served.queue.queue;
  }

  /** What starts the requests of the queue, of which at most `prefetch` run at once, but for those of lost channels. */
  openIntake(
    prefetch: number,
    surplus: Pick<SurplusHost, "consumeArguments" | "openChannel" | "retired" | "ended">,
  ): RequestIntake {
    const intake: RequestIntake = new RequestIntake(prefetch, {
      ...surplus,
      queue: this.#queue,
      atMostOnce: this.atMostOnce,
      deliver: (delivery, acks) => this.deliver(delivery, acks, intake),
      isPressed: (now) => this.#guard?.isPressed(now) ?? false,
      longest: () => this.#guard?.longest ?? 0,
      judge: (running, now, place) => this.#guard?.judge(running, now, place),
      run: (running) => this.#run(running),
      refuse: (running, why) => this.#refuse(running, why),
      drop: (running) => this.#drop(running),
      surplusLost: () => this.expectAgain(prefetch),
    });
    return intake;
  }

  /** A channel with that prefetch was lost: all of its requests that run may be delivered again. */
  expectAgain(prefetch: number): void {
    this.#memory.channelOpened(prefetch + surplusLimit(prefetch), this.running);
    // One that hangs would otherwise keep its place for ever.
    for (const running of this.running) if (running.acks.closed) running.intake.handled(running);
  }

  /** The channel of a request was lost before it was started. */
  #drop(running: RunningRequest): void {
    this.#memory.unstarted(running);
    this.#settle(running, "leave");
  }

  /** Takes in a delivery. */
  deliver(delivery: Delivery, acks: AckBatcher, intake: RequestIntake): void {
    if (acks.lost) return this.#deliverLost(delivery, acks);
    acks.delivered(delivery.deliveryTag);
    let meta = readRequest(delivery);
    const known = delivery.redelivered ? this.#memory.take(meta, delivery) : undefined;
    if (known?.state === "unstarted") {
      // By the broker's count nobody else has had it. Without a count, another server may have run it meanwhile.
      if (meta.deliveryCount === 1) meta = { ...meta, redelivered: known.meta.redelivered };
    } else if (known !== undefined) return this.#recognized(known, delivery, meta, acks);
    const { replyTo } = meta;
    const accepted = replyTo !== "" && this.#host.acceptsReplyTo(replyTo);
    if (accepted === false) {
      this.#reject(delivery, acks, replyTo);
      return;
    }
    const arrivedAt = performance.now();
    const arrivedAfter = this.#host.stalls.arrivedAfter(arrivedAt);
    const waited = this.#host.waited(meta, arrivedAt, arrivedAfter);
    const arrival = { acks, intake, arrivedAt, arrivedAfter, waited };
    const running = new RunningRequest(delivery, meta, arrival, this.#host);
    running.method = this.#methodOf(running);
    this.running.add(running);
    if (accepted === true && !this.#host.absent.suspected) this.#start(running);
    else this.#startIf(accepted, running);
  }

  /** Does not start a request that the broker sent before it closed the channel: another server may have it by now. */
  #deliverLost(delivery: Delivery, acks: AckBatcher): void {
    if (!delivery.redelivered) this.#memory.unstarted({ acks, meta: readRequest(delivery), delivery });
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
      queue: this.#queue,
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

  async #startIf(accepted: boolean | Promise<boolean | undefined>, running: RunningRequest): Promise<void> {
    const answer = await accepted;
    const { meta: { replyTo } } = running;
    if (answer === true) {
      const left = await this.#host.absent.hasLeft(replyTo);
      // It is the broker's again.
      if (running.acks.lost) this.#drop(running);
      else if (left) this.#leave(running);
      else this.#start(running);
      return;
    }
    const { acks, deliveryTag, delivery } = running;
    this.running.delete(running);
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
    this.figures.reject();
    this.#host.emit({ type: "rejected_request", queue: this.#queue, reason });
  }

  /**
   * Runs a request later, in a microtask of its own: all requests of one read are noted before the first is run, so that a
   * handler that blocks does not hide their age; and what a handler sets in its asynchronous context reaches no other.
   */
  #start(running: RunningRequest): void {
    SETTLED.then(() => running.intake.arrived(running));
  }

  #run(running: RunningRequest): void {
    const { method } = running;
    running.figures = this.figures.of(method);
    const runner = this.#runners.get(method);
    if (runner !== undefined) runner.run(running);
    // The runner of any method can send the refusal.
    else for (const [, any] of this.#runners) return any.refuse(running, unimplemented(this.#served, method));
  }

  /** Does not run a request whose caller has left. */
  #leave(running: RunningRequest): void {
    const { method } = running;
    running.figures = this.figures.of(method);
    for (const runner of [this.#runners.get(method), ...this.#runners.values()]) {
      if (runner !== undefined) return runner.leave(running);
    }
  }

  #refuse(running: RunningRequest, why: Refusal): void {
    const error = this.#guard?.refusal(running, why, performance.now());
    if (error !== undefined) this.#runners.get(running.method)?.refuse(running, error);
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
    running.intake.settled(running);
    this.running.delete(running);
  }
}
