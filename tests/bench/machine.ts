import config from "../../deno.json" with { type: "json" };
import type { Broker } from "../support/broker.ts";

const LIBRARIES = ["amqplib", "rabbitmq-client", "@cloudamqp/amqp-client"] as const;

/** What a reader must know to compare figures with those of another machine. */
export async function machine(broker: Broker): Promise<Record<string, string | number>> {
  return {
    cpu: `${navigator.hardwareConcurrency} × ${cpuModel()}`,
    memory: `${Math.round(Deno.systemMemoryInfo().total / 2 ** 30)} GiB`,
    system: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    deno: Deno.version.deno,
    rabbitmq: (await broker.eval("rabbit_misc:version()")).replaceAll('"', ""),
    peers: LIBRARIES.map((name) => config.imports[name].replace("npm:", "")).join(", "),
  };
}

function cpuModel(): string {
  try {
    return Deno.readTextFileSync("/proc/cpuinfo").match(/model name\s*: (.*)/)?.[1] ?? Deno.build.arch;
  } catch {
    return Deno.build.arch;
  }
}
