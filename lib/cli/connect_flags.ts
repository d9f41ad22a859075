import { checkConnectOptions, type ConnectOptions } from "../connection/connect_options.ts";
import { logEvents, type LogLevel, type LogOptions } from "../rpc.ts";
import { printError } from "./standard_error.ts";
import { type Args, asUsage, parseDuration, UsageError } from "./command_line.ts";

/** The flags of a connection that a script has beside `--url`; each takes a value. */
export const CONNECT_FLAGS = ["log", "log-level", "name", "wait"] as const;

/** How the help describes them. */
export const CONNECT_HELP = `  --log FORMAT        log events to stderr as text or json, one line each
  --log-level LEVEL   debug (every call and request), info (default), warn or error
  --name NAME         the connection's name in RabbitMQ's tools; default is script, process, host and version
  --wait TIME         wait so long for the broker, such as 30s, if none answers`;

type ConnectFlags = Pick<ConnectOptions, "name" | "waitForBroker"> & {
  readonly onEvent?: ReturnType<typeof logEvents>;
};

/** Reads `--log` and `--log-level`; undefined if neither is given. */
function logOptions(format: string | undefined, level: string | undefined): LogOptions | undefined {
  if (format !== undefined && format !== "text" && format !== "json") {
    throw new UsageError(`Invalid value "${format}" for --log: want text or json`);
  }
  const levels: readonly (string | undefined)[] = ["debug", "info", "warn", "error"] satisfies LogLevel[];
  if (level !== undefined && !levels.includes(level)) {
    throw new UsageError(`Invalid value "${level}" for --log-level: want debug, info, warn or error`);
  }
  if (format === undefined && level === undefined) return undefined;
  return { format: format ?? "text", level: (level ?? "info") as LogLevel };
}

/**
 * The options of a connection that the flags ask for.
 *
 * @throws {UsageError} If a value is not valid.
 */
export function connectFlags({ values }: Args): ConnectFlags {
  const log = logOptions(values["log"], values["log-level"]);
  const { name, wait } = values;
  if (name !== undefined) asUsage(() => checkConnectOptions({ name }));
  const waitForBroker = wait === undefined ? undefined : parseDuration(wait, "wait");
  return {
    ...(name === undefined ? {} : { name }),
    ...(waitForBroker === undefined ? {} : { waitForBroker }),
    ...(log === undefined ? {} : { onEvent: logEvents({ ...log, write: printError }) }),
  };
}
