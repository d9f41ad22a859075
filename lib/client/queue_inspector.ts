import type { Connection } from "../connection/connection.ts";
import { RpcError } from "../contract/errors.ts";
import { settlesWithin } from "../connection/handshake.ts";

/** What a look at a queue found. */
interface Sight {
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** How long a timed-out call waits to say what it found, in ms. */
const TIMEOUT_MS = 100;

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Looks at queues; one look at a queue serves all who want one at the time. */
export class QueueInspector {
  readonly #connection: Connection;
  readonly #underway = new Map<string, Promise<Sight>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** What the caller of a call that timed out wants to know; nothing if the broker does not say it soon. */
  async describe(queue: string): Promise<string> {
    if (!this.#connection.connected) return ": there is no connection to the broker";
    const look = this.#look(queue);
    if (!await settlesWithin(look, TIMEOUT_MS)) return "";
    try {
      const { consumerCount, messageCount } = await look;
      return `: the queue has ${count(consumerCount, "consumer")} and ${count(messageCount, "request")} waiting` +
        (consumerCount === 0 ? ", so start a server for it" : "");
    } catch (error) {
      return error instanceof RpcError && error.code === "not_found" ? ": the queue does not exist" : "";
    }
  }

  /** Why a request would not be answered soon; undefined if a consumer is there. */
  async whyUnserved(queue: string): Promise<string | undefined> {
    try {
      const { consumerCount } = await this.#look(queue);
      return consumerCount > 0 ? undefined : `the queue "${queue}" has no consumer, so start a server for it`;
    } catch (error) {
      if (!(error instanceof RpcError)) return String(error);
      return error.code === "not_found"
        ? `the queue "${queue}" does not exist, so start a server for it`
        : error.message;
    }
  }

  #look(queue: string): Promise<Sight> {
    let look = this.#underway.get(queue);
    if (look === undefined) {
      look = this.#connection.borrow(`look at queue "${queue}"`, (channel) => channel.checkQueue(queue));
      const forget = (): boolean => this.#underway.delete(queue);
      look.then(forget, forget);
      this.#underway.set(queue, look);
    }
    return look;
  }
}
