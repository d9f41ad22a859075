/**
 * Runs commands on a terminal of their own, and tells what a person reads there.
 *
 * @module
 */

import xterm from "@xterm/headless";
import { type Script, start } from "./script.ts";

const COLUMNS = 80;
const ROWS = 24;

/** Enough for everything that a command prints to stay readable. */
const SCROLLBACK = 10_000;

/** What a person's shell says of a terminal that shows colours. */
const TERMINAL = { TERM: "xterm-256color", NO_COLOR: "", FORCE_COLOR: "", SHELL: "/bin/sh" } as const;

/** The shell command that runs one of the tasks, with this Deno. */
export function task(args: string): string {
  return `'${Deno.execPath()}' task ${args}`;
}

/** Starts a shell command on a terminal, in the project's folder; its stdout is all that the terminal gets to show. */
export function startOnTerminal(command: string, env: Record<string, string> = {}): Script {
  const sized = `stty cols ${COLUMNS} rows ${ROWS}; ${command}`;
  // What macOS and BSD call `script` takes other arguments than that of util-linux, which each Linux has.
  const script = Deno.build.os === "linux"
    ? ["-qfec", sized, "/dev/null"]
    : ["-q", "/dev/null", "/bin/sh", "-c", sized];
  return start(["script", ...script], { ...TERMINAL, ...env });
}

/** The lines that a person reads in the end, after all that was erased and written over; wrapped lines are one. */
export async function linesOnScreen(output: string): Promise<string[]> {
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, scrollback: SCROLLBACK, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(output, resolve));
  const { active } = terminal.buffer;
  const lines: string[] = [];
  for (let row = 0; row < active.length; row++) {
    const line = active.getLine(row);
    const text = line?.translateToString(true) ?? "";
    if (line?.isWrapped) lines.push(`${lines.pop() ?? ""}${text}`);
    else lines.push(text);
  }
  terminal.dispose();
  while (lines.at(-1) === "") lines.pop();
  return lines;
}
