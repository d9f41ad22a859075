/**
 * Tests with pika, where Python has it: a client or server that knows nothing of this library.
 *
 * @module
 */

import { live } from "./live.ts";

/** A plain tutorial pair: `server QUEUE` or `client QUEUE N`, at `AMQP_URL`. */
export const PIKA_PEER = new URL("pika_peer.py", import.meta.url).pathname;

/** Debian's own Python sees Debian's packages; another one on the PATH does not. */
const PYTHON = await findPython();

async function findPython(): Promise<string | undefined> {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  for (const python of ["/usr/bin/python3", "python3"]) {
    try {
      const { success } = await new Deno.Command(python, { args: ["-c", "import pika"], stderr: "null" }).output();
      if (success) return python;
    } catch {
      // Not installed.
    }
  }
  return undefined;
}

/** Registers a test that needs pika; ignored without it. */
export function interop(
  name: string,
  fn: (live: { url: string; queue: string; python: string }) => Promise<void>,
): void {
  const python = PYTHON ?? "";
  live(`${name} (python3-pika)`, { run: true, ignore: python === "" }, (found) => fn({ ...found, python }));
}
