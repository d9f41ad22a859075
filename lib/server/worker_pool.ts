import { availableParallelism } from "node:os";
import { backoffDelay } from "../connection/backoff.ts";
import { RpcError } from "../contract/errors.ts";
import type { RequestContext } from "../contract/request_context.ts";
import { checkInteger } from "../contract/validate.ts";
import { WorkerProcess } from "./worker_process.ts";

/** Options of {@linkcode WorkerPool.start}. */
export interface WorkerPoolOptions {
  /**
   * How many processes there are, and so how many requests they run at once, from 1 to 1,000.
   *
   * @default {the number of processors}
   */
  readonly workers?: number;
  /** Called when a process has ended by itself, or could not be replaced; it is replaced, after a while if it fails. */
  readonly onLost?: (reason: Error) => void;
}

/** How many processes a pool may have. */
export const MAX_WORKERS = 1_000;

/** The wait before the next process, when several in a row have ended without a result. */
const RESTART = { min: 100, max: 5_000 };

/** A request that waits for a worker. */
interface Waiting {
  readonly start: (worker: WorkerProcess) => void;
  readonly fail: (reason: unknown) => void;
}

/**
 * Processes that run the handlers of a module, for work that would block the event loop. A handler that does not end
 * within 25 ms after its signal is aborted is stopped by ending its process; a process that ends is replaced.
 *
 * `RpcServer.serve` makes one if it is given the URL of a module. Make one yourself if only some requests need it.
 *
 * @example
 * ```ts
 * import { integer, method, RpcServer, service, text, WorkerPool } from "@rabbitmq-rpc/rpc";
 *
 * const images = service({
 *   queue: "images",
 *   methods: {
 *     name: method({ request: integer(), reply: text() }),
 *     resize: method({ request: integer(), reply: text() }),
 *   },
 * });
 *
 * async function main(): Promise<void> {
 *   // The module ends in: export default workerHandlers<typeof images>({ ... })
 *   await using heavy = await WorkerPool.start(import.meta.resolve("./heavy.ts"), { workers: 2 });
 *   await using server = await RpcServer.connect();
 *   await server.serve(images, {
 *     name: (id) => `image ${id}`,
 *     resize: (id, context) => heavy.run<string>(id, context),
 *   });
 *   await server.untilSignal();
 * }
 * ```
 */
export class WorkerPool implements AsyncDisposable {
  readonly #module: string;
  readonly #onLost: (reason: Error) => void;
  readonly #all = new Set<WorkerProcess>();
  readonly #idle: WorkerProcess[] = [];
  readonly #waiting = new Set<Waiting>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #methods: readonly string[] | undefined;
  /** How many processes in a row have ended by themselves, or did not start. */
  #losses = 0;
  #closing: Promise<void> | undefined;

  private constructor(module: string, onLost: (reason: Error) => void) {
    this.#module = module;
    this.#onLost = onLost;
  }

