import type { Connection } from "../connection/connection.ts";
import type { QueueSettings } from "../contract/procedure.ts";

/** How many queues are remembered; beyond that, all are forgotten. */
const MAX_QUEUES = 1_000;

/**
 * Why the priority of a request has no effect.
 *
 * @param version The broker's, such as `4.3.6`.
 * @returns Undefined if it has one, or if that is not known.
 */
export function whyIgnored(
  settings: Pick<QueueSettings, "queueType" | "maxPriority">,
  version: string,
): string | undefined {
  const { queueType, maxPriority } = settings;
  if (queueType !== "quorum") {
    return maxPriority === undefined ? `its queueType is ${queueType}, and it has no maxPriority` : undefined;
  }
  const major = /^(\d+)\./.exec(version)?.[1];
  if (major === undefined || Number(major) >= 4) return undefined;
  return `quorum queues have priorities from RabbitMQ 4.0 on, and the broker is ${version}`;
}

/** Says once for each queue that the priority of its requests has no effect. */
export class IgnoredPriorities {
  readonly #connection: Pick<Connection, "link">;
  readonly #tell: (queue: string, reason: string) => void;
  readonly #told = new Set<string>();

  constructor(connection: Pick<Connection, "link">, tell: (queue: string, reason: string) => void) {
    this.#connection = connection;
    this.#tell = tell;
  }

  /** A request with a priority is sent to a queue. */
  sent(settings: QueueSettings): void {
    const { queue } = settings;
    const version = this.#connection.link?.version;
    if (version === undefined || this.#told.has(queue)) return;
    const reason = whyIgnored(settings, version);
    if (reason === undefined) return;
    if (this.#told.size >= MAX_QUEUES) this.#told.clear();
    this.#told.add(queue);
    this.#tell(queue, reason);
  }
}
