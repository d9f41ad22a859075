import type { Load, Peer } from "./peer.ts";
import type { OursOptions } from "./peers/ours.ts";

/** How a peer is named and run. */
export interface PeerInfo {
  /** For the command line and JSON. */
  readonly id: string;
  /** For people. */
  readonly label: string;
  readonly kind: "ours" | "plain" | "library" | "floor";
  /** It leaves Nagle's algorithm on, so that one call waits for a delayed ACK. */
  readonly nagle?: true;
  /** It cannot make more calls than this at once. */
  readonly atMost?: number;
  /** It is measured only where it is named. */
  readonly onlyIfNamed?: true;
  /** Loads what it needs, in the process that needs it; absent for a peer in another language. */
  readonly load?: () => Promise<Peer>;
}

const loadOurs = (options: OursOptions = {}) => async (): Promise<Peer> =>
  (await import("./peers/ours.ts")).ours(await import("../../lib/rpc.ts"), options);
const loadAmqplib = (noDelay?: true) => async (): Promise<Peer> =>
  (await import("./peers/amqplib.ts")).amqplib(noDelay ? { noDelay } : {});
const loadRabbitmqClient = (noDelay?: true) => async (): Promise<Peer> =>
  (await import("./peers/rabbitmq_client.ts")).rabbitmqClient(noDelay ? { noDelay } : {});
const loadCloudamqp = (noDelay?: true) => async (): Promise<Peer> =>
  (await import("./peers/cloudamqp.ts")).cloudamqp(noDelay ? { noDelay } : {});

/** All that are measured, in the order in which they are shown. */
export const PEERS: readonly PeerInfo[] = [
  {
    id: "floor",
    label: "floor: bare sockets",
    kind: "floor",
    load: async () => (await import("./peers/floor.ts")).floor,
  },
  { id: "ours", label: "**this library**", kind: "ours", load: loadOurs() },
  {
    id: "ours-direct",
    label: "**this library**, direct reply-to",
    kind: "ours",
    load: loadOurs({ replies: "direct" }),
  },
  {
    id: "ours-headers",
    label: "**this library**, two headers",
    kind: "ours",
    onlyIfNamed: true,
    load: loadOurs({ headers: true }),
  },
  {
    id: "ours-telemetry",
    label: "**this library**, telemetry without an SDK",
    kind: "ours",
    onlyIfNamed: true,
    load: async () => {
      const { telemetry } = await import("../../lib/telemetry.ts");
      return await loadOurs({ interceptors: [telemetry.client(), telemetry.server()] })();
    },
  },
  { id: "amqplib", label: "amqplib as in the tutorial", kind: "plain", nagle: true, load: loadAmqplib() },
  { id: "amqplib-nodelay", label: "amqplib, noDelay", kind: "plain", load: loadAmqplib(true) },
  { id: "rabbitmq-client", label: "rabbitmq-client", kind: "library", nagle: true, load: loadRabbitmqClient() },
  {
    id: "rabbitmq-client-nodelay",
    label: "rabbitmq-client, noDelay",
    kind: "library",
    load: loadRabbitmqClient(true),
  },
  { id: "cloudamqp", label: "@cloudamqp/amqp-client", kind: "library", nagle: true, load: loadCloudamqp() },
  {
    id: "cloudamqp-nodelay",
    label: "@cloudamqp/amqp-client, noDelay*",
    kind: "library",
    load: loadCloudamqp(true),
  },
  { id: "pika", label: "pika (Python) as in the tutorial", kind: "plain", atMost: 1 },
];

/** What the id of {@linkcode before} begins with. */
export const BEFORE = "before:";

/** This library as it is in another checkout, to be measured beside this one. */
export function before(folder: string): PeerInfo {
  return {
    id: `${BEFORE}${folder}`,
    label: "this library before",
    kind: "plain",
    load: async () => {
      // The file may lie anywhere, so it is only known when it runs.
      const library = await import(`file://${folder}/lib/rpc.ts`);
      return (await import("./peers/ours.ts")).ours(library);
    },
  };
}

/** The peer of that id. */
export function findPeer(id: string): PeerInfo | undefined {
  return id.startsWith(BEFORE) ? before(id.slice(BEFORE.length)) : PEERS.find((info) => info.id === id);
}

/** Debian's Python has Debian's pika; another one may come first on the PATH. */
const PYTHONS = ["/usr/bin/python3", "python3"];

let python: string | undefined;

/** Whether a Python with pika is installed. */
export async function findPika(): Promise<boolean> {
  for (const program of PYTHONS) {
    try {
      const { success } = await new Deno.Command(program, { args: ["-c", "import pika"], stderr: "null" }).output();
      if (!success) continue;
      python = program;
      return true;
    } catch {
      // This Python is not there.
    }
  }
  return false;
}

function pathOf(file: string): string {
  return new URL(file, import.meta.url).pathname;
}

const PIPES = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;

/** The process that runs a module of this folder. */
export function denoProcess([module = "", ...args]: readonly string[], flags: readonly string[] = []): Deno.Command {
  return new Deno.Command(Deno.execPath(), { args: ["run", "-A", ...flags, pathOf(module), ...args], ...PIPES });
}

/** The process of one side of a peer. */
export function command(peer: PeerInfo, role: "server" | "client", load: Load): Deno.Command {
  const json = JSON.stringify(load);
  if (peer.load !== undefined) return denoProcess(["worker.ts", role, peer.id, json]);
  return new Deno.Command(python ?? "python3", { args: [pathOf("peers/pika_pair.py"), role, json], ...PIPES });
}
