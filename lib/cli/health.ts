import { printable, printableJson } from "../contract/printable.ts";
import type { ServerStatus } from "../rpc.ts";
import { UsageError } from "./command_line.ts";

/** Where health checks are answered. */
export interface HealthAddress {
  readonly hostname: string;
  readonly port: number;
}

/** Only this computer may ask, unless a host is named: the answers name the broker and the queues. */
const DEFAULT_HOST = "127.0.0.1";

/**
 * Reads `8080`, which is for this computer alone, or `0.0.0.0:8080` and `[::]:8080`, which are for others too.
 *
 * @throws {UsageError} If it is neither.
 */
export function parseHealthAddress(text: string): HealthAddress {
  const [, bracketed, plain, digits] = /^(?:(?:\[([\da-f:.]+)\]|([^\s:[\]/]+)):)?(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (port >= 1 && port <= 65_535) return { hostname: bracketed ?? plain ?? DEFAULT_HOST, port };
  throw new UsageError(
    `Invalid value "${text}" for --health: want PORT or HOST:PORT, such as 8080, 0.0.0.0:8080 or [::]:8080`,
  );
}

/** How a server is, or will be: before it is connected for the first time there is none yet. */
export type HealthStatus = ServerStatus | { readonly state: "connecting"; readonly since: Date };

/**
 * Answers a health check, by the paths of Kubernetes: `/livez` is 200 as long as the process answers, `/readyz` is 200
 * while the server can answer requests, else 503. The body has the status, as JSON.
 */
export function answerHealth(request: Request, status: HealthStatus): Response {
  const { pathname } = new URL(request.url);
  if (pathname !== "/livez" && pathname !== "/readyz") return new Response("Not found\n", { status: 404 });
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("Method not allowed\n", { status: 405, headers: { allow: "GET, HEAD" } });
  }
  const ok = pathname === "/livez" || status.state === "serving";
  return new Response(`${printableJson({ ok, ...status })}\n`, {
    status: ok ? 200 : 503,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
  });
}

/**
 * Answers health checks from now on, until the process ends.
 *
 * @param status Gives the status now.
 * @throws {UsageError} If it cannot listen there.
 */
export function serveHealth(address: HealthAddress, status: () => HealthStatus): void {
  try {
    const server = Deno.serve({ ...address, onListen() {} }, (request) => answerHealth(request, status()));
    // It must not keep a process alive whose work is done.
    server.unref();
  } catch (error) {
    const { hostname, port } = address;
    const why = error instanceof Deno.errors.AddrInUse ? "the port is taken" : printable(String(error));
    throw new UsageError(`Cannot answer health checks at ${hostname}:${port}: ${why}`);
  }
}
