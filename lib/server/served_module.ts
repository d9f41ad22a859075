import type { AnyProcedure } from "../contract/procedure.ts";
import type { RequestContext } from "../contract/request_context.ts";
import type { Methods, Service } from "../contract/service.ts";
import { type Served, servedProcedure, servedService } from "./served.ts";
import type { WorkerPool } from "./worker_pool.ts";

/**
 * A procedure or service whose handlers are those of a module, run by workers.
 *
 * @throws {TypeError} If the module has other handlers than the procedure or service needs.
 */
export function servedByWorkers(what: AnyProcedure | Service<Methods>, pool: WorkerPool): Served {
  const handler = (request: unknown, context: RequestContext): Promise<unknown> => pool.run(request, context);
  const { methods } = pool;
  if (!("methods" in what)) {
    if (methods === undefined) return servedProcedure(what, handler);
    throw new TypeError(
      `Cannot serve "${what.queue}": its module must have one handler, and has ${methods.join(", ")}`,
    );
  }
  if (methods === undefined) {
    throw new TypeError(
      `Cannot serve "${what.queue}": its module must have a handler for each method, and has only one`,
    );
  }
  return servedService(what, Object.fromEntries(methods.map((name) => [name, handler])));
}
