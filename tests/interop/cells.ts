/**
 * The cells of the table: a client of another library calls our server, and our client calls a server of that library.
 *
 * @module
 */

import { printable } from "../../lib/contract/printable.ts";
import { fib, fibonacci } from "../../lib/tutorial/fib.ts";
import { RpcClient, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { type Ended, type Script, start } from "../support/script.ts";

/** Both are called at the same time; the second number is beyond the integers that a double holds. */
export const NUMBERS = [30, 90] as const;

/** Virtual machines start slowly on a busy computer. */
const PATIENCE = 30_000;

/** How much is shown of what a client prints. */
const SHOWN = 100;

export type InteropQueueType = "quorum" | "transient";

/** How a program of another library is run; the arguments are its role, the queue, and the type or the number. */
export interface Program {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What came of a cell. */
export interface Outcome {
  /** Why it failed; empty if it did not. */
  readonly fault: string;
  /** What the other library's client printed for the error reply to an invalid request. */
  readonly printed?: string;
}

function run({ command, env }: Program, url: string, ...args: string[]): Script {
  return start([...command, ...args], { ...env, AMQP_URL: url });
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${PATIENCE / 1_000} s`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function call(program: Program, url: string, queue: string, n: string): Promise<Ended> {
  await using client = run(program, url, "client", queue, n);
  return await within(client.ended(), `its client of "${n}"`);
}

/** The result that a client printed; some put it in quotation marks. */
function resultOf({ stdout }: Ended): string | undefined {
  return /^ \[\.\] Got '?(.*?)'?$/m.exec(stdout)?.[1];
}

/** The line that tells most of what went wrong. */
function tellingLine({ stdout, stderr }: Pick<Ended, "stdout" | "stderr">): string {
  const lines = (stderr.trim() || stdout.trim()).split("\n");
  const line = lines.findLast((text) => /error|cannot/i.test(text) && !/^ +at /.test(text)) ?? lines.at(-1) ?? "";
  return printable(line.trim());
}

/** What a client made of an error reply: the line that shows it, or the result; and the exit code if it is not 0. */
function reactionOf(ended: Ended): string {
  const { code, stdout, stderr } = ended;
  // Node prints objects over several lines.
  const lines = `${stderr}\n${stdout.replaceAll(/\n(?=[ }])/g, " ")}`.split("\n");
  const text = lines.find((line) => line.includes("invalid_argument")) ??
    lines.find((line) => line.startsWith(" [.] Got")) ?? tellingLine(ended);
  const shown = printable(text.trim().replaceAll(/\s+/g, " ").slice(0, SHOWN));
  return `${shown}${text.length > SHOWN ? "..." : ""}${code === 0 ? "" : `, exit code ${code}`}`;
}

/** Holds each request until as many as `count` are there: those that do not overlap never get an answer. */
function meeting(count: number): () => Promise<void> {
  let met = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  return async () => {
    if (++met >= count) resolve();
    await promise;
  };
}

/** Two clients of another library call our server at the same time, and a third one sends what is no number. */
export async function callOurServer(
  program: Program,
  url: string,
  { queue, queueType }: { queue: string; queueType: InteropQueueType },
): Promise<Outcome> {
  const events: string[] = [];
  function onEvent(event: ServerEvent): void {
    // On a busy computer this process too has to wait.
    if (event.type === "loop_blocked") return;
    if (event.type === "handled") events.push(event.code);
    else if ("queue" in event) events.push("reason" in event ? `${event.type} (${event.reason})` : event.type);
  }
  try {
    // A request whose companion never comes is never answered.
    await using server = await RpcServer.connect(url, { onEvent, drainTimeout: 500 });
    const both = meeting(NUMBERS.length);
    await server.serve({ ...fibonacci, queue, queueType }, async (n) => {
      await both();
      return fib(n);
    }, { prefetch: 10 });
    const answers = await Promise.all(NUMBERS.map((n) => call(program, url, queue, String(n))));
    for (const [index, n] of NUMBERS.entries()) {
      const answer = answers[index];
      if (answer === undefined || resultOf(answer) === String(fib(n))) continue;
      return { fault: `its client of ${n} printed "${tellingLine(answer)}"; our server: ${events.join(", ")}` };
    }
    const refused = await call(program, url, queue, "abc");
    const seen = events.join(", ");
    const fault = seen === "ok, ok, invalid_argument" ? "" : `our server: ${seen}`;
    return { fault, printed: reactionOf(refused) };
  } catch (error) {
    return { fault: `${error instanceof Error ? error.message : error}; our server: ${events.join(", ")}` };
  }
}

/** Our client calls a server of another library, with all numbers at the same time. */
export async function callTheirServer(
  program: Program,
  url: string,
  { queue, queueType }: { queue: string; queueType: InteropQueueType },
): Promise<Outcome> {
  await using server = run(program, url, "server", queue, queueType);
  try {
    await within(server.printed(" [x] Awaiting RPC requests"), "the start of its server");
    await using client = await RpcClient.connect(url);
    const calls = NUMBERS.map((n) => client.call({ ...fibonacci, queue }, n, { timeout: PATIENCE }));
    const results = await Promise.all(calls);
    const wrong = NUMBERS.findIndex((n, index) => results[index] !== fib(n));
    return { fault: wrong < 0 ? "" : `its server answered ${results[wrong]} for ${NUMBERS[wrong]}` };
  } catch (error) {
    return { fault: `${error instanceof Error ? error.message : error}; its server: "${tellingLine(server)}"` };
  }
}
