import { availableParallelism } from "node:os";
import { checkInteger } from "../contract/validate.ts";
import type { ServeOptions } from "./server_options.ts";
import { MAX_WORKERS } from "./worker_pool.ts";

/** The options of `serve`, checked and complete. */
export interface ServeSettings {
  /** The URL of the module with the handlers; absent if they were given. */
  readonly module: string | URL | undefined;
  readonly workers: number;
  readonly prefetch: number;
  readonly loadShedding: boolean;
}

/**
 * Checks the options of `serve`, and fills in defaults.
 *
 * @throws {TypeError | RangeError} If one of them is not valid.
 */
export function serveSettings(handlers: unknown, options: ServeOptions): ServeSettings {
  const module = typeof handlers === "string" || handlers instanceof URL ? handlers : undefined;
  const { workers = availableParallelism(), loadShedding = true } = options;
  const { prefetch = module === undefined ? 10 : workers } = options;
  if (module === undefined && options.workers !== undefined) {
    throw new TypeError("Cannot serve: 'workers' needs the URL of a module in place of handlers");
  }
  checkInteger(workers, "workers", "serve", 1, MAX_WORKERS);
  checkInteger(prefetch, "prefetch", "serve", 1, 65_535);
  if (typeof loadShedding !== "boolean") {
    throw new TypeError(`Cannot serve: 'loadShedding' must be true or false, got ${String(loadShedding)}`);
  }
  return { module, workers, prefetch, loadShedding };
}
