import { RpcClient, type RpcClientOptions } from "../client/rpc_client.ts";
import type { ConnectOptions } from "../connection/connect_options.ts";
import { type LinkOptions, OPEN_LINK, type OpenLink } from "../connection/link.ts";
import type { AddedBy, Interceptor } from "../contract/interceptor.ts";
import { RpcServer } from "../server/rpc_server.ts";
import type { RpcServerOptions } from "../server/server_options.ts";
import { MemoryBroker } from "./memory_broker.ts";
import { MemoryLink } from "./memory_link.ts";

/** The options of the client of {@linkcode memory}: those of `RpcClient.connect`, without those of the connection. */
export interface MemoryClientOptions extends Omit<RpcClientOptions, keyof ConnectOptions | "replies"> {
  /**
   * How long `close` waits for what is in progress, in ms, from 0 to 2,147,483,647.
   *
   * @default {1_000}
   */
  readonly drainTimeout?: number;
}

/** The options of the server of {@linkcode memory}: those of `RpcServer.connect`, without those of the connection. */
export interface MemoryServerOptions<Interceptors extends readonly Interceptor[] = readonly Interceptor[]>
  extends Omit<RpcServerOptions<Interceptors>, keyof ConnectOptions | "replyTo"> {
  /**
   * How long `close` waits for what is in progress, in ms, from 0 to 2,147,483,647.
   *
   * @default {1_000}
   */
  readonly drainTimeout?: number;
}

/** Options of {@linkcode memory}. */
export interface MemoryOptions<Interceptors extends readonly Interceptor[] = readonly Interceptor[]> {
  /**
   * The options of the client.
   *
   * @default {no options}
   */
  readonly client?: MemoryClientOptions;
  /**
   * The options of the server.
   *
   * @default {no options}
   */
  readonly server?: MemoryServerOptions<Interceptors>;
}

/**
 * A client and a server that are joined in memory; created by {@linkcode memory}.
 *
 * @typeParam Added What the server's interceptors add to the context of handlers.
 */
export interface Memory<Added extends object = object> extends AsyncDisposable {
  /** The client. */
  readonly client: RpcClient;
  /** The server. */
  readonly server: RpcServer<Added>;
  /**
   * Cuts the connections of both sides, as a network failure does. Both connect again within a few milliseconds; queues
   * and the requests in them stay, and requests that were not answered are delivered again.
   */
  disconnect(): void;
  /**
   * Closes the client, then the server; the same as leaving the scope of `await using`. Never rejects; when called again,
   * returns the same promise.
   */
  close(): Promise<void>;
}

/** It is never looked up. */
const URL = "amqp://memory";

/**
 * Joins a client and a server in memory, for tests without a broker and without permissions. Both are the real ones:
 * codecs, errors, headers, interceptors, nested calls, deadlines, cancels, retries, redeliveries and drains behave as over
 * RabbitMQ. Only the broker is a stand-in. It has the queues of `serve`, with `maxLength`, `messageTtl` and the delivery
 * counts of quorum queues, but no permissions, policies, alarms, dead-letter exchanges, or limits of sizes.
 *
 * Deadlines use `performance.now()` and timers. `FakeTime` of `@std/testing` does not replace the former, so it cannot be
 * used: use short timeouts, or a fake clock that replaces both. Each `memory()` is a broker of its own, so tests do not
 * meet.
 *
 * @param options The options of both sides.
 * @returns The two sides, connected.
 * @throws {TypeError | RangeError} If an option is not valid.
 *
 * @example
 * ```ts
 * import { integer, method, RpcError, service } from "@rabbitmq-rpc/rpc";
 * import { memory } from "@rabbitmq-rpc/rpc/testing";
 *
 * const maths = service({
 *   queue: "maths",
 *   methods: { root: method({ request: integer(), reply: integer(), idempotent: true }) },
 * });
 *
 * await using rpc = await memory();
 * await rpc.server.serve(maths, {
 *   root: (n) => {
 *     if (n < 0) throw new RpcError("out_of_range", `Cannot take the root of ${n}`);
 *     return Math.floor(Math.sqrt(n));
 *   },
 * });
 * const api = rpc.client.of(maths);
 * console.assert(await api.root(17) === 4);
 * const error = await api.root(-1).catch((reason) => reason);
 * console.assert(error.code === "out_of_range" && error.outcome === "executed");
 * ```
 */
export async function memory<const Interceptors extends readonly Interceptor[] = readonly Interceptor[]>(
  options: MemoryOptions<Interceptors> = {},
): Promise<Memory<AddedBy<Interceptors>>> {
  const broker = new MemoryBroker();
  const links: MemoryLink[] = [];
  const open: OpenLink = (host, _options, listener) => {
    const link = new MemoryLink(broker, host, listener);
    links.push(link);
    return Promise.resolve(link);
  };
  // Without heartbeats: nothing can be silent here.
  const connection: LinkOptions = { heartbeat: 0, backoff: { min: 1, max: 10 }, [OPEN_LINK]: open };
  const serverOptions: RpcServerOptions<Interceptors> = { drainTimeout: 1_000, ...options.server, ...connection };
  const server = await RpcServer.connect(URL, serverOptions);
  const clientOptions: RpcClientOptions = { drainTimeout: 1_000, ...options.client, ...connection };
  const client = await RpcClient.connect(URL, clientOptions).catch(async (error) => {
    await server.close();
    throw error;
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => closing ??= client.close().then(() => server.close());
  return {
    client,
    server,
    disconnect: () => {
      for (const link of links.splice(0)) link.cut("the test cut it");
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
