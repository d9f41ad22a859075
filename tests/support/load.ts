/**
 * Steady load over faults: how many calls, how each ended, and whether that agrees with what the servers have written
 * down.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type ClientEvent,
  type Headers,
  isRpcError,
  RpcClient,
  type RpcClientOptions,
  RpcError,
} from "../../lib/rpc.ts";
import type { Broker } from "./broker.ts";
import { type Heard, type LabServer, listen, readLog, startServer } from "./lab.ts";
import {
  double,
  type DoubleOptions,
  doubles,
  heapInUse,
  isRefused,
  type Kind,
  KINDS,
  type LabServerConfig,
} from "./lab_server.ts";
import { queueInfo, waitFor } from "./live.ts";

const IDEMPOTENT: Readonly<Record<Kind, boolean | undefined>> = { true: true, absent: undefined, false: false };

/** How long each call may take, in ms. */
const TIMEOUT = 30_000;

/** After a fault this many calls of each kind have to end well before the load ends. */
const ENOUGH = 300;

/** A call that did not end in its result; without the error itself, since there may be very many. */
interface Failure {
  readonly n: number;
  readonly code: string;
  readonly outcome: string;
  readonly message: string;
}

/** How long a caller waits after an error before its next call, in ms: those that fail at once would fail by thousands. */
const PAUSE = 20;

/** How the calls of one kind ended. */
class Tally {
  readonly right: number[] = [];
  readonly failures: Failure[] = [];
  /** The longest time without a call that ended well, while the load was steady, in ms. */
  longestGap = 0;
  /** How long the slowest call that ended well took, in ms. */
  slowest = 0;
  #last = performance.now();
  #steady = true;

  succeed(n: number, began: number): void {
    this.right.push(n);
    this.slowest = Math.max(this.slowest, performance.now() - began);
    this.#measure();
  }

  /** The load ends: the last calls are no steady load. */
  end(): void {
    this.#measure();
    this.#steady = false;
  }

