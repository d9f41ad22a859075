/**
 * A server and a client for one test, and the plain peers that they meet.
 *
 * @module
 */

import { AssertionError } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Channel, ConsumeMessage, Options } from "amqplib";
import {
  type ClientEvent,
  type Handler,
  type Procedure,
  procedure,
  RpcClient,
  type RpcClientOptions,
  RpcError,
  RpcServer,
  type RpcServerOptions,
  type ServeOptions,
  type ServerEvent,
  text,
} from "../../lib/rpc.ts";
import { withChannel } from "./live.ts";

/** A test that fails does not wait half a minute for what is left. */
const DRAIN = 2_000;

const heardBy = new WeakMap<RpcClient, ClientEvent[]>();
const toldBy = new WeakMap<RpcServer, ServerEvent[]>();

/** A client and a server. */
export interface Pair extends AsyncDisposable {
  /** The client. */
  readonly client: RpcClient;
  /** The server. */
  readonly server: RpcServer;
}

/** Connects a client that notes its events. */
export async function connectClient(url: string, options: RpcClientOptions = {}): Promise<RpcClient> {
  const events: ClientEvent[] = [];
  const client = await RpcClient.connect(url, {
    drainTimeout: DRAIN,
    backoff: { min: 10, max: 100 },
    onEvent: (event) => events.push(event),
    ...options,
  });
  heardBy.set(client, events);
  return client;
}

/** Starts a server for one procedure that notes its events. */
export async function startServer<RequestIn, RequestOut, ReplyIn, ReplyOut>(
  url: string,
  served: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
  handler: Handler<RequestOut, ReplyIn>,
  options: RpcServerOptions & ServeOptions = {},
): Promise<RpcServer> {
  const events: ServerEvent[] = [];
  const { prefetch, ...rest } = options;
  const server = await RpcServer.connect(url, {
    drainTimeout: DRAIN,
    backoff: { min: 10, max: 100 },
    onEvent: (event) => events.push(event),
    ...rest,
  });
  toldBy.set(server, events);
  try {
    await server.serve(served, handler, prefetch === undefined ? {} : { prefetch });
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

/** Starts a server for one procedure, and connects a client. */
export async function pair<RequestIn, RequestOut, ReplyIn, ReplyOut>(
  url: string,
  served: Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut>,
  handler: Handler<RequestOut, ReplyIn>,
  options: RpcServerOptions & ServeOptions = {},
): Promise<Pair> {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await startServer(url, served, handler, options));
  const client = opened.use(await connectClient(url));
  const both = opened.move();
  return { client, server, [Symbol.asyncDispose]: () => both.disposeAsync() };
}

type Of<Event, Type> = Extract<Event, { readonly type: Type }>;

/** The events of one type that a client of {@linkcode connectClient} has had so far. */
export function heard<Type extends ClientEvent["type"]>(client: RpcClient, type: Type): Of<ClientEvent, Type>[] {
  return (heardBy.get(client) ?? []).filter((event): event is Of<ClientEvent, Type> => event.type === type);
}

/** The events of one type that a server of {@linkcode startServer} has had so far. */
export function told<Type extends ServerEvent["type"]>(server: RpcServer, type: Type): Of<ServerEvent, Type>[] {
  return (toldBy.get(server) ?? []).filter((event): event is Of<ServerEvent, Type> => event.type === type);
}

/** Text in, text out: what most tests call. */
export function texts(queue: string, idempotent?: boolean): Procedure<string, string, string, string> {
  return procedure({ queue, queueType: "classic", request: text(), reply: text(), idempotent });
}

/** The error that a call ends in; watched from now on, so that it may be awaited later. */
export function failure(call: Promise<unknown>): Promise<RpcError> {
  return call.then(
    (value) => {
      throw new AssertionError(`Expected the call to fail, it gave ${Deno.inspect(value)}`);
    },
    (error) => {
      if (error instanceof RpcError) return error;
      throw new AssertionError(`Expected an RpcError, got ${Deno.inspect(error)}`);
    },
  );
}

/** Waits `ms`, or until the signal is aborted, and then throws its reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const timer = setTimeout(() => end(resolve), ms);
    const onAbort = (): void => end(() => reject(signal?.reason));
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
  });
}

/** Resolves with the reason when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.resolve(signal.reason);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason), { once: true }));
}

/** A handler that goes on when the test says so. */
export interface Gated {
  /** Gives the double of `n` once it is released. */
  readonly handler: (n: number) => Promise<number>;
  /** Settles when a request has reached the handler. */
  readonly started: Promise<void>;
  /** Lets all requests go on, those to come too. */
  readonly release: () => void;
}

/** A handler that waits for its release. */
export function gated(): Gated {
  const started = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  return {
    handler: async (n) => {
      started.resolve();
      await release.promise;
      return 2 * n;
    },
    started: started.promise,
    release: release.resolve,
  };
}

/** The same broker, by way of another port of this machine. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.hostname = "127.0.0.1";
  changed.port = String(port);
  return String(changed);
}

/** The port of a broker on this machine. */
export function portOf(url: string): number {
  return Number(new URL(url).port || 5672);
}

/** Properties of a reply; `undefined` leaves one out. */
export type OddProperties = { readonly [Name in keyof Options.Publish]: Options.Publish[Name] | undefined };

/** What a plain server may do with a request. */
export interface PlainRequest {
  /** The request as it came. */
  readonly message: ConsumeMessage;
  /** Sends a reply as the tutorial's server does, with further or other properties. */
  reply(body: string | Uint8Array, properties?: OddProperties): void;
  /** Acknowledges the request. */
  ack(): void;
}

/** A server as the tutorial writes it. */
export interface PlainServer extends AsyncDisposable {
  /** The requests so far. */
  readonly received: readonly PlainRequest[];
  /** Disconnects; what is not acknowledged goes back to the queue. */
  close(): Promise<void>;
}

/** Starts a server as the tutorial writes it; `answer` acknowledges by itself. */
export async function plainServer(
  url: string,
  queue: string,
  answer: (request: PlainRequest) => void,
  options: Options.AssertQueue = { durable: true },
): Promise<PlainServer> {
  const received: PlainRequest[] = [];
  const ready = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const running = withChannel(url, async (channel: Channel) => {
    await channel.assertQueue(queue, options);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const { correlationId, replyTo } = message.properties;
      const request: PlainRequest = {
        message,
        reply: (body, properties) =>
          void channel.sendToQueue(replyTo, Buffer.from(body), { correlationId, ...properties } as Options.Publish),
        ack: () => channel.ack(message),
      };
      received.push(request);
      answer(request);
    });
    ready.resolve();
    await end.promise;
  });
  running.catch(ready.reject);
  await ready.promise;
  const close = async (): Promise<void> => {
    end.resolve();
    await running;
  };
  return { received, close, [Symbol.asyncDispose]: close };
}
