import type { QueueType } from "../../lib/rpc.ts";
import { connect } from "amqplib";
import type { ClientPlan, ClientSaid, ServerPlan, ServerSaid, Spread } from "./overload_worker.ts";
import { Worker } from "./pair.ts";
import { denoProcess } from "./peers.ts";

/** How the clock of a client differs from that of the machine. */
export interface Clock {
  /** In ms. */
  readonly shift: number;
  /** In parts per million. */
  readonly drift: number;
  /** Whether the client sends it. */
  readonly sent: boolean;
}

/** One situation of the lab. */
export interface Case {
  readonly name: string;
  /** The offered load, as a multiple of the capacity. */
  readonly load: number;
  readonly methods: Readonly<Record<string, Spread>>;
  /** One server each, whose handlers take this many times as long. */
  readonly servers: readonly number[];
  readonly prefetch: number;
  readonly queueType: QueueType;
  /** One client each; they share the load. */
  readonly clocks: readonly Clock[];
  /** Whether the servers start when the load has been there for a while; they are counted a deadline later. */
  readonly lateServers: boolean;
  /** How many calls per second plain clients make besides, without a deadline. */
  readonly plainRate: number;
}

/** What a case showed. */
export interface Shown {
  readonly name: string;
  readonly load: number;
  /** Calls per second that the servers could answer if they did nothing but run handlers, which took as long as they took. */
  readonly capacity: number;
  /** Calls per second that they answered when there were always enough, whose deadlines were far away. */
  readonly measured: number;
  /** Calls per second. */
  readonly offered: number;
  readonly answered: number;
  readonly refused: number;
  readonly late: number;
  readonly other: number;
  /** The answered calls, as a part of the capacity, and of what was measured. */
  readonly goodput: number;
  readonly goodputOfMeasured: number;
  /** The part of the servers' time that went into work that nobody waited for any more. */
  readonly wasted: number;
  /** The answered part of the calls that were made when the load had fallen for one deadline. */
  readonly back: number;
  /** The answered part of the plain calls; NaN if there were none. */
  readonly plain: number;
  readonly byMethod: Readonly<Record<string, number>>;
  readonly lastError: string;
}

/** How long a call may take, in ms. */
export const DEADLINE = 1_000;
const PATIENCE = 60_000;
/** The load before the window is measured, in ms. */
const WARM_UP = 3 * DEADLINE;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function sum<T>(items: readonly T[], figure: (item: T) => number): number {
  return items.reduce((total, item) => total + figure(item), 0);
}

/** The capacity that is planned: handlers on a busy machine take longer. */
function plannedCapacity({ methods, servers, prefetch }: Case): number {
  const spreads = Object.values(methods);
  const mean = sum(spreads, ([least, most]) => (least + most) / 2) / spreads.length;
  return sum(servers, (slowness) => prefetch * 1_000 / (mean * slowness));
}

