/**
 * Rejects with an error whose stack shows who awaits the call, without any cost for calls that succeed: V8 adds the async
 * functions that wait for the promise whose reaction is running
 * (https://v8.dev/docs/stack-trace-api#async-stack-traces).
 */
export async function rejected(error: Error): Promise<never> {
  // Two turns, because only in the first the call's promise becomes one that waits for this promise.
  await undefined;
  await undefined;
  Error.captureStackTrace(error);
  throw error;
}
