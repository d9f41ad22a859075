import process from "node:process";
import { fileURLToPath } from "node:url";
import { WORKER_ARGUMENT } from "../contract/worker_message.ts";

/** How a worker process is started. */
export interface WorkerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Record<string, string | undefined>;
}

const PERMISSIONS = ["read", "write", "net", "env", "sys", "run", "ffi"] as const;

/**
 * The command of a worker process. Its main module is the user's, so that Deno finds the user's configuration; it has
 * the permissions that this process has without limits, and no others.
 */
export function workerCommand(module: string): WorkerCommand {
  if (!("Deno" in globalThis)) {
    return { command: process.execPath, args: [fileURLToPath(module), WORKER_ARGUMENT], env: process.env };
  }
  const granted = PERMISSIONS.filter((name) => isGranted({ name })).map((name) => `--allow-${name}`);
  // Deno permits "deno" and its path separately.
  const command = isGranted({ name: "run", command: process.execPath }) ? process.execPath : "deno";
  return {
    command,
    args: ["run", "--quiet", "--no-prompt", ...granted, module, WORKER_ARGUMENT],
    env: isGranted({ name: "env" }) ? process.env : {},
  };
}

function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}
