import { isExclusiveElsewhere } from "../connection/broker_error.ts";
import type { Connection } from "../connection/connection.ts";
import { RpcError } from "../contract/errors.ts";
import { type ByteString, fromByteString, toByteString } from "../wire/byte_string.ts";
import { isDirect } from "../wire/reply_address.ts";

/** How many questions are sent to the broker at once. */
const MAX_OPEN = 16;
/** At most this many answers are remembered. */
const MAX_REMEMBERED = 10_000;
/** How long the answer is used that a queue is exclusive, in ms. */
const REMEMBER_MS = 60_000;
/** How long it counts that one is not, in ms: a caller that reconnects declares its queue again. */
const REMEMBER_REFUSAL_MS = 1_000;

interface Answer {
  readonly exclusive: boolean;
  readonly until: number;
}

/**
 * Asks the broker about the queues of callers. An exclusive queue answers a passive declare from another connection with
 * 405 while it is there, and with 404 when it is gone (https://www.rabbitmq.com/docs/queues#exclusive-queues).
 */
export class ReplyQueueProbe {
  readonly #connection: Connection;
  readonly #answers = new Map<ByteString, Answer>();
  readonly #asking = new Map<ByteString, Promise<boolean | undefined>>();
  #open = 0;
  readonly #turns: (() => void)[] = [];

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Whether a queue is exclusive to another connection: then it is a caller's own, not a shared one. Undefined if the
   * broker cannot be asked now.
   */
  isExclusive(name: ByteString): boolean | Promise<boolean | undefined> {
    if (!isText(name)) return false;
    const known = this.#answers.get(name);
    if (known !== undefined && known.until > performance.now()) return known.exclusive;
    let asking = this.#asking.get(name);
    if (asking === undefined) {
      asking = this.#askExclusive(name).finally(() => this.#asking.delete(name));
      this.#asking.set(name, asking);
    }
    return asking;
  }

  /** Whether a queue is still there; true if the broker cannot be asked. */
  async isAlive(name: ByteString): Promise<boolean> {
    // Asking about some direct addresses makes the broker close the connection.
    if (isDirect(name) || !isText(name)) return true;
    const error = await this.#ask(name);
    // A durable queue whose node is down comes back with the node.
    return !(error instanceof RpcError && error.code === "not_found" && !/down or inaccessible/.test(error.message));
  }

  /** Returns undefined if the broker cannot be asked now. */
  async #askExclusive(name: ByteString): Promise<boolean | undefined> {
    const error = await this.#ask(name);
    const exclusive = isExclusiveElsewhere(error);
    if (error instanceof RpcError && error.code === "unavailable") return undefined;
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined && this.#answers.size >= MAX_REMEMBERED) this.#answers.delete(oldest);
    this.#answers.delete(name);
    this.#answers.set(name, { exclusive, until: performance.now() + (exclusive ? REMEMBER_MS : REMEMBER_REFUSAL_MS) });
    return exclusive;
  }

  /** Returns the broker's refusal of a passive declare; undefined if it has none. */
  async #ask(name: ByteString): Promise<unknown> {
    if (this.#open >= MAX_OPEN) await new Promise<void>((resolve) => this.#turns.push(resolve));
    this.#open++;
    try {
      await this.#connection.borrow("check a reply queue", (channel) => channel.checkQueue(fromByteString(name)));
      return undefined;
    } catch (error) {
      return error;
    } finally {
      this.#open--;
      this.#turns.shift()?.();
    }
  }
}

/** Whether a name is UTF-8: of another, the broker cannot be asked by amqplib, which writes texts. */
function isText(name: ByteString): boolean {
  return toByteString(fromByteString(name)) === name;
}
