/** How wide the terminal is; without limit if standard output is none. */
export function columns(): number {
  try {
    return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : Infinity;
  } catch {
    return 80;
  }
}

/** How many lines the terminal has. */
export function rows(): number {
  try {
    return Deno.consoleSize().rows;
  } catch {
    return 24;
  }
}

/** Whether text may be bold: on a terminal, unless `NO_COLOR` is set (https://no-color.org). */
export function mayStyle(): boolean {
  return Deno.stdout.isTerminal() && !Deno.noColor;
}
