/**
 * A server in a process of its own that can be killed, stopped and started again. It notes what becomes of each request
 * in a file, at once, so that what a killed server has done can be read there.
 *
 * @module
 */

import {
  bytes,
  type Codec,
  json,
  method,
  type Procedure,
  procedure,
  type RequestContext,
  RpcError,
  RpcServer,
  type Schema,
  type SchemaIssue,
  service,
} from "../../lib/rpc.ts";
import { sleep } from "./handlers.ts";

/** What a request asks the server to do, after its delay. */
export const ACTS = [
  "reply",
  "throw a status",
  "throw a status that lies about the outcome",
  "throw a status with other details",
  "throw anything",
  "reply with garbage",
  "reply against the schema",
] as const;

/** One of {@linkcode ACTS}. */
export type Act = typeof ACTS[number];

/** A request. */
export interface Task {
  /** Its number, by which it is found in the logs. */
  readonly i: number;
  readonly act: Act;
  /** How long it takes, in ms. */
  readonly delay: number;
  /** Whether the handler stops when its signal says so. */
  readonly heeds: boolean;
}

/** One line of a server's log. */
export interface Entry {
  /**
   * `received`: it is about to be decoded; `started`: the handler runs; `finished`, `threw`: it has ended;
   * `stopped`: it has ended because of its signal; `aborted`: its signal was aborted; `returned`: a request went back to
   * the broker, since this process had stood still.
   */
  readonly at: "received" | "started" | "finished" | "threw" | "stopped" | "aborted" | "returned";
  /** Which request; absent where the server does not know. */
  readonly i?: number;
  /** When, in ms since 1970. */
  readonly time: number;
  readonly messageId?: string | undefined;
  readonly redelivered?: boolean;
}

/** What a server says of itself when it is asked. */
export interface Status {
  /** How many requests it has taken and not answered. */
  readonly pending: number;
  /** How many handlers run. */
  readonly running: number;
}

/** The status that handlers throw. */
export const STATUS = { code: "failed_precondition", message: "Cannot do it now", details: { again: true } } as const;

/** Details that are not as the methods of the service declare them. */
export const OTHER_DETAILS = { again: "yes" } as const;

/** The header that handlers send back as it came. */
export const ECHO = "echo";

function isTask(value: unknown): value is Task {
  const { i, act, delay, heeds } = (value ?? {}) as Partial<Record<keyof Task, unknown>>;
  return Number.isInteger(i) && typeof delay === "number" && typeof heeds === "boolean" &&
    (ACTS as readonly unknown[]).includes(act);
}

function schema<T>(check: (value: unknown) => value is T, issue: SchemaIssue): Schema<T> {
  return {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => check(value) ? { value } : { issues: [issue] },
    },
  };
}

const task = json(schema(isTask, { message: "must be a task", path: ["act"] }));

/** What a task gives: its number, doubled. */
export const result: Codec<number> = json(
  schema((value) => typeof value === "number", { message: "must be a number" }),
);

/** The three kinds of procedure, as the client sees them: it may send anything. */
export function clientProcedures(prefix: string): readonly Procedure<Uint8Array, Uint8Array, number, number>[] {
  const common = { request: bytes(), reply: result } as const;
  return [
    procedure({ ...common, queue: `${prefix}.true`, idempotent: true }),
    procedure({ ...common, queue: `${prefix}.absent`, queueType: "classic" }),
    procedure({ ...common, queue: `${prefix}.false`, idempotent: false }),
  ];
}

function hasAgain(value: unknown): value is { again: boolean } {
  return typeof (value as { again?: unknown } | null)?.again === "boolean";
}

/** The details of the status, as the methods declare them. */
const errors = { [STATUS.code]: json(schema(hasAgain, { message: "must say whether to try again" })) } as const;

function serviceOf<In, Out, ReplyIn, ReplyOut>(prefix: string, codecs: {
  readonly request: Codec<In, Out>;
  readonly reply: Codec<ReplyIn, ReplyOut>;
}) {
  return service({
    queue: `${prefix}.service`,
    methods: {
      true: method({ ...codecs, errors, idempotent: true }),
      absent: method({ ...codecs, errors }),
      false: method({ ...codecs, errors, idempotent: false }),
    },
  });
}

/** The three kinds of method of one service, as the client sees them. */
export function clientMethods(
  prefix: string,
): readonly Procedure<Uint8Array, Uint8Array, number, number, typeof errors>[] {
  const { methods } = serviceOf(prefix, { request: bytes(), reply: result });
  return [methods.true, methods.absent, methods.false];
}

/** Encodes a task as the client sends it. */
export function encodeTask(value: Task): Uint8Array {
  return task.encode(value);
}

/** Asks a server for one thing. */
export interface PropertyServer extends AsyncDisposable {
  readonly pid: number;
  /** Settles when it takes requests. */
  readonly ready: Promise<void>;
  /** Asks it how it does. */
  status(): Promise<Status>;
  /** Ends it as it ends by itself, and gives its exit code. */
  close(): Promise<number>;
  /** Ends it at once. */
  kill(): Promise<void>;
  /** Freezes it. */
  pause(): void;
  /** Lets it go on. */
  resume(): void;
}

