/**
 * `deno task broker`: a private RabbitMQ node until Ctrl-C.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { Broker, DEFAULT_URL, interruption } from "./broker.ts";
import { freePort, isFree } from "./ports.ts";
import { ensureRabbitMQ, runScript } from "./install.ts";

const HELP = `Run a private RabbitMQ node until Ctrl-C, which also deletes its data

Usage: deno task broker [--port PORT]

  --port PORT   default 5672, where the default URL finds it, or a free port if that one is taken
  --help`;

const DEFAULT_PORT = 5672;

async function runBroker(port: number): Promise<void> {
  console.error(`Starting RabbitMQ on port ${port}`);
  const stop = interruption();
  await ensureRabbitMQ(stop);
  await using broker = await Broker.start({ port, signal: stop });
  const prefix = port === DEFAULT_PORT ? "" : `AMQP_URL=${broker.url} `;
  console.log(`RabbitMQ answers at ${port === DEFAULT_PORT ? DEFAULT_URL : broker.url}

In other terminals:
  ${prefix}deno task server
  ${prefix}deno task client 30
  ${broker.ctlScript} list_queues name messages consumers

Ctrl-C stops it and deletes its data`);
  const stopped = new Promise((resolve) => stop.addEventListener("abort", resolve));
  if (!stop.aborted) await Promise.race([stopped, broker.ended]);
  if (stop.aborted) return;
  console.error("RabbitMQ has ended by itself");
  Deno.exitCode = 1;
}

function usageError(message: string): void {
  console.error(`${message}\nTry --help`);
  Deno.exitCode = 2;
}

async function main(): Promise<void> {
  const unknown: string[] = [];
  const { help, port: asked } = parseArgs(Deno.args, {
    boolean: ["help"],
    string: ["port"],
    unknown: (argument) => void unknown.push(argument),
  });
  if (help) return console.log(HELP);
  if (unknown.length > 0) return usageError(`Unexpected argument "${unknown[0]}": want --port or --help`);
  if (asked === undefined) {
    if (isFree(DEFAULT_PORT)) return await runBroker(DEFAULT_PORT);
    console.error(`Port ${DEFAULT_PORT} is taken`);
    return await runBroker(freePort());
  }
  const port = String(asked);
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    return usageError(`Invalid value "${port}" for --port: want a number from 1 to 65535`);
  }
  if (!isFree(Number(port))) return usageError(`Cannot listen on port ${port}: it is taken`);
  await runBroker(Number(port));
}

await runScript(main);
