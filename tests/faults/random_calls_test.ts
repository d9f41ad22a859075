import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import {
  type CallOptions,
  type Headers,
  isRpcError,
  type RpcClient,
  RpcError,
  type RpcOutcome,
} from "../../lib/rpc.ts";
import { deleteQueue, live, queueInfo, waitFor } from "../support/live.ts";
import { connectClient, failure, heard, texts } from "../support/pair.ts";
import {
  type Act,
  ACTS,
  clientMethods,
  clientProcedures,
  ECHO,
  encodeTask,
  type Entry,
  OTHER_DETAILS,
  type PropertyServer,
  readLog,
  spawnServer,
  STATUS,
  type Task,
} from "../support/property_server.ts";
import { Random } from "../support/random.ts";
import { watchListeners } from "../support/watch_listeners.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { sleep } from "../support/handlers.ts";

const CALLS = 2_000;
const IN_FLIGHT = 40;
/** How many calls are not made before there were two kills and a cut. */
const LAST = 400;
/** How much longer than its work a call may take on a loaded machine, where nothing fails, in ms. */
const SLACK = 2_000;

/** What one call sends. */
type Kind =
  | "a task"
  | "no task"
  | "no JSON"
  | "what has no encoding"
  | "a task to a missing queue"
  | "a task to a missing method";

/** What can be called, each by whether it is idempotent: true, absent or false. */
interface Called {
  readonly procedures: ReturnType<typeof clientProcedures>;
  readonly methods: ReturnType<typeof clientMethods>;
}

/** One call. */
interface Plan {
  readonly kind: Kind;
  readonly task: Task;
  /** Which procedure: idempotent true, absent or false. */
  readonly idempotent: 0 | 1 | 2;
  /** Whether it is a method of a service, whose errors are typed, or has a queue of its own. */
  readonly isMethod: boolean;
  /** The value of a header that comes back. */
  readonly echo: string | undefined;
  /** Which client: one over a link that is cut, one with a queue for its replies, one with direct reply-to. */
  readonly client: 0 | 1 | 2;
  readonly timeout: number;
  /** When it is aborted, in ms; before it is made, if 0. */
  readonly abortAfter: number | undefined;
  readonly failFast: boolean;
}

function planCall(random: Random, i: number): Plan {
  const kind: Kind = random.chance(80) ? "a task" : random.pick([
    "no task",
    "no JSON",
    "what has no encoding",
    "a task to a missing queue",
    "a task to a missing method",
  ]);
  const act: Act = random.chance(60) ? "reply" : random.pick(ACTS);
  const slow = random.chance(8);
  return {
    kind,
    task: {
      i,
      act,
      delay: slow ? random.integer(200, 800) : random.integer(0, 120),
      heeds: random.chance(70),
    },
    idempotent: random.pick([0, 1, 2]),
    isMethod: kind === "a task to a missing method" || random.chance(40),
    echo: random.chance(50) ? `${i} `.repeat(random.integer(1, 60)) : undefined,
    client: random.pick([0, 1, 2]),
    timeout: random.chance(15) ? random.integer(1, 300) : random.integer(3_500, 6_000),
    abortAfter: random.chance(12) ? random.pick([0, random.integer(1, 200)]) : undefined,
    failFast: random.chance(10),
  };
}

/** How one call ended. */
interface Ending {
  readonly result: PromiseSettledResult<number>;
  /** How often it ended. */
  readonly times: number;
  /** What came back in the header of the reply, each time that one with headers came. */
  readonly echoes: readonly (string | undefined)[];
  /** When it was made, and when it ended, on the clock of `performance.now()`. */
  readonly from: number;
  readonly to: number;
  /** When its signal was aborted, on the same clock. */
  readonly aborted: number | undefined;
  /** When it was made, in ms since 1970. */
  readonly at: number;
}

/** A time in which nothing is certain: from a fault until all have noticed it. */
interface Fault {
  readonly from: number;
  readonly to: number;
}