/** Starts a server; it appends to `log`. */
export function spawnServer(url: string, prefix: string, log: string): PropertyServer {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", "--allow-env", `--allow-write=${log}`, import.meta.filename ?? ""],
    env: { PROPERTY_URL: url, PROPERTY_PREFIX: prefix, PROPERTY_LOG: log },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const commands = child.stdin.getWriter();
  let text = "";
  async function line(): Promise<string> {
    while (!text.includes("\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error("The server has ended");
      text += value;
    }
    const at = text.indexOf("\n");
    const first = text.slice(0, at);
    text = text.slice(at + 1);
    return first;
  }
  async function ended(): Promise<number> {
    const { code } = await child.status;
    await lines.cancel();
    await commands.close().catch(() => {});
    return code;
  }
  let killed = false;
  async function kill(): Promise<void> {
    if (!killed) {
      killed = true;
      child.kill("SIGKILL");
    }
    await ended();
  }
  const ready = line().then(() => {});
  ready.catch(() => {});
  return {
    pid: child.pid,
    ready,
    async status() {
      await commands.write(new TextEncoder().encode("status\n"));
      return JSON.parse(await line()) as Status;
    },
    async close() {
      killed = true;
      await commands.close();
      return await ended();
    },
    kill,
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    [Symbol.asyncDispose]: async () => {
      if (!killed) await kill();
    },
  };
}

/** Reads a log, up to a line that a killed server has not finished. */
export function readLog(path: string): Entry[] {
  const lines = Deno.readTextFileSync(path).split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Entry);
}

async function main(url: string, prefix: string, path: string): Promise<void> {
  using file = Deno.openSync(path, { append: true, create: true });
  let running = 0;

  function note(entry: Omit<Entry, "time">): void {
    // One write is one system call: what it has written outlives the process.
    file.writeSync(new TextEncoder().encode(`${JSON.stringify({ ...entry, time: Date.now() })}\n`));
  }

  /** Notes every request, those too that are refused. */
  const request: Codec<Task> = {
    ...task,
    decode(body) {
      const [, i] = /"i":(\d+)/.exec(new TextDecoder().decode(body)) ?? [];
      if (i !== undefined) note({ at: "received", i: Number(i) });
      return task.decode(body);
    },
  };

  /** @param declared Makes the status, where it is declared. */
  async function run(
    { i, act, delay, heeds }: Task,
    context: Omit<RequestContext, "error">,
    declared = (): RpcError => new RpcError(STATUS.code, STATUS.message, { details: STATUS.details }),
  ): Promise<Uint8Array> {
    const { messageId, redelivered, signal, headers, replyHeaders } = context;
    if (headers[ECHO] !== undefined) replyHeaders[ECHO] = headers[ECHO];
    note({ at: "started", i, messageId, redelivered });
    running++;
    signal.addEventListener("abort", () => note({ at: "aborted", i }), { once: true });
    try {
      await sleep(delay, heeds ? signal : undefined);
      note({ at: act.startsWith("throw") ? "threw" : "finished", i });
      if (act === "throw a status") throw declared();
      if (act === "throw a status that lies about the outcome") {
        throw new RpcError(STATUS.code, STATUS.message, { details: STATUS.details, outcome: "not_executed" });
      }
      if (act === "throw a status with other details") {
        throw new RpcError(STATUS.code, STATUS.message, { details: OTHER_DETAILS });
      }
      if (act === "throw anything") throw new TypeError(`secret of ${i}`);
      if (act === "reply with garbage") return Uint8Array.from([0xff, 0x7b, i & 0xff]);
      return act === "reply" ? result.encode(2 * i) : new TextEncoder().encode(`{"not":"a number"}`);
    } catch (error) {
      if (error === signal.reason) note({ at: "stopped", i });
      throw error;
    } finally {
      running--;
    }
  }

  await using server = await RpcServer.connect(url, {
    backoff: { min: 10, max: 200 },
    onEvent: ({ type }) => {
      if (type === "returned_request") note({ at: "returned" });
    },
  });
  for (const { queue, queueType, idempotent } of clientProcedures(prefix)) {
    const served = procedure({ queue, queueType, idempotent, request, reply: bytes() });
    await server.serve(served, (task, context) => run(task, context), { prefetch: 20 });
  }
  const handler = (task: Task, context: RequestContext<typeof errors>): Promise<Uint8Array> =>
    run(task, context, () => context.error(STATUS.code, STATUS.details, STATUS.message));
  const handlers = { true: handler, absent: handler, false: handler };
  await server.serve(serviceOf(prefix, { request, reply: bytes() }), handlers, { prefetch: 20 });
  console.log("ready");
  // Its parent asks over stdin; when that ends, be it with the parent, so does this process.
  for await (const _ of Deno.stdin.readable) {
    console.log(JSON.stringify({ pending: server.pending, running } satisfies Status));
  }
}

if (import.meta.main) {
  await main(
    Deno.env.get("PROPERTY_URL") ?? "",
    Deno.env.get("PROPERTY_PREFIX") ?? "",
    Deno.env.get("PROPERTY_LOG") ?? "",
  );
}
