import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Duplex } from "node:stream";
import { type ChannelModel, connect, credentials } from "amqplib";
import { RpcError } from "../contract/errors.ts";
import type { Host } from "./broker_url.ts";

/** TLS material, as PEM text; passed on to the TLS library as it is. */
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

/** How one link to a broker is made. */
export interface LinkOptions {
  /** How long it may take, in ms. */
  readonly connectTimeout: number;
  readonly tls: TlsOptions | undefined;
  /** The connection's name in RabbitMQ's management pages. */
  readonly name: string | undefined;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** The socket of an amqplib connection; not in its types, so every use copes with its absence. */
export function socketOf(model: ChannelModel): Duplex | undefined {
  const { stream } = model.connection as unknown as { stream?: Partial<Duplex> };
  return typeof stream?.destroy === "function" ? stream as Duplex : undefined;
}

/** Waits, and settles either way; true if it settled in time. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([promise.then(() => true, () => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `create`, and gives the TCP socket that it opens, which amqplib keeps to itself until it is connected. */
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

/** Keeps the last that was read: amqplib leaves out why the broker refuses a virtual host. */
function rememberReads(socket: Duplex | undefined): { readonly text: () => string; readonly stop: () => void } {
  let last: Uint8Array | undefined;
  if (socket === undefined) return { text: () => "", stop: () => {} };
  const read = socket.read.bind(socket);
  socket.read = (size?: number): unknown => {
    const chunk: unknown = read(size);
    if (chunk instanceof Uint8Array) last = chunk;
    return chunk;
  };
  return {
    text: () => new TextDecoder("latin1").decode(last),
    stop: () => socket.read = read,
  };
}

/**
 * Opens one link to one broker.
 *
 * @throws What amqplib, the socket or TLS throws; `toRpcError` says what it means.
 */
export async function openLink(host: Host, options: LinkOptions): Promise<ChannelModel> {
  const { connectTimeout, tls, name, signal } = options;
  const { result, socket } = watchSocket(() =>
    connect(
      host.connect,
      {
        noDelay: true,
        timeout: connectTimeout,
        keepAlive: true,
        ...(host.external ? { credentials: credentials.external() } : {}),
        ...tls,
        ...(typeof tls?.ca === "object" ? { ca: tls.ca.slice() } : {}),
        clientProperties: name === undefined ? {} : { connection_name: name },
      } as Parameters<typeof connect>[1],
    )
  );
  const reads = rememberReads(socket);
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  function giveUp(why: string): void {
    socket?.destroy();
    reject(new RpcError("unavailable", `Cannot connect to ${host.label}: ${why}`, { outcome: "not_executed" }));
  }
  // amqplib's timeout is one of silence; this one is of all.
  const timer = setTimeout(() => giveUp(`no answer within ${connectTimeout} ms`), connectTimeout);
  const onAbort = (): void => giveUp("it was closed meanwhile");
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([result, givenUp]);
  } catch (error) {
    const refusal = reads.text().match(/NOT_ALLOWED - [\x20-\x7e]+/)?.[0];
    throw refusal === undefined ? error : new Error(refusal, { cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    reads.stop();
  }
}
