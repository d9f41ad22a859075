/**
 * A server and a client for one test, and the plain peers that they meet.
 *
 * @module
 */

import { AssertionError } from "@std/assert";
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
  const { prefetch, loadShedding, ...rest } = options;
  const server = await RpcServer.connect(url, {
    drainTimeout: DRAIN,
    backoff: { min: 10, max: 100 },
    onEvent: (event) => events.push(event),
    ...rest,
  });
  toldBy.set(server, events);
  try {
    await server.serve(served, handler, {
      ...(prefetch === undefined ? {} : { prefetch }),
      ...(loadShedding === undefined ? {} : { loadShedding }),
    });
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
