import process from "node:process";
import { workerHandlers } from "../../lib/worker.ts";
import type { heavy } from "./heavy.ts";

export default workerHandlers<ReturnType<typeof heavy>>({
  compute: (ms) => {
    // What a module sends by itself is not for the server.
    process.send?.({ type: "result", result: 0 });
    const end = performance.now() + ms;
    while (performance.now() < end);
    return Deno.pid;
  },
  spin: () => {
    for (;;);
  },
  wait: (_n, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
  die: (code) => {
    if (code > 0) Deno.exit(code);
    Promise.reject(new Error("Nobody waits for this"));
    return new Promise(() => {});
  },
  describe: async (request, context) => {
    const { deadline, redelivered, messageId, method, headers, callerAlive, replyHeaders } = context;
    replyHeaders["cost"] = "1";
    const left = (deadline?.getTime() ?? 0) - Date.now();
    return JSON.stringify({ request, left, redelivered, messageId, method, headers, alive: await callerAlive() });
  },
  fail: (kind, { error }) => {
    if (kind === "declared") throw error("not_found", "key 7", "No such key");
    if (kind === "plain") throw new TypeError("A secret of the server");
    return Symbol("cannot be cloned") as unknown as string;
  },
});
