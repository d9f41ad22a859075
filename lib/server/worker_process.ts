import { type ChildProcess, spawn } from "node:child_process";
import v8 from "node:v8";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import type { RequestContext } from "../contract/request_context.ts";
import { type FromWorker, fromWorkerError, type ToWorker, toWorkerError } from "../contract/worker_message.ts";
import { workerCommand } from "./worker_command.ts";
import { WorkerEndedError } from "./worker_ended_error.ts";

/** How long a process may take until its module has called `workerHandlers`, in ms. */
const START_PATIENCE_MS = 30_000;
/** How long a handler may go on after its signal is aborted, in ms; then its process is killed. */
export const ABORT_GRACE_MS = 25;
/** How long an idle process may take to exit, in ms; then it is killed. */
const EXIT_PATIENCE_MS = 1_000;

/** A request that a worker runs. */
interface Run {
  readonly context: RequestContext;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** One worker process; it runs one request at a time. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<readonly string[] | undefined>();
  readonly #ended = Promise.withResolvers<Error>();
  #run: Run | undefined;
  #killTimer: ReturnType<typeof setTimeout> | undefined;
  #started = false;
  #over = false;
  #killed = false;

  /**
   * Starts a process.
   *
   * @throws {RpcError} `permission_denied` if Deno does not permit it.
   */
  constructor(module: string) {
    const { command, args, env } = workerCommand(module);
    try {
      const stdio = ["ignore", "inherit", "inherit", "ipc"] as const;
      this.#child = spawn(command, args, { stdio: [...stdio], serialization: "advanced", env });
    } catch (error) {
      throw notPermitted(error);
    }
    this.#child.on("message", (message) => {
      // Anything else is the module's own: it may call `process.send` too.
      if (message instanceof Uint8Array) this.#received(v8.deserialize(message));
    });
    this.#child.on("error", (error) => {
      if (this.#started) {
        // It has most likely died: a message cannot be sent to it (EPIPE), and "exit" comes later.
        this.#child.kill("SIGKILL");
        this.#end(new WorkerEndedError(`The worker process cannot be reached: ${error.message}`));
        return;
      }
      this.kill();
      this.#end(notPermitted(error));
    });
    this.#child.on("exit", (code, signal) => {
      const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
      this.#end(new WorkerEndedError(`The worker process ${how}`));
    });
    // Whoever waits for it gets the error; nobody may.
    this.#ready.promise.catch(() => {});
  }

  /** Settles when the module has called `workerHandlers`, with the names of its methods; undefined for one handler. */
  async ready(): Promise<readonly string[] | undefined> {
    const { promise } = this.#ready;
    if (await settlesWithin(promise, START_PATIENCE_MS)) return await promise;
    this.kill();
    throw new WorkerEndedError(`The module has not called workerHandlers() within ${START_PATIENCE_MS} ms`);
  }

  /** Resolves with the reason when the process has ended. */
  get ended(): Promise<Error> {
    return this.#ended.promise;
  }

  /** Whether it is starting, runs a request, or has ended. */
  get busy(): boolean {
    return !this.#started || this.#over || this.#run !== undefined;
  }

  /**
   * Runs a request. After its signal is aborted the handler has a moment to end; then the process is killed.
   *
   * @throws {WorkerEndedError} If the process ends before the handler does.
   */
  async run(request: unknown, context: RequestContext): Promise<unknown> {
    const { signal, deadline, redelivered, deliveryCount, messageId, method, headers, propagated } = context;
    const left = deadline === undefined ? undefined : deadline.getTime() - Date.now();
    const known = { left, redelivered, deliveryCount, messageId, method, headers, propagated };
    const abort = (): void => this.#abort(signal.reason);
    try {
      return await new Promise((resolve, reject) => {
        this.#run = { context, resolve, reject };
        this.#send({ type: "run", request, context: known });
        if (signal.aborted) abort();
        else signal.addEventListener("abort", abort, { once: true });
      });
    } finally {
      signal.removeEventListener("abort", abort);
      clearTimeout(this.#killTimer);
      this.#run = undefined;
    }
  }

  /** Ends an idle process; resolves when it has ended. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    if (!await settlesWithin(this.ended, EXIT_PATIENCE_MS)) this.kill();
    await this.ended;
  }

  /** Ends the process at once. */
  kill(): void {
    this.#killed = true;
    if (!this.#over) this.#child.kill("SIGKILL");
  }

  /** Whether it was ended by {@linkcode WorkerProcess.kill}. */
  get killed(): boolean {
    return this.#killed;
  }

  /** @throws {TypeError} If the message cannot be cloned. */
  #send(message: ToWorker): void {
    // Serialized here: if a value cannot be cloned, `send` would write a part of it, and break the channel (Deno 2.9).
    const bytes = v8.serialize(message);
    if (this.#child.connected) this.#child.send(bytes);
  }

  #abort(reason: unknown): void {
    this.#killTimer = setTimeout(() => this.kill(), ABORT_GRACE_MS);
    this.#send({ type: "abort", error: toWorkerError(reason) });
  }

  #received(message: FromWorker): void {
    if (message.type === "ready") {
      this.#started = true;
      this.#ready.resolve(message.methods);
      return;
    }
    const run = this.#run;
    if (run === undefined) return;
    if (message.type === "asksCallerAlive") {
      const { id } = message;
      run.context.callerAlive().then((alive) => this.#send({ type: "callerAlive", id, alive }));
      return;
    }
    Object.assign(run.context.replyHeaders, message.headers);
    if (message.type === "result") run.resolve(message.result);
    else run.reject(fromWorkerError(message.error));
  }

  #end(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#ready.reject(error);
    // If it was killed because the handler did not obey its signal, the signal's reason says more.
    const { signal } = this.#run?.context ?? {};
    this.#run?.reject(signal?.aborted ? signal.reason : error);
    this.#ended.resolve(error);
  }
}

function notPermitted(error: unknown): Error {
  if (!(error instanceof Error) || !/^(NotCapable|PermissionDenied)$|^EACCES/.test(error.name)) {
    return error instanceof Error ? error : new Error(String(error));
  }
  const text = "Cannot start a worker process: the server needs the permissions --allow-run=deno and --allow-env";
  return new RpcError("permission_denied", `${text} (${error.message})`, { cause: error });
}