/** What was done to servers and to the connection of the first client, and when. */
interface Faults {
  readonly kills: Fault[];
  readonly cuts: Fault[];
  /** When servers that had stood still gave a request back, in ms since 1970. */
  readonly returns: number[];
}

function during(faults: readonly Fault[], { from, to }: Ending): boolean {
  return faults.some((fault) => fault.from <= to && from <= fault.to);
}

/** What a server's word is worth: how often each thing happened to one request, on all servers. */
class Logged {
  readonly #entries: readonly Entry[];

  constructor(entries: readonly Entry[]) {
    this.#entries = entries;
  }

  of(at: Entry["at"]): readonly Entry[] {
    return this.#entries.filter((entry) => entry.at === at);
  }

  get ran(): boolean {
    return this.of("started").length > 0;
  }

  get answered(): boolean {
    return this.of("finished").length + this.of("threw").length > 0;
  }
}

/** Why it is unknown whether the work was done; throws where somebody could. */
function whyUnknown(plan: Plan, error: RpcError, ending: Ending, faults: Faults): string {
  const redelivered = (): boolean =>
    during(faults.kills, ending) || plan.client === 0 && plan.idempotent === 0 && during(faults.cuts, ending) ||
    faults.returns.some((time) => ending.at <= time && time <= ending.at + ending.to - ending.from + 1);
  const elapsed = ending.to - ending.from;
  const killed = during(faults.kills, ending);
  const cut = plan.client === 0 && during(faults.cuts, ending);
  if (error.code === "deadline_exceeded") {
    assertGreaterOrEqual(elapsed, plan.timeout - 1);
    assert(killed || cut || plan.task.delay + SLACK > plan.timeout, "it should have been answered in time");
    return killed || cut ? "the deadline, after a fault" : "the deadline";
  }
  if (error.code === "canceled") {
    assert(plan.abortAfter !== 0, "it was never sent");
    assert(ending.aborted !== undefined && ending.aborted <= ending.to, "it was not aborted");
    assertLess(ending.to - ending.aborted, 1_000, "it was aborted long before");
    return "the abort";
  }
  if (error.code === "unavailable") {
    assert(cut, "its connection was not lost");
    if (plan.kind === "a task to a missing queue") return "the loss of the connection, then no queue";
    assert(plan.idempotent !== 0, "it should have been sent again");
    return "the loss of the connection";
  }
  if (error.code === "aborted") {
    assert(plan.idempotent === 2 && killed, "it was not redelivered, or it may run again");
    return "a redelivered request that may run but once";
  }
  if (error.code === "invalid_argument") {
    assert(plan.kind === "no task" || plan.kind === "no JSON");
    assert(redelivered(), "it was neither redelivered nor sent again");
    return "the refusal of a redelivered request";
  }
  if (error.code === "unimplemented" || isOverload(error)) {
    assert(error.code !== "unimplemented" || plan.kind === "a task to a missing method");
    assert(redelivered(), "it was neither redelivered nor sent again");
    return "the refusal of a redelivered request";
  }
  throw new Error("there is no reason not to know");
}

/** Whether a server refused the request because too little time was left for it. */
function isOverload({ code, message }: RpcError): boolean {
  return code === "resource_exhausted" && message.includes("are overloaded");
}

/** Checks that an error whose work was not done says why. */
function checkNotExecuted(plan: Plan, error: RpcError, ending: Ending, faults: Faults): void {
  const { code } = error;
  const cut = plan.client === 0 && during(faults.cuts, ending);
  const unwritten = cut || plan.failFast;
  if (code === "unavailable") assert(plan.kind === "a task to a missing queue" || plan.failFast);
  else if (code === "invalid_argument") assert(["no task", "no JSON", "what has no encoding"].includes(plan.kind));
  else if (code === "deadline_exceeded") assert(unwritten, "it was written");
  else if (code === "canceled") assert(plan.abortAfter === 0 || unwritten, "it was written");
  else if (code === "unimplemented") assertEquals(plan.kind, "a task to a missing method");
  else if (isOverload(error)) assertLess(plan.timeout, 3_500, "it had much time left");
  // A server that stood still does not know whether a request has expired that may run but once.
  else assert(code === "aborted" && plan.idempotent === 2, "it has another reason");
}

