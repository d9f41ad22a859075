import { hostname } from "node:os";
import process from "node:process";
import { VERSION } from "../contract/version.ts";

/** A name that the broker accepts, in bytes. */
const MAX_NAME_BYTES = 255;
/** A text with so many UTF-16 code units is never longer than that. */
const SURE_LENGTH = 80;

/** Deno would ask for the permission on a terminal; other runtimes know none. */
function readHostname(): string | undefined {
  try {
    const granted = typeof Deno === "undefined" ||
      Deno.permissions.querySync({ name: "sys", kind: "hostname" }).state === "granted";
    return granted ? hostname() : undefined;
  } catch {
    return undefined;
  }
}

/** The name of a connection without a name of its own: `server.ts@web-1 pid=4242 rpc=0.2.0`. */
export function defaultName(): string {
  const script = process.argv[1]?.split(/[/\\]/).at(-1) || "rpc";
  const host = readHostname();
  const name = `${script}${host === undefined ? "" : `@${host}`} pid=${process.pid} rpc=${VERSION}`;
  return new TextEncoder().encode(name).length > MAX_NAME_BYTES ? name.slice(0, SURE_LENGTH) : name;
}

/** What the broker shows of a connection: `rabbitmqctl list_connections client_properties`. */
export function clientProperties(name: string | undefined): Readonly<Record<string, string>> {
  return {
    product: "@rabbitmq-rpc/rpc",
    version: VERSION,
    platform: typeof Deno === "undefined" ? `Node.js ${process.version}` : `Deno ${Deno.version.deno}`,
    connection_name: name ?? defaultName(),
  };
}
