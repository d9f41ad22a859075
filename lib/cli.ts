/**
 * The command line for operators: calls queues, and shows their servers. It needs Deno.
 *
 * @example Call the server of tutorial six
 * ```sh
 * deno run --allow-net --allow-env jsr:@rabbitmq-rpc/rpc/cli call rpc_queue 30
 * ```
 *
 * @module
 */
import { runCommands } from "./cli/commands.ts";

if (import.meta.main) {
  await runCommands(Deno.args);
  // Signal listeners and a read of standard input would keep the process alive.
  Deno.exit();
}
