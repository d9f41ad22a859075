/**
 * The handlers of a module that a server runs in processes of its own, for work that would block its event loop.
 *
 * @example The module
 * ```ts
 * import { integer, procedure } from "@rabbitmq-rpc/rpc";
 * import { workerHandlers } from "@rabbitmq-rpc/rpc/worker";
 *
 * const square = procedure({ queue: "square", request: integer(), reply: integer() });
 *
 * export default workerHandlers<typeof square>((n) => n * n);
 * ```
 *
 * @module
 */
export { workerHandlers } from "./worker/worker_handlers.ts";
export { RpcError } from "./contract/errors.ts";
export type { RpcCode, RpcErrorOptions, RpcOutcome } from "./contract/errors.ts";
