import type { Connection } from "../connection/connection.ts";
import { RpcError } from "../contract/errors.ts";
import type { QueueSettings } from "../contract/procedure.ts";

/** The arguments with which a server declares the queue of a procedure. */
export function queueArguments(settings: Omit<QueueSettings, "queue">): Record<string, unknown> {
  const { queueType, maxLength, messageTtl, deadLetterExchange, deadLetterRoutingKey } = settings;
  const named = {
    // Older tutorials declare a transient queue without arguments.
    "x-queue-type": queueType === "transient" ? undefined : queueType,
    "x-max-length": maxLength,
    "x-overflow": maxLength === undefined ? undefined : "reject-publish",
    "x-message-ttl": messageTtl,
    "x-dead-letter-exchange": deadLetterExchange,
    "x-dead-letter-routing-key": deadLetterRoutingKey,
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

/**
 * Declares a queue; an existing queue is used unchanged, whatever its arguments.
 *
 * @returns How the existing queue differs, if it does.
 * @throws {RpcError} If there is no such queue and it cannot be declared.
 */
export async function declareQueue(connection: Connection, settings: QueueSettings): Promise<string | undefined> {
  const { queue, queueType } = settings;
  const declared = { durable: queueType !== "transient", arguments: queueArguments(settings) };
  const action = `declare queue "${queue}"`;
  try {
    await connection.borrow(action, (channel) => channel.assertQueue(queue, declared));
    return undefined;
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    // 406: it exists with other arguments. 403: declaring needs more rights than using.
    if (error.code !== "failed_precondition" && error.code !== "permission_denied") throw error;
    const exists = connection.borrow(action, (channel) => channel.checkQueue(queue)).then(() => true, () => false);
    if (await exists) return error.message;
    throw error;
  }
}
