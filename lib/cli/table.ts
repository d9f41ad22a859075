import stringWidth from "string-width";

/** One column of a table. */
export interface Column {
  readonly title: string;
  /**
   * @default {"right"}
   */
  readonly align?: "left" | "right";
  /** Whether it may be cut off where the table is too wide; one column at most. */
  readonly shrinks?: boolean;
  /** Where the table is still too wide, columns are left out, the highest number first; absent: never. */
  readonly drop?: number;
}

const GAP = 2;
/** A column is not cut off to less than this. */
const MIN_WIDTH = 8;

/** How wide a text is on a terminal. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** A text that is at most `width` wide, with an ellipsis if it was cut off. */
export function truncate(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width < 1) return "";
  let cut = "";
  let used = 1;
  for (const character of text) {
    used += widthOf(character);
    if (used > width) break;
    cut += character;
  }
  return `${cut}…`;
}

function pad(text: string, width: number, align: Column["align"]): string {
  const spaces = " ".repeat(Math.max(0, width - widthOf(text)));
  return align === "left" ? text + spaces : spaces + text;
}

/**
 * A table as lines, each at most `width` wide: a long column is cut off, then columns are left out.
 *
 * @param rows A text for each column; texts of peers must be printable already.
 */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], width = Infinity): string[] {
  const cells = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => widthOf(row[at] ?? ""))));
  const shown = new Set(columns.keys());
  const total = (): number => Array.from(shown).reduce((sum, at) => sum + (widths[at] ?? 0), GAP * (shown.size - 1));
  const shrinking = columns.findIndex(({ shrinks }) => shrinks === true);
  for (;;) {
    const excess = total() - width;
    if (excess <= 0) break;
    const current = widths[shrinking] ?? 0;
    const last = Array.from(shown).sort((a, b) => (columns[b]?.drop ?? 0) - (columns[a]?.drop ?? 0))[0];
    const droppable = last !== undefined && (columns[last]?.drop ?? 0) > 0;
    // Cut off only as far as the text stays readable, while there is something else to leave out.
    const least = droppable ? Math.min(current, 2 * MIN_WIDTH) : MIN_WIDTH;
    if (current > least) widths[shrinking] = Math.max(least, current - excess);
    else if (droppable) shown.delete(last);
    else break;
  }
  return cells.map((row) => {
    const texts = Array.from(
      shown,
      (at) => pad(truncate(row[at] ?? "", widths[at] ?? 0), widths[at] ?? 0, columns[at]?.align),
    );
    const line = texts.join(" ".repeat(GAP)).trimEnd();
    return width === Infinity ? line : truncate(line, width);
  });
}
