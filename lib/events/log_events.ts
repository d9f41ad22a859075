import { printable, printableError } from "../contract/printable.ts";
import type { ClientEvent } from "./client_event.ts";
import { FLOOD, FloodWatch } from "./flood_watch.ts";
import { jsonLine, textLine } from "./log_line.ts";
import { levelOf, type LogLevel, type LogRecord, recordOf, type RpcEvent } from "./log_record.ts";
import { type Allowance, LogThrottle } from "./log_throttle.ts";
import type { ServerEvent } from "./server_event.ts";

/** Options of {@linkcode logEvents}. */
export interface LogOptions {
  /**
   * `text` is for people. `json` is for machines: one object a line, with `time` (ISO 8601, UTC, ms), `level`, `event`,
   * `message`, and, where they apply, `host`, `queue`, `method`, `message_id`, `correlation_id`, `code`, `outcome`,
   * `error_id`, `attempt`, `attempts`, `redelivered`, `duration_ms`, `delay_ms`, `left_out`, `stack`.
   *
   * @default {"text"}
   */
  readonly format?: "text" | "json";
  /**
   * The lowest level that is written. `error`: handlers that threw. `warn`: losses and alarms and their ends, requests
   * and replies that are dropped, calls and requests that failed for a reason of the system. `info`: the first connect,
   * and those that failed for a reason of their own, such as `invalid_argument`. `debug`: every call and request.
   *
   * @default {"info"}
   */
  readonly level?: LogLevel;
  /**
   * Called with each line, without its end. In `text`, the stack of an error that a handler threw follows on lines of
   * its own, indented.
   *
   * @default {writes to stderr}
   */
  readonly write?: (line: string) => void;
}

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** How much of a reason is compared with others, in UTF-16 code units. */
const COMPARED = 1_000;

/** While nothing changes, one line a minute says that it is still tried. */
const RETRYING: Allowance = { lines: 1, interval: 60_000 };

function check({ format = "text", level = "info", write = console.error }: LogOptions): void {
  if (format !== "text" && format !== "json") {
    throw new TypeError(`Cannot log events: 'format' must be "text" or "json", got ${String(format)}`);
  }
  if (!ORDER.includes(level)) {
    throw new TypeError(`Cannot log events: 'level' must be one of ${ORDER.join(", ")}, got ${String(level)}`);
  }
  if (typeof write !== "function") throw new TypeError("Cannot log events: 'write' must be a function of the line");
}

/** Which lines are alike, so that only some of them are written; those of a stranger's own words are not told apart. */
function kindOf(event: RpcEvent): string {
  switch (event.type) {
    case "disconnected":
    case "retrying":
      return `${event.type} ${event.error.message.slice(0, COMPARED)}`;
    case "blocked":
      return `${event.type} ${event.reason}`;
    case "called":
    case "handled":
      return `${event.type} ${event.queue} ${event.code}`;
    default:
      return "queue" in event ? `${event.type} ${event.queue}` : event.type;
  }
}

/**
 * A listener that writes a line for each event: pass it as `onEvent` to `RpcClient.connect` and `RpcServer.connect`.
 *
 * The texts of peers are escaped and bounded, and no line holds a password. Of lines that are alike, 5 are written in
 * 10 s, and then how many were left out; of retries for the same reason, one in a minute. A thousand late replies in
 * 10 s are a warning. With the level `debug`, a line
 * is written for every call and request.
 *
 * Both sides write the same `message_id` for one call.
 *
 * @param options The format, the lowest level, and where lines go.
 * @returns The listener.
 * @throws {TypeError} If an option is not valid.
 *
 * @example
 * ```ts
 * import { logEvents, RpcServer } from "@rabbitmq-rpc/rpc";
 *
 * async function main(): Promise<void> {
 *   await using server = await RpcServer.connect("amqp://localhost", { onEvent: logEvents({ format: "json" }) });
 * }
 * ```
 */
export function logEvents(options: LogOptions = {}): (event: ClientEvent | ServerEvent) => void {
  check(options);
  // Looked up at each line: another one may be set meanwhile.
  const { format = "text", level = "info", write = (line) => console.error(line) } = options;
  const lowest = ORDER.indexOf(level);
  const toLine = format === "json" ? jsonLine : textLine;
  const throttle = new LogThrottle<LogRecord>(({ level, event, fields: { host, queue, code } }, left_out) => {
    const fields = {
      ...(host === undefined ? {} : { host }),
      ...(queue === undefined ? {} : { queue }),
      ...(code === undefined ? {} : { code }),
      left_out,
    };
    write(toLine({ level, event, message: `Left out ${left_out} more like this: ${event}`, fields }, new Date()));
  });
  const lateReplies = new FloodWatch();
  let lost: unknown;
  return (event) => {
    if (event.type === "late_reply" && lateReplies.count() && lowest <= ORDER.indexOf("warn")) {
      const message = `${FLOOD} replies came within 10 s that no call waits for`;
      write(toLine({ level: "warn", event: event.type, message, fields: {} }, new Date()));
    }
    if (ORDER.indexOf(levelOf(event)) < lowest) return;
    // The first attempt after a loss has the loss's reason.
    if (event.type === "retrying" && event.error === lost) return;
    if (event.type === "disconnected") lost = event.error;
    const record = recordOf(event);
    const ofCall = event.type === "called" || event.type === "handled";
    const each = level === "debug" && (ofCall || (record.level === "debug" && event.type !== "late_reply"));
    const allowance = event.type === "retrying" ? RETRYING : {};
    if (each || throttle.admits(kindOf(event), record, allowance)) write(toLine(record, new Date()));
  };
}

const warnings = logEvents({ level: "warn" });

/** The listener where the user has none: writes to stderr what an operator should know, and nothing of single calls. */
export function logWarnings(event: ClientEvent | ServerEvent): void {
  if (event.type !== "called" && event.type !== "handled") warnings(event);
}

const ANY_FAULT: Allowance = { lines: 50 };
const faults = new LogThrottle<string>((what, count) => writeFault(`Left out ${count} more like this: ${what}`));

function writeFault(message: string, stack: readonly string[] = []): void {
  console.error(
    textLine({ level: "error", event: "fault", message: printable(message), fields: {}, stack }, new Date()),
  );
}

/** Writes to stderr what a function of the user's threw, which is then ignored. */
export function logFault(what: string, error: unknown): void {
  // The text may be another one each time, and a peer's.
  if (!faults.admits(what, what, ANY_FAULT)) return;
  const [head = "", ...stack] = printableError(error).split("\n");
  if (!faults.admits(`${what} ${head}`, what)) return;
  writeFault(`${what} ${head}`, stack);
}
