/**
 * What tests of faults share: a broker of a test file's own, which they may break.
 *
 * @module
 */

import { Broker, type BrokerOptions } from "./broker.ts";
import { double, type DoubleOptions, type LabServerConfig, type LabServerStats, READY } from "./lab_server.ts";

export { double, type DoubleOptions };

/** What a test on a file's own broker gets. */
export interface Lab {
  /** Shared by the file's tests, which run one after the other; each leaves it as it was. */
  readonly broker: Broker;
  /** The broker's URL. */
  readonly url: string;
  /** The name of a queue of the test's own; it does not exist yet. */
  readonly queue: string;
}

/** Registers one test of a file. */
export type LabTest = (name: string, fn: (lab: Lab) => Promise<void>) => void;

/** Whether tests may start brokers. */
export const permitted = (["net", "run", "read", "write", "env"] as const)
  .every((name) => Deno.permissions.querySync({ name }).state === "granted");

/**
 * A broker for the tests of one file.
 *
 * @returns A function that registers a test; tests are ignored without the permissions that a broker needs.
 */
export function lab(options: BrokerOptions = {}): LabTest {
  let broker: Broker | undefined;
  if (permitted) {
    Deno.test.beforeAll(async () => {
      broker = await Broker.start(options);
    });
    Deno.test.afterAll(async () => {
      await broker?.[Symbol.asyncDispose]();
    });
  }
  return (name, fn) => {
    Deno.test({
      name,
      ignore: !permitted,
      fn: async () => {
        if (broker === undefined) throw new Error("Cannot test: the broker did not start");
        await fn({ broker, url: broker.url, queue: `lab.${crypto.randomUUID()}` });
      },
    });
  };
}

/** The backoff of who comes back at once, where the wait itself is not what is tested. */
export const SOON = { min: 1, max: 50 } as const;

/** Events in the order in which they came. */
export interface Heard<Event extends { readonly type: string }> {
  readonly all: Event[];
  /** To be passed on as `onEvent`. */
  readonly onEvent: (event: Event) => void;
  /** How often the connection was lost. */
  readonly losses: number;
  /** Those of one type. */
  of<Type extends Event["type"]>(type: Type): Extract<Event, { readonly type: Type }>[];
}

/** Listens to the events of a client or a server. */
export function listen<Event extends { readonly type: string }>(): Heard<Event> {
  const all: Event[] = [];
  return {
    all,
    onEvent: (event) => all.push(event),
    get losses() {
      return all.filter(({ type }) => type === "disconnected").length;
    },
    of: <Type extends Event["type"]>(type: Type) =>
      all.filter((event): event is Extract<Event, { readonly type: Type }> => event.type === type),
  };
}

/** Ends every connection, as an operator or a shutdown does. */
export async function closeConnections(broker: Broker): Promise<void> {
  await broker.eval('[rabbit_networking:close_connection(P, "lab") || P <- rabbit_networking:connections()]');
}

/** Deletes a queue whoever owns it, as an operator may. */
export async function deleteByForce(broker: Broker, queue: string): Promise<void> {
  const name = `rabbit_misc:r(<<"/">>, queue, <<"${queue}">>)`;
  await broker.eval(`{ok, Q} = rabbit_amqqueue:lookup(${name}), rabbit_amqqueue:delete(Q, false, false, <<"lab">>)`);
}

/** How many messages a classic queue holds, whether they wait or are with a consumer. */
export async function held(broker: Broker, queue: string): Promise<number> {
  const name = `rabbit_misc:r(<<"/">>, queue, <<"${queue}">>)`;
  const code = `{ok, Q} = rabbit_amqqueue:lookup(${name}), [{messages, N}] = rabbit_amqqueue:info(Q, [messages]), N`;
  return Number(await broker.eval(code));
}

/** Refuses connections from now on, until {@linkcode admit}; those that exist stay. */
export async function refuse(broker: Broker): Promise<void> {
  await broker.eval("rabbit_maintenance:suspend_all_client_listeners()");
}

/** Ends {@linkcode refuse}. */
export async function admit(broker: Broker): Promise<void> {
  await broker.eval("rabbit_maintenance:resume_all_client_listeners()");
}

/** Raises the memory alarm: publishers are blocked from now on. */
export async function raiseAlarm(broker: Broker): Promise<void> {
  // To set it is asynchronous; once it is told of, every connection has been, before what it reads next.
  await broker.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}), rabbit_alarm:get_alarms()");
}

/** Ends the memory alarm. */
export async function clearAlarm(broker: Broker): Promise<void> {
  await broker.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})");
}

/** A server of the lab, in a process of its own. */
export interface LabServer extends AsyncDisposable {
  readonly pid: number;
  /** What it wrote to stderr so far. */
  readonly stderr: string;
  /** Settles with its exit code, 137 if it was killed. */
  readonly ended: Promise<number>;
  kill(signal: Deno.Signal): void;
  /** Asks it how it is. */
  stats(): Promise<LabServerStats>;
}

/** Text to lines, without their ends. */
function lineStream(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(text, controller) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) controller.enqueue(line);
    },
  });
}

/** Starts a server of the lab, and waits until it consumes. */
export async function startServer(config: LabServerConfig): Promise<LabServer> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      "-A",
      new URL("lab_server.ts", import.meta.url).pathname,
      JSON.stringify(config),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stderr = "";
  let over = false;
  const errors = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) stderr += text;
  })();
  const stdin = child.stdin.getWriter();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(lineStream()).getReader();
  const ended = (async () => {
    const [{ code }] = await Promise.all([child.status, errors]);
    over = true;
    await stdin.close().catch(() => {});
    await lines.cancel();
    return code;
  })();
  const server: LabServer = {
    pid: child.pid,
    get stderr() {
      return stderr;
    },
    ended,
    kill: (signal) => child.kill(signal),
    async stats() {
      await stdin.write(new TextEncoder().encode("stats\n"));
      const { value } = await lines.read();
      return JSON.parse(value ?? "null");
    },
    async [Symbol.asyncDispose]() {
      if (!over) child.kill("SIGKILL");
      await ended;
    },
  };
  // It may loop before it says anything.
  if (config.looping !== undefined) return server;
  const { value } = await lines.read();
  // A deadly request may wait already.
  if (value === READY || config.deadly !== undefined) return server;
  await server[Symbol.asyncDispose]();
  throw new Error(`Cannot start a server of the lab:\n${stderr}`);
}

/** What the servers' logs say of one request. */
export interface Runs {
  started: number;
  finished: number;
  aborted: number;
}

/** What the servers have written down, by queue and number. */
export async function readLog(path: string): Promise<(queue: string, n: number) => Readonly<Runs>> {
  const runs = new Map<string, Runs>();
  const never: Runs = { started: 0, finished: 0, aborted: 0 };
  for (const line of (await Deno.readTextFile(path)).split("\n")) {
    const [what, queue, n] = line.split(" ");
    const key = `${queue} ${n}`;
    const run = runs.get(key) ?? { ...never };
    if (what === "S") run.started++;
    if (what === "F") run.finished++;
    if (what === "A") run.aborted++;
    runs.set(key, run);
  }
  return (queue, n) => runs.get(`${queue} ${n}`) ?? never;
}
