import { RpcError } from "../contract/errors.ts";
import type { AnyProcedure, QueueSettings } from "../contract/procedure.ts";
import type { Service } from "../contract/service.ts";
import type { AnyHandler } from "./request_runner.ts";

/** What is served over one queue. */
export interface Served {
  readonly queue: QueueSettings;
  /** The procedures and their handlers, by method; the key is undefined for a procedure with a queue of its own. */
  readonly procedures: ReadonlyMap<
    string | undefined,
    { readonly procedure: AnyProcedure; readonly handler: AnyHandler }
  >;
  /** The method for requests that name none. */
  readonly default: string | undefined;
  /** Whether the queue is a service's, so that requests name a method. */
  readonly hasMethods: boolean;
}

/** A procedure with its handler, as it is served. */
export function servedProcedure(procedure: AnyProcedure, handler: unknown): Served {
  if (typeof handler !== "function") throw new TypeError("Cannot serve: 'handler' must be a function");
  const procedures = new Map([[undefined, { procedure, handler: handler as AnyHandler }]]);
  return { queue: procedure, procedures, default: undefined, hasMethods: false };
}

/**
 * A service with the handlers of its methods, as it is served.
 *
 * @throws {TypeError} If a method has no handler, or a handler no method.
 */
export function servedService(service: Service<Record<never, never>>, handlers: unknown): Served {
  const { queue, methods } = service;
  if (typeof handlers !== "object" || handlers === null) {
    throw new TypeError(`Cannot serve "${queue}": 'handlers' must be an object with a function for each method`);
  }
  const names = Object.keys(methods);
  const extra = Object.keys(handlers).find((name) => !names.includes(name));
  if (extra !== undefined) {
    throw new TypeError(`Cannot serve "${queue}": it has no method "${extra}", only ${names.join(", ")}`);
  }
  const procedures = new Map(names.map((name) => {
    const handler = Object.hasOwn(handlers, name) ? (handlers as Record<string, unknown>)[name] : undefined;
    if (typeof handler !== "function") {
      throw new TypeError(`Cannot serve "${queue}": the method "${name}" needs a handler, which must be a function`);
    }
    const procedure = (methods as Readonly<Record<string, AnyProcedure>>)[name] as AnyProcedure;
    return [name as string | undefined, { procedure, handler: handler as AnyHandler }];
  }));
  return { queue: service, procedures, default: service.default, hasMethods: true };
}

/** How much of a peer's text an error quotes, in UTF-16 code units. */
const QUOTED = 64;

/** The error for the caller of an unknown method. */
export function unimplemented({ queue: { queue }, procedures }: Served, method: string | undefined): RpcError {
  const names = Array.from(procedures.keys()).join(", ");
  const what = method === undefined
    ? "the request names no method, and there is no default"
    : `there is no method ${JSON.stringify(method.slice(0, QUOTED))}`;
  return new RpcError("unimplemented", `Cannot call "${queue}": ${what}; it has ${names}`, { outcome: "not_executed" });
}
