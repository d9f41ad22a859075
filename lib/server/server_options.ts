import type { ConnectOptions } from "../connection/connect_options.ts";
import type { Interceptor } from "../contract/interceptor.ts";
import type { RequestContext } from "../contract/request_context.ts";
import type { Procedure } from "../contract/procedure.ts";
import type { Method, Methods, Service } from "../contract/service.ts";
import type { Handler } from "./request_runner.ts";
import type { ServerEvent } from "../events/server_event.ts";

/** Options of `RpcServer.connect`. */
export interface RpcServerOptions<Interceptors extends readonly Interceptor[] = readonly Interceptor[]>
  extends ConnectOptions {
  /**
   * Functions that run around the handler of every request, the first one outermost; see {@linkcode Interceptor}.
   *
   * @default {[]}
   */
  readonly interceptors?: Interceptors;
  /**
   * The names of the request headers that calls with `{ parent: context }` send too.
   *
   * @default {[]}
   */
  readonly propagate?: readonly string[];
  /**
   * Which queues requests may name as their `reply_to`, besides those that the
   * broker named (`amq.gen-*`, direct reply-to) and the exclusive queues of
   * other connections, which are always allowed. Callers can make the server
   * publish to every queue that it allows.
   *
   * @default {() => false}
   */
  readonly replyTo?: (name: string) => boolean;
  /** The version of your service, as `RpcClient.servers` shows it: 1 to 64 characters. */
  readonly version?: string;
  /**
   * Called with the events of the connection and of requests. What it throws is
   * logged and ignored.
   *
   * @default {logs important events to stderr}
   */
  readonly onEvent?: (event: ServerEvent) => void;
}

/** Options of {@linkcode RpcServer.serve}. */
export interface ServeOptions {
  /**
   * How many requests are in progress at once, from 1 to 65,535; each is
   * started when it arrives, none waits in the server's memory.
   *
   * With `workers`, as many as there are workers by default; more wait in this
   * process for a worker that is free.
   *
   * @default {10}
   */
  readonly prefetch?: number;
  /**
   * Whether requests that have too little time left for their work are answered with `resource_exhausted` instead of
   * being started, once requests wait so long that the servers are overloaded. Requests without an expiration are always
   * started.
   *
   * @default {true}
   */
  readonly loadShedding?: boolean;
  /**
   * How many processes run the handlers of a module, from 1 to 1,000; only for
   * `serve` with the URL of a module.
   *
   * @default {the number of processors}
   */
  readonly workers?: number;
}

/** The handlers of a service: one function for each method, and no other. */
export type Handlers<Of extends Methods, Added extends object = object> = {
  readonly [Name in keyof Of]: Of[Name] extends
    Method<infer _RequestIn, infer RequestOut, infer ReplyIn, infer _ReplyOut, infer Errors>
    ? Handler<RequestOut, ReplyIn, RequestContext<Errors> & Added>
    : never;
};

/**
 * What `RpcServer.serve` takes for a procedure, its handler, or for a service, the handlers of its methods.
 *
 * @typeParam What The procedure or service.
 * @typeParam Added What interceptors add to the context.
 */
export type HandlersOf<What, Added extends object = object> = What extends Service<infer Of> ? Handlers<Of, Added>
  : What extends Procedure<infer _RequestIn, infer RequestOut, infer ReplyIn, infer _ReplyOut, infer Errors>
    ? Handler<RequestOut, ReplyIn, RequestContext<Errors> & Added>
  : never;

/** One procedure or service that is being served. */
export interface Serving extends AsyncDisposable {
  /**
   * Stops consuming this queue; resolves when its requests in progress are
   * answered, or after `drainTimeout`: what is left is then aborted and
   * requeued. Other queues are still served.
   */
  stop(): Promise<void>;
}
