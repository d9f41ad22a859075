import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Duplex } from "node:stream";
import { type ChannelModel, connect, credentials } from "amqplib";
import { RpcError } from "../contract/errors.ts";
import type { Host } from "./broker_url.ts";
import { clientProperties } from "./client_properties.ts";
import type { HostAddress, HostAddresses } from "./host_addresses.ts";
import { addressOptions, resolveHost } from "./resolve_host.ts";

/** Keys and certificates for TLS, as PEM text; passed to the TLS library unchanged. */
export interface TlsOptions {
  /** The certificates of the authorities to trust, instead of the system's. */
  readonly ca?: string | readonly string[];
  /** The client's certificate chain. */
  readonly cert?: string;
  /** The client's private key. */
  readonly key?: string;
  /** The passphrase of `key`. */
  readonly passphrase?: string;
  /** The name that the broker's certificate must have; the URL's host if absent. */
  readonly servername?: string;
}

/** How a connection to one broker is opened. */
export interface HandshakeOptions {
  /** How long it may take at one address, in ms. */
  readonly connectTimeout: number;
  readonly tls: TlsOptions | undefined;
  /** The connection's name in RabbitMQ's management pages. */
  readonly name: string | undefined;
  /** Ends the handshake when it is aborted. */
  readonly signal: AbortSignal;
  /**
   * Gives all addresses of a host name; none if they cannot be told.
   *
   * @default {resolveHost}
   */
  readonly resolve?: typeof resolveHost;
}

/** Runs `create`, and returns the TCP socket that it opens: amqplib does not expose it before it is connected. */
function watchSocket<T>(create: () => T): { readonly result: T; readonly socket: Duplex | undefined } {
  let socket: Duplex | undefined;
  const note = (message: unknown): void => {
    socket = (message as { socket?: Duplex }).socket;
  };
  subscribe("net.client.socket", note);
  try {
    return { result: create(), socket };
  } finally {
    unsubscribe("net.client.socket", note);
  }
}

/** Notes which of the addresses accepts the connection. */
function watchAddresses(socket: Duplex | undefined, [first]: readonly HostAddress[], addresses: HostAddresses): void {
  // The socket does not tell which one it tries if there is only one.
  let current = first?.address;
  socket?.on("connectionAttempt", (address: string) => current = address);
  socket?.on("connect", () => current !== undefined && addresses.connected(current));
}

/**
 * Connects to one broker and opens the virtual host.
 *
 * @throws What amqplib, the socket or TLS throws; `toRpcError` says what it means.
 */
export async function handshake(host: Host, options: HandshakeOptions): Promise<ChannelModel> {
  const { connectTimeout, tls, name, signal, resolve = resolveHost } = options;
  const { addresses, connect: { hostname = "", port = 0 } } = host;
  let socket: Duplex | undefined;
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  function giveUp(why: string): void {
    const text = `Cannot connect to ${addresses.label}: ${why}`;
    socket?.destroy();
    reject(new RpcError("unavailable", text, { outcome: "not_executed" }));
  }
  // amqplib's timeout limits the silence on the socket; this one limits the whole handshake.
  const timer = setTimeout(() => giveUp(`no answer within ${connectTimeout} ms`), connectTimeout);
  const onAbort = (): void => giveUp("the connection was closed before it was open");
  signal.addEventListener("abort", onAbort);
  try {
    const wanted = addresses.attempt(await Promise.race([resolve(hostname, port), givenUp]));
    const watched = watchSocket(() =>
      connect(
        host.connect,
        {
          noDelay: true,
          timeout: connectTimeout,
          keepAlive: true,
          ...addressOptions(wanted, port, addresses),
          ...(host.external ? { credentials: credentials.external() } : {}),
          ...tls,
          ...(typeof tls?.ca === "object" ? { ca: tls.ca.slice() } : {}),
          clientProperties: clientProperties(name),
        } as Parameters<typeof connect>[1],
      )
    );
    socket = watched.socket;
    watchAddresses(socket, wanted, addresses);
    return await Promise.race([watched.result, givenUp]);
  } catch (error) {
    // amqplib drops the broker's reason, so the text names all possible ones.
    if (!(error instanceof Error) || !error.message.startsWith("Expected ConnectionOpenOk")) throw error;
    const why = `the virtual host "${host.vhost}" does not exist, is down, or the user may not use it`;
    const text = `Cannot connect to ${host.label}: ${why}`;
    throw new RpcError("permission_denied", text, { outcome: "not_executed", cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