  /**
   * Starts the processes.
   *
   * @param module The URL of a module that calls `workerHandlers`: `import.meta.resolve("./heavy.ts")`.
   * @param options How many processes there are.
   * @returns The pool, when all processes are ready.
   * @throws {RpcError} `permission_denied` if Deno does not permit it, `failed_precondition` if the module cannot be
   *   loaded or does not call `workerHandlers` within 30 s.
   * @throws {TypeError | RangeError} If the module is not a URL, or an option is not valid.
   */
  static async start(module: string | URL, options: WorkerPoolOptions = {}): Promise<WorkerPool> {
    const { workers = availableParallelism(), onLost = () => {} } = options;
    checkInteger(workers, "workers", "start workers", 1, MAX_WORKERS);
    if (!URL.canParse(module)) {
      throw new TypeError(
        `Cannot start workers: 'module' must be a URL such as import.meta.resolve("./heavy.ts"), got "${module}"`,
      );
    }
    const pool = new WorkerPool(String(module), onLost);
    try {
      const started = await Promise.all(Array.from({ length: workers }, () => pool.#start()));
      pool.#methods = started[0];
    } catch (error) {
      for (const worker of pool.#all) worker.kill();
      await pool.close();
      if (error instanceof RpcError) throw error;
      const text = `Cannot start workers for "${module}": ${error instanceof Error ? error.message : error}`;
      throw new RpcError("failed_precondition", text, { outcome: "not_executed", cause: error });
    }
    return pool;
  }

  /** The methods that the module has handlers for; absent if it has one handler, of a procedure. */
  get methods(): readonly string[] | undefined {
    return this.#methods;
  }

  /**
   * Runs a request in the first process that is free; call it in a handler. The method is that of the context.
   *
   * @typeParam Reply What the handler in the module returns.
   * @param request The request; a copy of it reaches the process, as by `structuredClone`.
   * @param context The handler's context.
   * @returns The result.
   * @throws {RpcError} What the handler threw, or `unavailable` if the pool is closed. If the process ends, the error is
   *   another one, and the caller gets `internal`, `unknown`.
   */
  async run<Reply>(request: unknown, context: RequestContext): Promise<Reply> {
    if (this.#closing !== undefined) throw closed();
    context.signal.throwIfAborted();
    const worker = this.#takeIdle() ?? await this.#next(context.signal);
    try {
      // The type is that of the module's handlers, which `workerHandlers` checks.
      const reply = await worker.run(request, context) as Reply;
      this.#losses = 0;
      return reply;
    } finally {
      this.#free(worker);
    }
  }

  /** Ends the processes. Requests that are still running end with an error; the server that serves them waits first. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode WorkerPool.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const { fail } of this.#waiting) fail(closed());
    for (const timer of this.#timers) clearTimeout(timer);
    for (const worker of this.#all) if (worker.busy) worker.kill();
    await Promise.all(Array.from(this.#all, (worker) => worker.close()));
  }

  async #start(): Promise<readonly string[] | undefined> {
    const worker = new WorkerProcess(this.#module);
    this.#all.add(worker);
    let ready = false;
    worker.ended.then((reason) => this.#ended(worker, reason, ready));
    const methods = await worker.ready();
    ready = true;
    this.#free(worker);
    return methods;
  }

  /** A process may have ended a moment ago. */
  #takeIdle(): WorkerProcess | undefined {
    let worker = this.#idle.pop();
    while (worker?.busy) worker = this.#idle.pop();
    return worker;
  }

  /** Waits for a process that is free. */
  async #next(signal: AbortSignal): Promise<WorkerProcess> {
    const { promise, resolve, reject } = Promise.withResolvers<WorkerProcess>();
    const waiting: Waiting = { start: resolve, fail: reject };
    const abort = (): void => {
      // At once: a process that becomes free before the next microtask is for a request that still waits.
      this.#waiting.delete(waiting);
      reject(signal.reason);
    };
    this.#waiting.add(waiting);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await promise;
    } finally {
      this.#waiting.delete(waiting);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Gives a process its next request. */
  #free(worker: WorkerProcess): void {
    if (worker.busy) return;
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#idle.push(worker);
      return;
    }
    this.#waiting.delete(next);
    next.start(worker);
  }

  #ended(worker: WorkerProcess, reason: Error, wasReady: boolean): void {
    this.#all.delete(worker);
    const at = this.#idle.indexOf(worker);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#closing !== undefined || !wasReady) return;
    if (worker.killed) this.#replace();
    else this.#lost(reason);
  }

  /** The first one is replaced at once. */
  #lost(reason: Error): void {
    this.#onLost(reason);
    const delay = this.#losses === 0 ? 0 : backoffDelay(this.#losses - 1, RESTART);
    this.#losses++;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#replace();
    }, delay);
    this.#timers.add(timer);
  }

  async #replace(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      if (this.#closing === undefined) this.#lost(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function closed(): RpcError {
  return new RpcError("unavailable", "Cannot run a request: the workers are closed");
}