class Stage implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #queue = `overload_${crypto.randomUUID()}`;
  readonly #url: string;
  readonly #what: Case;
  clients: Worker[] = [];
  servers: Worker[] = [];

  constructor(url: string, what: Case) {
    this.#url = url;
    this.#what = what;
  }

  async #start(plan: ServerPlan | ClientPlan): Promise<Worker> {
    const worker = this.#stack.use(
      new Worker(denoProcess(["overload_worker.ts", JSON.stringify(plan)], ["--no-check"]), PATIENCE),
    );
    await worker.hear("ready");
    return worker;
  }

  async startServers(): Promise<void> {
    const { methods, queueType, servers, prefetch } = this.#what;
    const place = { url: this.#url, queue: this.#queue, methods, queueType };
    this.servers = await Promise.all(
      servers.map((slowness) => this.#start({ side: "server", ...place, prefetch, slowness })),
    );
  }

  async startClients(): Promise<void> {
    const { methods, queueType, clocks } = this.#what;
    const place = { url: this.#url, queue: this.#queue, methods, queueType };
    this.clients = await Promise.all(
      clocks.map(({ shift, drift, sent }) =>
        this.#start({ side: "client", ...place, timeout: DEADLINE, shift, drift, clock: sent })
      ),
    );
  }

  async stopServers(): Promise<void> {
    for (const server of this.servers) await server[Symbol.asyncDispose]();
  }

  /** All clients together make so many calls per second from now on. */
  async rate(perSecond: number): Promise<void> {
    await Promise.all(this.clients.map((client) => client.tell(`${perSecond / this.clients.length}`)));
  }

  async calls(): Promise<ClientSaid> {
    const all = await Promise.all(this.clients.map(async (client) => {
      await client.tell("tell");
      return await client.hear("calls");
    }));
    const methods = Object.keys(this.#what.methods);
    return {
      type: "calls",
      offered: sum(all, ({ offered }) => offered),
      offeredAndAnswered: sum(all, ({ offeredAndAnswered }) => offeredAndAnswered),
      answered: sum(all, ({ answered }) => answered),
      refused: sum(all, ({ refused }) => refused),
      late: sum(all, ({ late }) => late),
      other: sum(all, ({ other }) => other),
      byMethod: Object.fromEntries(methods.map((name) => [name, sum(all, ({ byMethod }) => byMethod[name] ?? 0)])),
      lastError: all.map(({ lastError }) => lastError).find((text) => text !== "") ?? "",
    };
  }

  async work(): Promise<readonly ServerSaid[]> {
    return await Promise.all(this.servers.map(async (server) => {
      await server.tell("tell");
      return await server.hear("work");
    }));
  }

  /** Calls per second while there are always enough. */
  async measure(): Promise<number> {
    const [client] = this.clients;
    await client?.tell(`many ${4 * this.#what.prefetch * this.#what.servers.length}`);
    await sleep(DEADLINE);
    await this.calls();
    const began = performance.now();
    await sleep(2 * DEADLINE);
    const { answered } = await this.calls();
    const perSecond = answered / (performance.now() - began) * 1_000;
    await client?.tell("many 0");
    do await sleep(DEADLINE); while ((await this.calls()).answered > 0);
    return perSecond;
  }

  /** Calls as plain clients do, without a deadline; tells how many were made and answered. */
  async plain(perSecond: number): Promise<{ stop(): void; counts(): { made: number; answered: number } }> {
    const connection = await connect(this.#url);
    this.#stack.defer(() => connection.close());
    const channel = await connection.createChannel();
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    let made = 0;
    let answered = 0;
    await channel.consume(replyTo, (reply) => reply?.content.toString() === "1" && answered++, { noAck: true });
    const { Buffer } = await import("node:buffer");
    const timer = setInterval(() => {
      made++;
      channel.sendToQueue(this.#queue, Buffer.from("1"), { replyTo, correlationId: crypto.randomUUID() });
    }, 1_000 / perSecond);
    return { stop: () => clearInterval(timer), counts: () => ({ made, answered }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
    const connection = await connect(this.#url);
    await (await connection.createChannel()).deleteQueue(this.#queue);
    await connection.close();
  }
}

/** Runs a case on a broker; the window in which calls are counted is `seconds` long. */
export async function runCase(url: string, what: Case, seconds: number): Promise<Shown> {
  await using stage = new Stage(url, what);
  await stage.startServers();
  await stage.startClients();
  const planned = plannedCapacity(what);
  const measured = await stage.measure();
  if (what.lateServers) await stage.stopServers();
  const plain = what.plainRate > 0 ? await stage.plain(what.plainRate) : undefined;
  await stage.rate(what.load * planned);
  await sleep(WARM_UP);
  if (what.lateServers) {
    await stage.startServers();
    await sleep(DEADLINE);
  }
  const before = plain?.counts().answered ?? 0;
  await Promise.all([stage.calls(), stage.work()]);
  const began = performance.now();
  await sleep(1_000 * seconds);
  const [calls, work] = await Promise.all([stage.calls(), stage.work()]);
  const elapsed = (performance.now() - began) / 1_000;
  const answered = calls.answered + (plain?.counts().answered ?? 0) - before;

  await stage.rate(planned / 4);
  await sleep(DEADLINE);
  await stage.calls();
  await sleep(2 * DEADLINE);
  await stage.rate(0);
  plain?.stop();
  await sleep(DEADLINE + 500);
  const back = await stage.calls();
  const plainCounts = plain?.counts();
  const capacity = sum(
    work,
    ({ finished, finishedMs }) => finished === 0 ? 0 : what.prefetch * 1_000 * finished / finishedMs,
  );
  return {
    name: what.name,
    load: what.load,
    capacity,
    measured,
    offered: calls.offered / elapsed,
    answered: answered / elapsed,
    refused: calls.refused / elapsed,
    late: calls.late / elapsed,
    other: calls.other / elapsed,
    goodput: answered / elapsed / capacity,
    goodputOfMeasured: answered / elapsed / measured,
    wasted: sum(work, ({ wastedMs }) => wastedMs) / 1_000 / elapsed / (what.prefetch * what.servers.length),
    back: back.offeredAndAnswered / back.offered,
    plain: plainCounts === undefined ? NaN : plainCounts.answered / plainCounts.made,
    byMethod: Object.fromEntries(Object.entries(calls.byMethod).map(([name, count]) => [name, count / elapsed])),
    lastError: calls.lastError || back.lastError,
  };
}
