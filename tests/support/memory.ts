import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How many bytes of memory are in use, of the heap and beside it, after all garbage was collected. */
export async function memoryInUse(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let n = 0; n < 3; n++) {
    collect();
    // What is freed beside the heap is counted in a later turn.
    await new Promise((resolve) => setTimeout(resolve));
  }
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/**
 * The largest memory that a process or one of those that it has started has taken so far, in KiB; 0 if it has ended, or
 * not on Linux.
 */
export function peakMemory(pid: number): number {
  const status = read(`/proc/${pid}/status`);
  const own = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
  const children = read(`/proc/${pid}/task/${pid}/children`).split(" ").filter((child) => child !== "");
  return Math.max(own, ...children.map((child) => peakMemory(Number(child))));
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