/** Checks that an error says what the handler did. */
function checkExecuted({ kind, task, isMethod }: Plan, error: RpcError, { methods }: Called): void {
  assertEquals(kind, "a task");
  const { code, message, details } = error;
  const isOther = task.act === "throw a status with other details";
  if (isOther && !isMethod) assertEquals({ code, message, details }, { ...STATUS, details: OTHER_DETAILS });
  else if (task.act.startsWith("throw a status") && !isOther) {
    assertEquals({ code, message, details }, { ...STATUS });
    const [method] = methods;
    assert(method !== undefined && isRpcError(error, method));
    if (isMethod) assert(error.code === STATUS.code && error.outcome === "executed" && error.details.again);
  } else if (task.act === "throw anything" || isOther) {
    assert(code === "internal" && error.id !== undefined);
    assert(!Deno.inspect(error).includes("secret"));
  } else {
    assertEquals(code, "data_loss");
    assert(task.act !== "reply");
  }
}

/** Checks one call against what the servers have logged; gives what it is to be counted as. */
function check(plan: Plan, ending: Ending, logged: Logged, faults: Faults, called: Called): string {
  assertEquals(ending.times, 1, "it settles once");
  assert(ending.echoes.length <= 1, "it has two replies");
  assert(ending.echoes.every((echo) => echo !== undefined && echo === plan.echo), "the header has changed");
  assertLess(ending.to - ending.from, plan.timeout + 1_000, "it settles in time");
  if (plan.idempotent === 2) assert(logged.of("started").length <= 1, "it ran twice");
  const deliveries = logged.of("started").filter(({ redelivered }) => redelivered === false);
  if (plan.idempotent !== 0) assert(deliveries.length <= 1, "it was sent twice");
  const ids = new Set(logged.of("started").map(({ messageId }) => messageId));
  assert(ids.size <= 1 && !ids.has(undefined), "its identity has changed");
  for (const { time } of logged.of("started")) {
    assertLess(time, ending.at + plan.timeout + 1_000, "it was started after its deadline");
  }
  const { result } = ending;
  if (result.status === "fulfilled") {
    assertEquals([plan.kind, plan.task.act, result.value], ["a task", "reply", 2 * plan.task.i]);
    assert(logged.of("finished").length > 0, "nobody has made this result");
    assertEquals(ending.echoes.length, plan.echo === undefined ? 0 : 1, "the reply has other headers");
    return "result";
  }
  const error: unknown = result.reason;
  assert(error instanceof RpcError);
  if (error.outcome === "unknown") return `unknown: ${whyUnknown(plan, error, ending, faults)}`;
  if (error.outcome === "executed") {
    assert(logged.answered, "no handler has answered");
    checkExecuted(plan, error, called);
    assertEquals(ending.echoes.length, plan.echo === undefined ? 0 : 1, "the error has other headers");
  } else {
    assert(!logged.ran, "a handler was started");
    checkNotExecuted(plan, error, ending, faults);
  }
  return `${error.outcome satisfies RpcOutcome}: ${error.code}`;
}

/** Does something, and gives how long it took. */
async function timed(fault: () => Promise<void>): Promise<Fault> {
  const from = performance.now();
  await fault();
  return { from, to: performance.now() };
}

/** Kills servers and cuts a link, over and over, until it is told to stop. */
async function makeFaults(
  random: Random,
  faults: Faults,
  fault: { kill(which: number): Promise<void>; start(which: number): Promise<void>; cut(): Promise<void> },
  stopped: () => boolean,
): Promise<void> {
  for (let n = 1; !stopped(); n++) {
    await sleep(random.integer(100, 400));
    if (n % 3 === 0) {
      faults.cuts.push(await timed(() => fault.cut()));
    } else {
      const which = random.integer(0, 1);
      faults.kills.push(await timed(() => fault.kill(which)));
      await fault.start(which);
    }
  }
}

