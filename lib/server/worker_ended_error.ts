/** The process that ran a request has ended: how far the work got is unknown. */
export class WorkerEndedError extends Error {
  override name = "WorkerEndedError";
}
