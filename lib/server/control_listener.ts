import { toRpcError } from "../connection/broker_error.ts";
import type { Connection } from "../connection/connection.ts";
import { type Cancel, CONTROL_EXCHANGE, readCancel } from "../wire/control_message.ts";

/**
 * Receives the control messages of all queues that a server serves, in an exclusive queue of its own that is bound to
 * the control exchange.
 */
export class ControlListener {
  readonly #connection: Connection;
  readonly #queues: () => Iterable<string>;
  readonly #canceled: (cancel: Cancel) => void;
  #opening: Promise<void> | undefined;
  #bind: ((queue: string) => Promise<void>) | undefined;
  #unbind: ((queue: string) => Promise<void>) | undefined;

  /**
   * @param queues The queues that are served, to be bound again after a loss.
   * @param canceled Called with each cancel.
   */
  constructor(connection: Connection, queues: () => Iterable<string>, canceled: (cancel: Cancel) => void) {
    this.#connection = connection;
    this.#queues = queues;
    this.#canceled = canceled;
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

  async #open(): Promise<void> {
    await this.#connection.keep({
      action: "listen for cancels",
      setup: async (channel) => {
        channel.listen({
          delivered: (delivery) => {
            const cancel = readCancel(delivery);
            if (cancel !== undefined) this.#canceled(cancel);
          },
          consumerCanceled: () => void channel.close().catch(() => {}),
        });
        await channel.assertDirectExchange(CONTROL_EXCHANGE);
        const { queue } = await channel.assertQueue("", { exclusive: true, durable: false });
        const bind = (served: string): Promise<void> => channel.bindQueue(queue, CONTROL_EXCHANGE, served);
        this.#bind = bind;
        this.#unbind = (served) => channel.unbindQueue(queue, CONTROL_EXCHANGE, served);
        for (const served of this.#queues()) await bind(served);
        await channel.consume(queue, { noAck: true, exclusive: true });
      },
      lost: () => this.#bind = this.#unbind = undefined,
    });
  }
}
