import type { RpcError } from "../contract/errors.ts";
import type { ServerEvent } from "../events/server_event.ts";
import type { AckBatcher } from "./ack_batcher.ts";
import type { RunningRequest } from "./running_request.ts";

/** Whether the broker closed a channel because a request was not acknowledged in time, as RabbitMQ does before 4.3. */
export function isConsumerTimeout(error: RpcError): boolean {
  return error.code === "failed_precondition" && /delivery acknowledgement .*timed out/.test(error.message);
}

/** Whether the broker refused a queue or its consumer because such queues have no timeout: classic ones, from 4.3 on. */
export function refusesConsumerTimeout(refusal: Error | undefined): boolean {
  return refusal !== undefined && refusal.message.includes("invalid arg 'x-consumer-timeout'");
}

/**
 * The event for a consumer timeout; it names the request that has been in progress for the longest time.
 *
 * @param running All requests in progress, in the order in which they arrived.
 * @param acks Those of the consumer that was ended.
 * @returns Undefined if that consumer has no requests in progress, so that it was not ended by a timeout.
 */
export function consumerTimeout(
  queue: string,
  running: Iterable<RunningRequest>,
  acks: AckBatcher | undefined,
): ServerEvent | undefined {
  for (const { acks: its, method, messageId, arrivedAt } of running) {
    if (its !== acks) continue;
    return { type: "consumer_timeout", queue, method, messageId, duration: performance.now() - arrivedAt };
  }
  return undefined;
}
