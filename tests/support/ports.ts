/**
 * Ports of this machine that nobody uses.
 *
 * @module
 */

const taken = new Set<number>();

/**
 * A port that is free on 127.0.0.1 now, and stays so while a node restarts: below the range from which operating
 * systems take the ports of outgoing connections.
 */
export function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (taken.has(port) || !isFree(port)) continue;
    taken.add(port);
    return port;
  }
}

/** Whether nothing listens on a port of 127.0.0.1. */
export function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}
