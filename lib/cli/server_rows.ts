import type { MethodInfo, QueueInfo, ServerInfo } from "../contract/server_info.ts";
import { printable } from "../contract/printable.ts";
import { plural } from "./units.ts";

/** Sums of a server over all of its methods. */
export interface Totals {
  readonly requests: number;
  /** Requests that ended with an error; those whose caller has stopped waiting are none. */
  readonly errors: number;
  readonly refused: number;
  readonly handled: number;
  readonly processingTime: number;
}

/** Requests that ended with an error of the server or of the request. */
export function errorsOf({ codes }: MethodInfo): number {
  return Object.entries(codes).reduce((sum, [code, count]) => {
    return code === "ok" || code === "canceled" || code === "deadline_exceeded" ? sum : sum + count;
  }, 0);
}

/** The sums over all methods of a server. */
export function totalsOf({ methods }: Pick<ServerInfo, "methods">): Totals {
  const sum = (of: (method: MethodInfo) => number): number => methods.reduce((total, method) => total + of(method), 0);
  return {
    requests: sum(({ requests }) => requests),
    errors: sum(errorsOf),
    refused: sum(({ refused }) => refused),
    handled: sum(({ handled }) => handled),
    processingTime: sum(({ processingTime }) => processingTime),
  };
}

/** The names of servers, printable; those that several have, with the beginning of the id. */
export function namesOf(servers: readonly Pick<ServerInfo, "id" | "name">[]): Map<string, string> {
  const counts = new Map<string, number>();
  for (const { name } of servers) counts.set(name, 1 + (counts.get(name) ?? 0));
  return new Map(servers.map(({ id, name }) => {
    const text = printable(name) || "?";
    return [id, (counts.get(name) ?? 0) > 1 ? `${text} #${printable(id).slice(0, 4)}` : text];
  }));
}

/** How many consumers of a queue have not answered; the counts are those of different moments. */
export function silentConsumers({ consumers, servers }: QueueInfo): number {
  return Math.max(0, consumers - servers.reduce((sum, server) => sum + server.consumers, 0));
}

/** One line on a queue: what waits in it, who consumes it. */
export function describeQueue(queue: string, info: QueueInfo): string {
  const { messages, consumers } = info;
  const silent = silentConsumers(info);
  const others = silent > 0 ? `, ${silent} without an answer (of another library, or too busy)` : "";
  return `${printable(queue)}: ${plural(messages, "request")} waiting, ${plural(consumers, "consumer")}${others}`;
}
