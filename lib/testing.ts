/**
 * Tests without a broker: a client and a server that are joined in memory, and the context of a request for tests that
 * call a handler alone. Neither needs permissions.
 *
 * @example A service, called over memory
 * ```ts
 * import { integer, method, service } from "@rabbitmq-rpc/rpc";
 * import { memory } from "@rabbitmq-rpc/rpc/testing";
 *
 * const maths = service({
 *   queue: "maths",
 *   methods: { double: method({ request: integer(), reply: integer(), idempotent: true }) },
 * });
 *
 * await using rpc = await memory();
 * await rpc.server.serve(maths, { double: (n) => 2 * n });
 * console.assert(await rpc.client.of(maths).double(21) === 42);
 * ```
 *
 * @module
 */
export { type Memory, memory } from "./testing/memory.ts";
export type { MemoryClientOptions, MemoryOptions, MemoryServerOptions } from "./testing/memory.ts";
export { type ContextSource, requestContext, type RequestContextOptions } from "./testing/request_context.ts";
