/**
 * The samples of output in the README, in `<pre>`: what a person sees, with figures that differ from run to run.
 *
 * @module
 */

/** A command of a sample, and what the README says that it prints. */
export interface Sample {
  /** Undefined where the lines are those of a program that is running already. */
  readonly command: string | undefined;
  /** Without empty ones; `...` in a line stands for any text. */
  readonly lines: readonly string[];
  /** The line of the README. */
  readonly line: number;
}

/** All samples, in their order. */
export function samplesOf(markdown: string): readonly Sample[] {
  const samples: { command: string | undefined; lines: string[]; line: number }[] = [];
  let current: string[] | undefined;
  let inside = false;
  for (const [index, text] of markdown.split("\n").entries()) {
    const [, command] = /^\$ (.*)$/.exec(text) ?? [];
    if (text === "<pre>" || text === "</pre>") {
      inside = text === "<pre>";
      current = undefined;
    } else if (inside && text !== "") {
      if (command !== undefined || current === undefined) {
        current = [];
        samples.push({ command, lines: current, line: index + 1 });
      }
      if (command === undefined) current.push(text);
    }
  }
  return samples;
}

/** What differs from run to run, and what it is written as. */
const MASKS: readonly (readonly [RegExp, string])[] = [
  [/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g, "ID"],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME"],
  [/(?:localhost|127\.0\.0\.1):\d+/g, "HOST:PORT"],
  [/(?<![\w-])\d+(?:[.,]\d+)* (?:us|ms|s|min)\b/g, "DURATION"],
  // Not those of names, such as web-1 and p50.
  [/(?<![\w-])\d+(?:[.,]\d+)*/g, "N"],
  // Columns are as wide as their widest figure.
  [/ +/g, " "],
];

/** How the calls of a run ended; the most frequent code comes first. */
const ENDS = /(?<=: )N \w+(?:, N \w+)*(?=; N\/s)/;

/** A line in which what may differ is masked. */
export function shapeOf(line: string): string {
  const shape = MASKS.reduce((done, [pattern, name]) => done.replace(pattern, name), line.trim());
  return shape.replace(ENDS, (ends) => ends.split(", ").sort().join(", "));
}

/** What the README shows and was not printed, and what was printed and the README does not show; each as shapes. */
export interface Difference {
  readonly missing: readonly string[];
  readonly more: readonly string[];
}

/** Compares lines by their shapes: the README shows those that are alike once. */
export function differenceOf(expected: readonly string[], printed: readonly string[]): Difference {
  const shapes = Array.from(new Set(printed.filter((line) => line !== "").map(shapeOf)));
  const wanted = Array.from(new Set(expected.map(shapeOf)), (shape) => {
    return { shape, pattern: new RegExp(`^${shape.split("...").map(RegExp.escape).join(".*")}$`) };
  });
  return {
    missing: wanted.filter(({ pattern }) => !shapes.some((shape) => pattern.test(shape))).map(({ shape }) => shape),
    more: shapes.filter((shape) => !wanted.some(({ pattern }) => pattern.test(shape))),
  };
}
