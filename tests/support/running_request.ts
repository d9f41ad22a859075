import { AckBatcher } from "../../lib/server/ack_batcher.ts";
import { type Arrival, type ContextHost, type Intake, RunningRequest } from "../../lib/server/running_request.ts";
import type { Delivery } from "../../lib/wire/message.ts";
import { readRequest } from "../../lib/wire/request_message.ts";

const INTAKE: Intake = { arrived: () => {}, handled: () => {}, settled: () => {}, aborted: () => {} };

/** A request as a consumer makes it of a delivery. */
export function runningRequest(
  delivery: Delivery,
  arrival: Partial<Arrival> = {},
  host: Partial<ContextHost> = {},
): RunningRequest {
  const arrivedAt = performance.now();
  const acks = new AckBatcher({ closed: false, ack: () => {}, nack: () => {} });
  return new RunningRequest(
    delivery,
    readRequest(delivery),
    { acks, intake: INTAKE, arrivedAt, arrivedAfter: arrivedAt, waited: 0, ...arrival },
    { queue: "q", propagate: [], callerAlive: () => Promise.resolve(true), knowsWaits: () => false, ...host },
  );
}
