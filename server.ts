import { EXIT, parseCommandLine, parseDuration, runScript, UsageError } from "./lib/cli.ts";
import { fib, fibonacci } from "./lib/fib.ts";
import { procedure, type QueueType, RpcServer } from "./lib/rpc.ts";

const HELP = `Serve fib over RabbitMQ, as in RabbitMQ's tutorial six

Usage: deno task server [flags]

  --url URL           the broker; default AMQP_URL, else amqp://guest:guest@localhost:5672
  --queue NAME        the queue to serve; default ${fibonacci.queue}
  --queue-type TYPE   how to declare the queue if it does not exist: quorum (default), classic
                      (durable), or transient, which servers of older tutorials want
  --prefetch N        requests in progress at once, 1 to 65535; default 1
  --delay TIME        make each answer take that long, such as 500ms, 5s or 2m
  --help, --version

Exit codes: 0 ended by SIGINT or SIGTERM, 2 usage, 3 no broker`;

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(name, () => {
        // Whoever asks twice does not want to wait for what is running.
        if (asked) Deno.exit(EXIT.interrupted);
        asked = true;
        resolve();
      });
    }
  });
}

function args() {
  return parseCommandLine(Deno.args, ["url", "queue", "queue-type", "prefetch", "delay"]);
}

async function main(): Promise<number> {
  const { values, operands } = args();
  if (operands.length > 0) throw new UsageError(`Unexpected argument "${operands[0]}": the server takes flags alone`);
  const { url, queue = fibonacci.queue, prefetch = "1", delay } = values;
  const delayMs = delay === undefined ? 0 : parseDuration(delay, "delay");
  if (!/^\d{1,5}$/.test(prefetch)) {
    throw new UsageError(`Invalid value "${prefetch}" for --prefetch: want a number from 1 to 65535`);
  }
  const queueType = (values["queue-type"] ?? fibonacci.queueType) as QueueType;
  const served = procedure({ ...fibonacci, queue, queueType, idempotent: true });

  const signaled = untilSignal();
  await using server = await RpcServer.connect(url);
  await server.serve(served, async (n, { signal }) => {
    console.log(` [.] fib(${n})`);
    if (delayMs > 0) await sleep(delayMs, signal);
    return fib(n);
  }, { prefetch: Number(prefetch) });
  console.log(" [x] Awaiting RPC requests");
  await signaled;
  await server.close();
  // Signal listeners would keep the process alive.
  Deno.exit(EXIT.ok);
}

await runScript(HELP, main, args);
