import type { LogRecord } from "./log_record.ts";

/** What needs quotes in a line for people, so that each field has one end. */
const QUOTED = /[\s"=]|^$/;

/** A record as a line for people; frames of a stack follow on lines of their own, indented. */
export function textLine({ level, message, fields, stack = [] }: LogRecord, time: Date): string {
  const pairs = Object.entries(fields).map(([name, value]) => {
    const text = String(value);
    return ` ${name}=${QUOTED.test(text) ? JSON.stringify(text) : text}`;
  });
  const line = `${time.toISOString()} ${level.toUpperCase().padEnd(5)} ${message}${pairs.join("")}`;
  return [line, ...stack].join("\n");
}

/** A record as one line of JSON. */
export function jsonLine({ level, event, message, fields, stack = [] }: LogRecord, time: Date): string {
  const shown = stack.length === 0 ? {} : { stack: stack.join("\n") };
  return JSON.stringify({ time: time.toISOString(), level, event, message, ...fields, ...shown });
}
