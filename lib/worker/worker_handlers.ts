import process from "node:process";
import { setImmediate } from "node:timers";
import v8 from "node:v8";
import type { AnyProcedure } from "../contract/procedure.ts";
import type { Methods, Service } from "../contract/service.ts";
import {
  type FromWorker,
  fromWorkerError,
  type ToWorker,
  toWorkerError,
  WORKER_ARGUMENT,
  type WorkerRequest,
} from "../contract/worker_message.ts";
import type { HandlersOf } from "../server/server_options.ts";
import { WorkerContext } from "./worker_context.ts";

type AnyHandler = (request: unknown, context: WorkerContext) => unknown;

/**
 * Defines the handlers of a module that a server runs in processes of its own; see `RpcServer.serve` and `WorkerPool`.
 * In such a process, it waits for requests; elsewhere it only returns the handlers, so that a test can call them.
 *
 * Requests, results and the details of errors go from process to process, as by `structuredClone`: a class loses its
 * methods. What the handlers print goes to the output of the server.
 *
 * @typeParam What The type of the procedure or service, such as `typeof users`; import it with `import type`, and the
 *   process starts faster.
 * @param handlers The handler of a procedure, or one for each method of a service.
 * @returns The handlers.
 * @throws {Error} If it is called twice in such a process: the module must not import another one that calls it.
 *
 * @example
 * ```ts
 * import { integer, procedure } from "@rabbitmq-rpc/rpc";
 * import { workerHandlers } from "@rabbitmq-rpc/rpc/worker";
 *
 * const primes = procedure({ queue: "primes", request: integer({ min: 0 }), reply: integer() });
 *
 * export default workerHandlers<typeof primes>((limit) => {
 *   let count = 0;
 *   for (let n = 2; n <= limit; n++) {
 *     let divisor = 2;
 *     while (n % divisor !== 0) divisor++;
 *     if (divisor === n) count++;
 *   }
 *   return count;
 * });
 * ```
 */
export function workerHandlers<What extends AnyProcedure | Service<Methods>>(
  handlers: HandlersOf<What>,
): HandlersOf<What> {
  if (process.argv.includes(WORKER_ARGUMENT) && process.send !== undefined) {
    if (started) throw new Error("Cannot define handlers: workerHandlers() was called before in this process");
    started = true;
    new Worker(handlers).start();
  }
  return handlers;
}

/** Whether this process has its handlers. */
let started = false;

/** Runs the requests that the server sends, one at a time. */
class Worker {
  readonly #handlers: unknown;
  #controller = new AbortController();
  readonly #asking = new Map<number, (alive: boolean) => void>();
  #lastQuestion = 0;

  constructor(handlers: unknown) {
    this.#handlers = handlers;
  }

  start(): void {
    const handlers = this.#handlers;
    process.on("message", (message: Uint8Array) => this.#received(v8.deserialize(message)));
    process.on("disconnect", () => process.exit(0));
    // Ctrl-C reaches this process too, but the server decides when it ends.
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
    const methods = typeof handlers === "function" ? undefined : Object.keys(handlers ?? {});
    // Only after the rest of the module, up to a top-level await, is evaluated: if that fails, the process ends.
    setImmediate(() => this.#send({ type: "ready", methods }));
  }

  #send(message: FromWorker): void {
    process.send?.(v8.serialize(message));
  }

  #received(message: ToWorker): void {
    if (message.type === "run") this.#run(message.request, message.context);
    else if (message.type === "abort") this.#controller.abort(fromWorkerError(message.error));
    else {
      this.#asking.get(message.id)?.(message.alive);
      this.#asking.delete(message.id);
    }
  }

  async #run(request: unknown, asked: WorkerRequest): Promise<void> {
    const { signal } = this.#controller = new AbortController();
    const context = new WorkerContext(asked, signal, () => this.#callerAlive());
    const headers = context.replyHeaders;
    try {
      const handler = this.#handlerOf(asked.method);
      this.#send({ type: "result", result: await handler(request, context), headers });
    } catch (error) {
      this.#sendError(error, headers);
    }
  }

  #sendError(error: unknown, headers: Readonly<Record<string, string>>): void {
    try {
      this.#send({ type: "error", error: toWorkerError(error), headers });
    } catch (fault) {
      // The details or headers cannot be cloned.
      this.#send({
        type: "error",
        error: { ...toWorkerError(fault), code: undefined, details: undefined },
        headers: {},
      });
    }
  }

  #handlerOf(method: string | undefined): AnyHandler {
    const handlers = this.#handlers;
    const handler = method === undefined ? handlers : (handlers as Record<string, unknown>)[method];
    if (typeof handler !== "function") throw new TypeError(`The worker has no handler for ${method ?? "a procedure"}`);
    // In a variable, so that `this` is undefined inside the handler.
    return handler as AnyHandler;
  }

  #callerAlive(): Promise<boolean> {
    const id = ++this.#lastQuestion;
    return new Promise((resolve) => {
      this.#asking.set(id, resolve);
      this.#send({ type: "asksCallerAlive", id });
    });
  }
}
