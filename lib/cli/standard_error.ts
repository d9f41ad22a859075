import { type ClientEvent, logEvents } from "../rpc.ts";

/** What is drawn on standard error at the moment. */
interface Drawing {
  /** Removes it; it is drawn again later. */
  clear(): void;
}

let drawing: Drawing | undefined;

/** Notes what is drawn on standard error from now on; undefined: nothing. */
export function setDrawing(drawn: Drawing | undefined): void {
  drawing = drawn;
}

/** Prints a line to standard error, above what is drawn there. */
export function printError(line: string): void {
  drawing?.clear();
  console.error(line);
}

const warnings = logEvents({ level: "warn", write: printError });

/** Prints what an operator should know of a client's connection; how its calls ended is printed elsewhere. */
export function printWarnings(event: ClientEvent): void {
  if (event.type !== "called") warnings(event);
}
