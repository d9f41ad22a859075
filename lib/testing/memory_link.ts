import type { Host } from "../connection/broker_url.ts";
import type { Channel } from "../connection/channel.ts";
import type { Link, LinkListener } from "../connection/link.ts";
import { MAX_TIMEOUT_MS } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import type { MemoryBroker } from "./memory_broker.ts";
import { MemoryChannel } from "./memory_channel.ts";

/** A connection to a broker in memory. */
export class MemoryLink implements Link {
  readonly host: Host;
  readonly blocked = undefined;
  readonly version = undefined;
  readonly #broker: MemoryBroker;
  readonly #listener: LinkListener;
  readonly #channels = new Set<MemoryChannel>();
  /** Keeps the process alive while something may still happen, as a socket does. */
  readonly #alive = setInterval(() => {}, MAX_TIMEOUT_MS);
  #closed = false;

  constructor(broker: MemoryBroker, host: Host, listener: LinkListener) {
    this.#broker = broker;
    this.host = host;
    this.#listener = listener;
  }

  assertOpen(): void {
    if (this.#closed) throw this.#unavailable("connect");
  }

  openChannel(action: string, confirm: boolean): Promise<Channel> {
    return new Promise((resolve, reject) =>
      this.#broker.post(() => {
        if (this.#closed) {
          reject(this.#unavailable(action));
          return;
        }
        const channel = new MemoryChannel(this.#broker, this, confirm);
        channel.onClosed(() => this.#channels.delete(channel));
        this.#channels.add(channel);
        resolve(channel);
      })
    );
  }

  close(): Promise<void> {
    return new Promise((resolve) =>
      this.#broker.post(() => {
        this.#end(undefined);
        resolve();
      })
    );
  }

  cut(why: string): void {
    this.#broker.post(() => this.#end(new Error(why)));
  }

  #end(cause: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#alive);
    const channels = Array.from(this.#channels);
    // First, so that what goes back to a queue is not delivered to another channel of this link.
    for (const channel of channels) channel.stopConsuming();
    for (const channel of channels) channel.end(undefined);
    this.#broker.deleteQueuesOf(this);
    this.#listener.lost(cause);
  }

  #unavailable(action: string): RpcError {
    return new RpcError("unavailable", `Cannot ${action}: the connection is lost`, { outcome: "not_executed" });
  }
}
