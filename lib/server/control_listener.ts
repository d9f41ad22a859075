import { toRpcError } from "../connection/broker_error.ts";
import type { Connection } from "../connection/connection.ts";
import { type ClockAnswer, readClockAnswer } from "../wire/clock_message.ts";
import {
  type Cancel,
  CONTROL_EXCHANGE,
  type InfoQuestion,
  readCancel,
  readInfoQuestion,
} from "../wire/control_message.ts";
import type { Delivery, Publish } from "../wire/message.ts";

/** Callbacks for control messages. */
export interface ControlMessages {
  /** A caller cancels a call. */
  canceled(cancel: Cancel): void;
  /** A client has told the time on its clock. */
  clockTold(answer: ClockAnswer): void;
  /** Somebody asks for the server's figures; `publish` sends the answer. */
  asked(question: InfoQuestion, publish: (message: Publish) => void): void;
}

/**
 * Receives the control messages of all queues that a server serves, in an exclusive queue of its own that is bound to
 * the control exchange.
 */
export class ControlListener {
  readonly #connection: Connection;
  readonly #queues: () => Iterable<string>;
  readonly #messages: ControlMessages;
  #opening: Promise<void> | undefined;
  #bind: ((queue: string) => Promise<void>) | undefined;
  #unbind: ((queue: string) => Promise<void>) | undefined;
  /** The name of its queue, bound under that name, once that was asked for. */
  #address: string | undefined;
  #own = "";

  /**
   * @param queues The queues that are served, to be bound again after a loss.
   * @param messages Called with each message.
   */
  constructor(connection: Connection, queues: () => Iterable<string>, messages: ControlMessages) {
    this.#connection = connection;
    this.#queues = queues;
    this.#messages = messages;
  }

  /** Receives the control messages of a queue from now on. */
  async add(queue: string): Promise<void> {
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = undefined;
      throw error;
    });
    await this.#opening;
    try {
      await this.#bind?.(queue);
    } catch (error) {
      // If the channel is lost meanwhile, the next one binds all queues.
      const refusal = toRpcError(error, `listen for cancels of "${queue}"`);
      if (refusal.code !== "unavailable") throw refusal;
    }
  }

  /** Receives no more control messages of a queue. */
  async remove(queue: string): Promise<void> {
    // If the channel is lost meanwhile, the next one binds only the queues that are still served.
    await this.#unbind?.(queue).catch(() => {});
  }

  #read(delivery: Delivery, publish: (message: Publish) => void): void {
    const cancel = readCancel(delivery);
    if (cancel !== undefined) {
      this.#messages.canceled(cancel);
      return;
    }
    const answer = readClockAnswer(delivery);
    if (answer !== undefined) {
      this.#messages.clockTold(answer);
      return;
    }
    const question = readInfoQuestion(delivery);
    if (question !== undefined) this.#messages.asked(question, publish);
  }

  /** The routing key under which this server alone can be reached; undefined until it is bound, which this starts. */
  get address(): string | undefined {
    if (this.#address === undefined && this.#own !== "") {
      const own = this.#own;
      this.#own = "";
      this.#bind?.(own).then(() => this.#address = own, () => {});
    }
    return this.#address;
  }

  async #open(): Promise<void> {
    await this.#connection.keep({
      action: "listen for cancels",
      setup: async (channel) => {
        channel.listen({
          delivered: (delivery) => this.#read(delivery, (message) => channel.publish(message)),
          consumerCanceled: () => void channel.close().catch(() => {}),
        });
        await channel.assertDirectExchange(CONTROL_EXCHANGE);
        const { queue } = await channel.assertQueue("", { exclusive: true, durable: false });
        const bind = (served: string): Promise<void> => channel.bindQueue(queue, CONTROL_EXCHANGE, served);
        this.#bind = bind;
        this.#unbind = (served) => channel.unbindQueue(queue, CONTROL_EXCHANGE, served);
        for (const served of this.#queues()) await bind(served);
        await channel.consume(queue, { noAck: true, exclusive: true });
        this.#own = queue;
      },
      lost: () => {
        this.#bind = this.#unbind = this.#address = undefined;
        this.#own = "";
      },
    });
  }
}