live("Every one of 2,000 random calls ends once, in time, and in what the servers have logged", { run: true }, async ({
  url,
  queue,
}) => {
  const seed = Number(Deno.env.get("SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`SEED=${seed}`);
  const random = new Random(seed);
  const plans = Array.from({ length: CALLS }, (_, i) => planCall(random, i));

  const folder = await Deno.makeTempDir();
  await using rest = new AsyncDisposableStack();
  rest.defer(() => Deno.remove(folder, { recursive: true }));
  const procedures = clientProcedures(queue);
  const called: Called = { procedures, methods: clientMethods(queue) };
  const queues = [...procedures.map(({ queue }) => queue), `${queue}.service`];
  for (const queue of queues) rest.defer(() => deleteQueue(url, queue));

  const logs = [0, 1].map((which) => `${folder}/${which}.log`);
  const spawn = (which: number): PropertyServer => spawnServer(url, queue, logs[which] ?? "");
  const servers = logs.map((_, which) => spawn(which));
  rest.defer(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
  });
  for (const { ready } of servers) await ready;
  const link = rest.use(relay(portOf(url)));
  const clients: readonly RpcClient[] = [
    rest.use(await connectClient(through(url, link.port))),
    rest.use(await connectClient(url)),
    rest.use(await connectClient(url, { replies: "direct" })),
  ];
  const lasting = new AbortController();
  const listeners = [watchListeners(lasting.signal)];

  async function call(plan: Plan): Promise<Ending> {
    const { kind, task, timeout, failFast, abortAfter } = plan;
    const target = (plan.isMethod ? called.methods : called.procedures)[plan.idempotent];
    const client = clients[plan.client];
    assert(target !== undefined && client !== undefined);
    const echoes: (string | undefined)[] = [];
    const options: CallOptions = {
      timeout,
      failFast,
      signal: lasting.signal,
      onReplyHeaders: (headers: Headers) => echoes.push(headers[ECHO]),
      ...(plan.echo === undefined ? {} : { headers: { [ECHO]: plan.echo } }),
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    let aborted: number | undefined;
    if (abortAfter !== undefined) {
      const controller = new AbortController();
      Object.assign(options, { signal: controller.signal });
      listeners.push(watchListeners(controller.signal));
      const abort = (): void => {
        aborted = performance.now();
        controller.abort();
      };
      if (abortAfter === 0) abort();
      else timer = setTimeout(abort, abortAfter);
    }
    const missing = { ...target, queue: `${queue}.missing` };
    const unknown = { ...target, method: "unknown" };
    const body = kind === "no task"
      ? new TextEncoder().encode(`{"i":${task.i},"act":"dance"}`)
      : kind === "no JSON"
      ? new TextEncoder().encode(`{"i":${task.i},`)
      : kind === "what has no encoding"
      ? task as unknown as Uint8Array
      : encodeTask(task);
    const at = Date.now();
    const from = performance.now();
    let to = from;
    let times = 0;
    const ended = (): void => {
      times++;
      to = performance.now();
    };
    const chosen = kind === "a task to a missing queue"
      ? missing
      : kind === "a task to a missing method"
      ? unknown
      : target;
    const made = client.call(chosen, body, options);
    made.then(ended, ended);
    const [result] = await Promise.allSettled([made]);
    clearTimeout(timer);
    return { result, times, echoes, from, to, aborted, at };
  }

  let done = false;
  const faults: Faults = { kills: [], cuts: [], returns: [] };
  const faulty = makeFaults(random, faults, {
    async kill(which) {
      await servers[which]?.kill();
      for (const queue of queues) {
        await waitFor("the broker has noticed", async () => (await queueInfo(url, queue))?.consumers === 1, 30_000);
      }
    },
    async start(which) {
      const server = servers[which] = spawn(which);
      await server.ready;
    },
    async cut() {
      const [client] = clients;
      assert(client !== undefined);
      const before = heard(client, "connected").length;
      link.cut();
      await waitFor("the client is back", () => heard(client, "connected").length > before);
      // That it may write again is known when the broker answers.
      await failure(client.call(texts(`${queue}.missing`), ""));
    },
  }, () => done);
  // It is awaited after the calls.
  faulty.catch(() => done = true);
  const endings: Ending[] = [];
  const waiting = Array.from(plans.entries());
  async function lane(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      // On a loaded machine faults take long: the last calls wait for them.
      while (!done && waiting.length < LAST && faults.kills.length + faults.cuts.length < 3) await sleep(20);
      const [i, plan] = next;
      endings[i] = await call(plan);
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  done = true;
  await faulty;

  // Nothing is left, on either side.
  assertEquals(clients.map(({ pending }) => pending), [0, 0, 0]);
  assertEquals(listeners.filter((count) => count() > 0).length, 0);
  for (const server of servers) {
    await waitFor("the servers are idle", async () => {
      const { pending, running } = await server.status();
      return pending === 0 && running === 0;
    });
  }
  for (const queue of queues) {
    await waitFor("no request waits", async () => (await queueInfo(url, queue))?.messages === 0);
  }
  for (const client of clients) await client.close();
  // A process ends by itself only when no timer and no connection is left.
  for (const server of servers) assertEquals(await server.close(), 0);

  const entries = new Map<number, Entry[]>();
  for (const entry of logs.flatMap(readLog)) {
    if (entry.at === "returned") faults.returns.push(entry.time);
    if (entry.i === undefined) continue;
    const known = entries.get(entry.i);
    if (known === undefined) entries.set(entry.i, [entry]);
    else known.push(entry);
  }
  const counts: Record<string, number> = {};
  const wrong: string[] = [];
  for (const [i, plan] of plans.entries()) {
    const ending = endings[i];
    const logged = entries.get(i) ?? [];
    assert(ending !== undefined);
    try {
      const as = check(plan, ending, new Logged(logged), faults, called);
      counts[as] = (counts[as] ?? 0) + 1;
    } catch (error) {
      wrong.push(Deno.inspect({ reason: (error as Error).message, plan, ending, logged }, { depth: 5 }));
    }
  }
  const late = plans.map((plan, i) => {
    const { from, to } = endings[i] as Ending;
    return to - from - plan.timeout;
  }).sort((a, b) => a - b);
  const p99 = Math.round(late[Math.floor(0.99 * late.length)] ?? 0);
  const redelivered = Array.from(entries.values()).flat().filter((entry) => entry.redelivered).length;
  console.table(Object.fromEntries(Object.entries(counts).sort()));
  console.log(
    `${faults.kills.length} servers killed, ${faults.cuts.length} links cut, ${redelivered} redelivered requests run, ` +
      `${faults.returns.length} given back; the latest call ended ${Math.round(late.at(-1) ?? 0)} ms after its ` +
      `deadline, p99 ${p99} ms`,
  );
  assertEquals(wrong, [], `${wrong.length} of ${CALLS} calls are wrong; SEED=${seed} makes them again`);
  assertLess(p99, 250);

  // So that all of this has happened, and no answer can be given to everything.
  const total = (prefix: string): number =>
    Object.entries(counts).reduce((sum, [as, count]) => as.startsWith(prefix) ? sum + count : sum, 0);
  assertGreaterOrEqual(total("result"), 600);
  assertGreaterOrEqual(total("executed"), 200);
  assertGreaterOrEqual(total("not_executed"), 200);
  assertGreaterOrEqual(total("unknown: the deadline"), 20);
  assertGreaterOrEqual(total("unknown: the abort"), 10);
  assertLess(total("unknown"), 500);
  assertGreaterOrEqual(faults.kills.length, 2);
  assertGreaterOrEqual(faults.cuts.length, 1);
  assertGreaterOrEqual(redelivered, 1);
});
