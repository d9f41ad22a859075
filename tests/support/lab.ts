/**
 * What tests of faults share: a broker of a test file's own, which they may break.
 *
 * @module
 */

import { integer, type Procedure, procedure, type ProcedureOptions } from "../../lib/rpc.ts";
import { Broker, type BrokerOptions } from "./broker.ts";

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

const permitted = (["net", "run", "read", "write", "env"] as const)
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

/** The URL of a port of this machine, such as that of a relay. */
export function at(port: number, path = ""): string {
  return `amqp://guest:guest@127.0.0.1:${port}${path}`;
}

/** What may be chosen of {@linkcode double}. */
export type DoubleOptions = Partial<Omit<ProcedureOptions<number, number, number, number>, "queue">>;

/** A procedure from number to number, on a queue that leaves nothing behind on disk. */
export function double(queue: string, options: DoubleOptions = {}): Procedure<number, number, number, number> {
  return procedure({ queue, queueType: "classic", request: integer(), reply: integer(), ...options });
}

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
  await broker.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})");
}

/** Ends the memory alarm. */
export async function clearAlarm(broker: Broker): Promise<void> {
  await broker.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})");
}
