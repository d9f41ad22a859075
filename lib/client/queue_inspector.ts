import type { Connection } from "../connection/connection.ts";
import { RpcError } from "../contract/errors.ts";
import { settlesWithin } from "../contract/deadline.ts";

/** How many messages wait in a queue, and how many consumers it has. */
interface QueueCounts {
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** Why a request is not sent. */
interface Unserved {
  /** `unavailable` without a server; another one if the broker does not tell, such as `permission_denied`. */
  readonly code: RpcError["code"];
  readonly why: string;
  readonly cause?: unknown;
}

/** How long a call that has timed out waits for the broker's answer, in ms. */
const TIMEOUT_MS = 100;

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Asks the broker about queues; calls that ask about one queue at the same time share one question. */
export class QueueInspector {
  readonly #connection: Connection;
  readonly #underway = new Map<string, Promise<QueueCounts>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The state of a queue, as the end of an error text; empty if the broker does not answer soon. */
  async describe(queue: string): Promise<string> {
    if (this.#connection.link === undefined) return ": there is no connection to the broker";
    const asked = this.#inspect(queue);
    if (!await settlesWithin(asked, TIMEOUT_MS)) return "";
    try {
      const { consumerCount, messageCount } = await asked;
      return `: the queue has ${count(consumerCount, "consumer")} and ${count(messageCount, "request")} waiting` +
        (consumerCount === 0 ? ", so start a server for it" : "");
    } catch (error) {
      return error instanceof RpcError && error.code === "not_found" ? ": the queue does not exist" : "";
    }
  }

  /** Why nobody would answer a request now; undefined if the queue has a consumer. */
  async whyUnserved(queue: string): Promise<Unserved | undefined> {
    try {
      const { consumerCount } = await this.#inspect(queue);
      if (consumerCount > 0) return undefined;
      return { code: "unavailable", why: `the queue "${queue}" has no consumer, so start a server for it` };
    } catch (error) {
      if (!(error instanceof RpcError)) return { code: "unavailable", why: String(error), cause: error };
      const { code, message } = error;
      if (code !== "not_found") return { code, why: message, cause: error };
      return { code: "unavailable", why: `the queue "${queue}" does not exist, so start a server for it` };
    }
  }

  #inspect(queue: string): Promise<QueueCounts> {
    let asked = this.#underway.get(queue);
    if (asked === undefined) {
      asked = this.#connection.borrow(`inspect queue "${queue}"`, (channel) => channel.checkQueue(queue));
      const forget = (): boolean => this.#underway.delete(queue);
      asked.then(forget, forget);
      this.#underway.set(queue, asked);
    }
    return asked;
  }
}