  #measure(): void {
    if (!this.#steady) return;
    const now = performance.now();
    this.longestGap = Math.max(this.longestGap, now - this.#last);
    this.#last = now;
  }

  /** `66 unavailable/unknown, 2 aborted/unknown` */
  get errors(): string {
    const counts = new Map<string, number>();
    for (const { code, outcome } of this.failures) {
      const key = `${code}/${outcome}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return Array.from(counts, ([key, count]) => `, ${count} ${key}`).join("");
  }
}

/** Calls that are kept in progress, until it is stopped or disposed of. */
export interface Load extends Disposable {
  /** How many calls of each kind, or of the one that has the fewest, ended well. */
  readonly done: number;
  /** How many calls of each kind ended how. */
  readonly state: string;
  /** Begins no more calls, and waits for those in progress. */
  stop(): Promise<Readonly<Record<Kind, Tally>>>;
}

/** Where the load goes. */
function procedureOf(queue: string, kind: Kind, options: DoubleOptions): ReturnType<typeof double> {
  return double(`${queue}.${kind}`, { queueType: "quorum", ...options, idempotent: IDEMPOTENT[kind] });
}

let next = 0;

/** The queue of the service whose methods are half of the load. */
function serviceOf(queue: string): string {
  return `${queue}.service`;
}

/** Calls a method with a header, and insists on what has to come back. */
async function callMethod(client: RpcClient, queue: string, kind: Kind, n: number): Promise<number> {
  const called = doubles(serviceOf(queue)).methods[kind];
  const echoes: (string | undefined)[] = [];
  const onReplyHeaders = (headers: Headers): void => void echoes.push(headers["n"]);
  try {
    const result = await client.call(called, n, { timeout: TIMEOUT, headers: { n: String(n) }, onReplyHeaders });
    assert(!isRefused(n), `call ${n} should have been refused`);
    assertEquals(echoes, [String(n)]);
    return result;
  } catch (error) {
    if (!isRpcError(error, called) || error.code !== "failed_precondition" || error.outcome !== "executed") throw error;
    assertEquals([isRefused(n), error.details, echoes], [true, { n }, [String(n)]]);
    return 2 * n;
  }
}

/** Keeps `width` calls in progress, a third of each kind; half of them go to methods. */
export function startLoad(client: RpcClient, queue: string, width: number, options: DoubleOptions = {}): Load {
  const tallies: Record<Kind, Tally> = { true: new Tally(), absent: new Tally(), false: new Tally() };
  let stopped = false;

  async function lane(kind: Kind, isMethod: boolean): Promise<void> {
    const called = procedureOf(queue, kind, options);
    while (!stopped) {
      const n = next++;
      const began = performance.now();
      try {
        const result = isMethod
          ? await callMethod(client, queue, kind, n)
          : await client.call(called, n, { timeout: TIMEOUT });
        assertEquals(result, 2 * n);
        tallies[kind].succeed(n, began);
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        const { code, outcome, message } = error;
        tallies[kind].failures.push({ n, code, outcome, message });
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  const lanes = Promise.all(
    Array.from({ length: width }, (_, index) => lane(KINDS[index % 3] ?? "true", index % 2 === 1)),
  );
  // A wrong result ends the test where it waits for the load.
  lanes.catch(() => stopped = true);
  return {
    get done() {
      return Math.min(...KINDS.map((kind) => tallies[kind].right.length));
    },
    get state() {
      return KINDS.map((kind) => `${kind}: ${tallies[kind].right.length} right${tallies[kind].errors}`).join("; ");
    },
    async stop() {
      stopped = true;
      for (const kind of KINDS) tallies[kind].end();
      await lanes;
      return tallies;
    },
    [Symbol.dispose]() {
      stopped = true;
    },
  };
}

/** What a fault is done to. */
export interface Field {
  /** Two servers of the lab, which may be replaced. */
  readonly servers: LabServer[];
  readonly events: Heard<ClientEvent>;
  readonly load: Load;
  /** The names of the queues. */
  readonly queues: readonly string[];
  /** Starts a server in the place of one that has ended. */
  replace(index: number): Promise<void>;
  /** Makes one more idempotent call, and waits for its result. */
  callOnce(): Promise<void>;
}

/** Waits until calls of every kind end well again. */
export async function goesOn({ load, servers }: Pick<Field, "load" | "servers">, more: number): Promise<void> {
  const { done } = load;
  try {
    await waitFor("calls of every kind end well", () => load.done > done + more, 60_000);
  } catch (cause) {
    const stats = await Promise.all(
      servers.map(async (server) => ({ ...await server.stats(), stderr: server.stderr })),
    );
    throw new Error(`The load does not go on: ${load.state}; servers: ${JSON.stringify(stats)}`, { cause });
  }
}

/**
 * How long a broker may take to forget a connection that it does not read any more, in ms: its heartbeats find out within
 * 10 s that the other side has closed it.
 */
const FORGET = 20_000;

/** How a scenario is to be. */
export interface Scenario {
  /** Any node of the cluster. */
  readonly broker: Broker;
  /** The hosts for the client. */
  readonly clientUrls: readonly string[];
  /** The hosts for each of the servers. */
  readonly serverUrls: readonly (readonly string[])[];
  readonly clientOptions?: RpcClientOptions;
  /** Runs while 200 calls are in progress. */
  readonly fault: (field: Field) => Promise<void>;
}

/** What a scenario showed. */
export interface Shown {
  /** The longest time without an idempotent call that ended well, in ms. */
  readonly gap: number;
  readonly tallies: Readonly<Record<Kind, Tally>>;
}

/** How many connections, channels and queues the broker knows. */
interface Tables {
  readonly connections: number;
  readonly channels: number;
  readonly queues: number;
}

async function tables(broker: Broker): Promise<Tables> {
  const count = async (list: string): Promise<number> => Number(await broker.eval(`length(${list})`));
  return {
    connections: await count("rabbit_networking:connections()"),
    channels: await count("rabbit_channel:list()"),
    queues: await count("rabbit_amqqueue:list_names()"),
  };
}

/** Waits until nothing is in progress anywhere, and measures. */
async function settle(
  { broker }: Scenario,
  client: RpcClient,
  field: Pick<Field, "servers" | "queues">,
): Promise<{ clientHeap: number; serverHeap: number; tables: Tables }> {
  await waitFor("the servers are done, and the queues empty", async () => {
    const stats = await Promise.all(field.servers.map((server) => server.stats()));
    const infos = await Promise.all(field.queues.map((queue) => queueInfo(broker.url, queue)));
    return stats.every(({ pending }) => pending === 0) && infos.every((info) => info?.messages === 0);
  }, 60_000);
  assertEquals(client.pending, 0);
  const stats = await Promise.all(field.servers.map((server) => server.stats()));
  return {
    clientHeap: heapInUse(),
    serverHeap: Math.max(...stats.map(({ heap }) => heap)),
    tables: await tables(broker),
  };
}

/** Insists that what callers were told agrees with what the servers have written down. */
async function judge(log: string, queue: string, tallies: Shown["tallies"]): Promise<void> {
  const runsOf = await readLog(log);
  assertEquals(tallies.true.failures, [], "every idempotent call gets its result");
  for (const kind of KINDS) {
    const { right, failures } = tallies[kind];
    const what = (n: number): string => `call ${n} (idempotent: ${kind})`;
    for (const n of right) assert(runsOf(`${queue}.${kind}`, n).finished > 0, `${what(n)} has a result of no handler`);
    for (const { n, outcome, message } of failures) {
      const { started, finished } = runsOf(`${queue}.${kind}`, n);
      const text = `${what(n)}: ${message}; started ${started}, finished ${finished}`;
      assert(outcome !== "not_executed" || started === 0, `was executed: ${text}`);
      assert(outcome !== "executed" || finished > 0, `was not executed: ${text}`);
    }
    if (kind !== "false") continue;
    for (const n of [...right, ...failures.map(({ n }) => n)]) {
      assert(runsOf(`${queue}.${kind}`, n).started <= 1, `${what(n)} ran more than once`);
    }
  }
}

function mega(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}

/** How much more memory may be in use afterwards, in bytes; 200 calls that are kept would be well beyond it in time. */
const MAY_GROW = 8_000_000;

/** Does a fault under steady load, insists on what has to hold for every fault, and prints the figures. */
export async function scenario(name: string, how: Scenario): Promise<Shown> {
  const { broker, clientUrls, serverUrls, clientOptions } = how;
  const queue = `lab.${crypto.randomUUID()}`;
  const queues = [...KINDS.map((kind) => `${queue}.${kind}`), serviceOf(queue)];
  const log = await Deno.makeTempFile({ prefix: "rpc-lab-" });
  const events = listen<ClientEvent>();
  const servers: LabServer[] = [];
  const configOf = (index: number): LabServerConfig => ({
    urls: serverUrls[index] ?? [],
    procedures: KINDS.map((kind) => {
      const { idempotent } = procedureOf(queue, kind, {});
      return { queue: `${queue}.${kind}`, queueType: "quorum", ...(idempotent === undefined ? {} : { idempotent }) };
    }),
    service: serviceOf(queue),
    log,
    prefetch: 50,
    delay: 20,
  });
  await using _clean = {
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
      await Deno.remove(log);
    },
  };
  for (const index of serverUrls.keys()) servers.push(await startServer(configOf(index)));
  await using client = await RpcClient.connect(clientUrls, {
    ...clientOptions,
    onEvent: (event) => event.type !== "called" && events.onEvent(event),
  });

  using warm = startLoad(client, queue, 200);
  await goesOn({ load: warm, servers }, 500);
  await warm.stop();
  const before = await settle(how, client, { servers, queues });

  using load = startLoad(client, queue, 200);
  await goesOn({ load, servers }, 100);
  await how.fault({
    servers,
    events,
    load,
    queues,
    replace: async (index) => {
      servers[index] = await startServer(configOf(index));
    },
    callOnce: async () => {
      const n = next++;
      assertEquals(await client.call(procedureOf(queue, "true", {}), n, { timeout: TIMEOUT }), 2 * n);
    },
  });
  await goesOn({ load, servers }, ENOUGH);
  const tallies = await load.stop();
  const after = await settle(how, client, { servers, queues });

  const all = KINDS.map((kind) => tallies[kind]);
  const calls = all.reduce((sum, { right, failures }) => sum + right.length + failures.length, 0);
  const gap = tallies.true.longestGap;
  console.log(
    `${name}: ${calls} calls; idempotent ${tallies.true.right.length} right${tallies.true.errors}; ` +
      `absent ${tallies.absent.right.length} right${tallies.absent.errors}; ` +
      `at most once ${tallies.false.right.length} right${tallies.false.errors}; ` +
      `longest gap ${(gap / 1000).toFixed(2)} s, slowest call ${
        (tallies.true.slowest / 1000).toFixed(2)
      } s; heap of the client ${mega(before.clientHeap)} -> ${mega(after.clientHeap)} MB, of a server ${
        mega(before.serverHeap)
      } -> ${mega(after.serverHeap)} MB`,
  );
  await judge(log, queue, tallies);
  assert(after.clientHeap < before.clientHeap + MAY_GROW, `the client's heap grew to ${mega(after.clientHeap)} MB`);
  assert(after.serverHeap < before.serverHeap + MAY_GROW, `a server's heap grew to ${mega(after.serverHeap)} MB`);
  let now = before.tables;
  await waitFor(
    () => `the broker's tables are as before, ${JSON.stringify(before.tables)} and not ${JSON.stringify(now)}`,
    async () => {
      now = await tables(broker);
      // The first cancel opens a channel for cancels, which stays.
      const more = now.channels - before.tables.channels;
      return now.connections === before.tables.connections && now.queues === before.tables.queues && more >= -1 &&
        more <= 1;
    },
    FORGET,
  );
  for (const server of servers) {
    server.kill("SIGTERM");
    assertEquals([await server.ended, server.stderr], [0, ""]);
  }
  return { gap, tallies };
}
