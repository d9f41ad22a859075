import { deniedFeature } from "../connection/broker_error.ts";
import type { Channel } from "../connection/channel.ts";
import type { Connection } from "../connection/connection.ts";
import { RpcError } from "../contract/errors.ts";
import type { QueueSettings } from "../contract/procedure.ts";
import { refusesConsumerTimeout } from "./consumer_timeout.ts";

/** The arguments with which a server declares the queue of a procedure. */
export function queueArguments(settings: Omit<QueueSettings, "queue">): Record<string, unknown> {
  const { queueType, maxLength, messageTtl, maxPriority, consumerTimeout } = settings;
  const { deadLetterExchange, deadLetterRoutingKey } = settings;
  const named = {
    // Older tutorials declare a transient queue without arguments.
    "x-queue-type": queueType === "transient" ? undefined : queueType,
    "x-max-length": maxLength,
    "x-overflow": maxLength === undefined ? undefined : "reject-publish",
    "x-message-ttl": messageTtl,
    "x-max-priority": maxPriority,
    "x-consumer-timeout": consumerTimeout,
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
  const declare = (channel: Channel): Promise<unknown> => channel.assertQueue(queue, declared);
  const exists = (): Promise<boolean> =>
    connection.borrow(action, (channel) => channel.checkQueue(queue)).then(() => true, () => false);
  try {
    if (queueType === "transient" && !await exists()) await declareTransient(connection, action, declare);
    else await connection.borrow(action, declare);
    return undefined;
  } catch (error) {
    if (!(error instanceof RpcError) || deniedFeature(error) !== undefined) throw error;
    if (refusesConsumerTimeout(error)) {
      return await declareQueue(connection, { ...settings, consumerTimeout: undefined });
    }
    // 406: it exists with other arguments. 403: declaring needs more rights than using.
    if (error.code !== "failed_precondition" && error.code !== "permission_denied") throw error;
    if (await exists()) return error.message;
    throw error;
  }
}

/** On a connection of its own, because a broker that permits no transient queues closes it, with all that is on it. */
async function declareTransient(
  connection: Connection,
  action: string,
  declare: (channel: Channel) => Promise<unknown>,
): Promise<void> {
  try {
    await connection.borrowLink(action, declare);
  } catch (error) {
    const feature = deniedFeature(error);
    if (feature === undefined) throw error;
    const text = `Cannot ${action}: the broker does not permit transient queues (its deprecated feature ` +
      `"${feature}"), as RabbitMQ by default from 4.3 on; use the queue type "quorum" or "classic", or set ` +
      `deprecated_features.permit.${feature} = true in the broker's configuration`;
    throw new RpcError("failed_precondition", text, { outcome: "not_executed", cause: error });
  }
}

/** Whether the broker says that there is no such queue. */
export async function isMissing(connection: Connection, queue: string): Promise<boolean> {
  try {
    await connection.borrow(`inspect queue "${queue}"`, (channel) => channel.checkQueue(queue));
    return false;
  } catch (error) {
    return error instanceof RpcError && error.code === "not_found";
  }
}
