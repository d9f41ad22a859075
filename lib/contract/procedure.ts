import { checkInteger, checkQueueName } from "./validate.ts";
import { type Codec, MAX_BODY_BYTES } from "./codec.ts";
import { isRpcCode, type RpcCode } from "./errors.ts";

/**
 * The type of the queue that holds the requests
 * (https://www.rabbitmq.com/docs/queues):
 *
 * - `quorum`: durable and replicated, as tutorial six declares it today.
 * - `classic`: durable on one node.
 * - `transient`: lost when the broker restarts, as older tutorials declare it;
 *   refused by RabbitMQ from 4.3 on, unless its configuration permits it.
 */
export type QueueType = "quorum" | "classic" | "transient";

/** The codecs of the details of errors, by the code of the error; each must be a codec of JSON. */
export type ErrorMap = Readonly<Partial<Record<RpcCode, Codec<never, unknown>>>>;

/** For a procedure without typed errors. */
export interface NoErrors extends Readonly<Record<never, never>> {}

/** Options that {@linkcode procedure} and `method` share. */
export interface MethodOptions<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap = NoErrors> {
  /** Encodes requests on the client, decodes and validates them on the server. */
  readonly request: Codec<RequestIn, RequestOut>;
  /** Encodes replies on the server, decodes and validates them on the client. */
  readonly reply: Codec<ReplyIn, ReplyOut>;
  /**
   * The errors that a handler throws with `context.error(code, details)`, with the codecs of their details, which are
   * validated on both sides.
   */
  readonly errors?: Errors | undefined;
  /**
   * What happens to a request when it is unknown whether it has run:
   *
   * - `true`: the client sends it again after a lost connection or a nack,
   *   within the deadline; servers run redelivered requests.
   * - absent: the client never sends it twice; servers run redelivered requests.
   * - `false`: at most once. The client never sends it twice, and a server
   *   answers a redelivered request with `aborted` without running it.
   */
  readonly idempotent?: boolean | undefined;
  /**
   * After how many deliveries a server answers `aborted` instead of running a
   * request again, or aborts it if it is still running, from 1 to 1000. Only
   * quorum queues count; on other queues a server counts only the redeliveries
   * of what it is running. A queue's own
   * delivery limit, 20 by default from RabbitMQ 4.0 on, comes first if it is lower:
   * the broker then drops or dead-letters the request, and its call times out.
   *
   * @default {10}
   */
  readonly maxDeliveries?: number;
}

/** How a server declares a queue that does not exist yet. */
export interface QueueOptions {
  /** The name of the queue that holds the requests: 1 to 255 bytes, not starting with `amq.`. */
  readonly queue: string;
  /**
   * How the server declares the queue if it does not exist yet. An existing
   * queue is used unchanged.
   *
   * @default {"quorum"}
   */
  readonly queueType?: QueueType;
  /**
   * How many requests may wait in a queue that the server declares, from 1 to
   * 4,294,967,295; the broker refuses more, and their calls end in
   * `resource_exhausted` (https://www.rabbitmq.com/docs/maxlength).
   */
  readonly maxLength?: number | undefined;
  /**
   * How long a request may wait in a queue that the server declares, in ms,
   * from 1 to 4,294,967,295, for clients that set no expiration
   * (https://www.rabbitmq.com/docs/ttl).
   */
  readonly messageTtl?: number | undefined;
  /**
   * The highest priority of requests in a classic or transient queue that the
   * server declares, from 1 to 255, best 10 or less, because each takes CPU and
   * memory (https://www.rabbitmq.com/docs/priority). Quorum queues have
   * priorities of their own; see `CallOptions.priority`.
   *
   * @default {undefined} No priorities.
   */
  readonly maxPriority?: number | undefined;
  /**
   * How long a request may be in progress before the broker takes it back, in
   * ms, from 1 to 4,294,967,295
   * (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout). From
   * RabbitMQ 3.12 on it applies to a queue that the server declares, and from
   * 4.3 on to existing queues too, but to quorum queues only: other queues then
   * have no such timeout.
   *
   * @default {the broker's `consumer_timeout`, 30 minutes unless configured}
   */
  readonly consumerTimeout?: number | undefined;
  /**
   * The exchange for requests that are rejected, have expired or have reached
   * `maxDeliveries`, of a queue that the server declares; at most 255 bytes;
   * `""` is the default exchange (https://www.rabbitmq.com/docs/dlx).
   */
  readonly deadLetterExchange?: string | undefined;
  /** The routing key with which they are sent there, at most 255 bytes; that of the request if absent. */
  readonly deadLetterRoutingKey?: string | undefined;
}

/** Options of {@linkcode procedure}. */
export interface ProcedureOptions<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap = NoErrors>
  extends QueueOptions, MethodOptions<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors> {}

/** A queue with all its settings. */
export interface QueueSettings {
  /** The name of the queue that holds the requests. */
  readonly queue: string;
  /** How the server declares the queue. */
  readonly queueType: QueueType;
  /** How many requests may wait in a queue that the server declares. */
  readonly maxLength: number | undefined;
  /** How long a request may wait in a queue that the server declares, in ms. */
  readonly messageTtl: number | undefined;
  /** The highest priority of requests in a classic or transient queue. */
  readonly maxPriority: number | undefined;
  /** How long a request may be in progress before the broker takes it back, in ms. */
  readonly consumerTimeout: number | undefined;
  /** The exchange for requests that are rejected, have expired or have reached `maxDeliveries`. */
  readonly deadLetterExchange: string | undefined;
  /** The routing key with which they are sent there. */
  readonly deadLetterRoutingKey: string | undefined;
}

/** One remote function, for both sides; created by {@linkcode procedure}, or a method of a service. */
export interface Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap = NoErrors>
  extends QueueSettings {
  /** Its name among the methods of a service; absent if it has a queue of its own. */
  readonly method: string | undefined;
  /** Encodes and decodes requests. */
  readonly request: Codec<RequestIn, RequestOut>;
  /** Encodes and decodes replies. */
  readonly reply: Codec<ReplyIn, ReplyOut>;
  /** The codecs of the details of its errors. */
  readonly errors: Errors;
  /** Whether a request may be sent, and run, more than once. */
  readonly idempotent: boolean | undefined;
  /** After how many deliveries a request is refused. */
  readonly maxDeliveries: number;
}

/** A procedure of any types; its codecs are only given values of its own types. */
export type AnyProcedure = Procedure<never, unknown, never, unknown, ErrorMap>;

const QUEUE_TYPES: readonly unknown[] = ["quorum", "classic", "transient"] satisfies QueueType[];

const UINT32_MAX = 4_294_967_295;

/**
 * Checks the settings of a queue, and fills in defaults.
 *
 * @param action What is being defined, as in "Cannot define procedure".
 */
export function queueSettings(options: QueueOptions, action: string): QueueSettings {
  const { queue, queueType = "quorum", maxLength, messageTtl, maxPriority, consumerTimeout } = options;
  const { deadLetterExchange, deadLetterRoutingKey } = options;
  checkQueueName(queue, action);
  if (!QUEUE_TYPES.includes(queueType)) {
    throw new TypeError(`Cannot ${action}: 'queueType' must be one of ${QUEUE_TYPES.join(", ")}, got ${queueType}`);
  }
  for (const [name, value] of Object.entries({ maxLength, messageTtl, consumerTimeout })) {
    if (value !== undefined) checkInteger(value, name, action, 1, UINT32_MAX);
  }
  if (maxPriority !== undefined) {
    checkInteger(maxPriority, "maxPriority", action, 1, 255);
    if (queueType === "quorum") {
      throw new TypeError(`Cannot ${action}: 'maxPriority' needs the queueType classic or transient, got quorum`);
    }
  }
  for (const [name, value] of Object.entries({ deadLetterExchange, deadLetterRoutingKey })) {
    if (value === undefined) continue;
    if (typeof value !== "string") {
      throw new TypeError(`Cannot ${action}: '${name}' must be a string, got ${typeof value}`);
    }
    if (new TextEncoder().encode(value).byteLength > 255) {
      throw new RangeError(`Cannot ${action}: '${name}' must have at most 255 bytes`);
    }
  }
  if (deadLetterRoutingKey !== undefined && deadLetterExchange === undefined) {
    throw new TypeError(`Cannot ${action}: 'deadLetterRoutingKey' needs 'deadLetterExchange'`);
  }
  const limits = { maxLength, messageTtl, maxPriority, consumerTimeout };
  return { queue, queueType, ...limits, deadLetterExchange, deadLetterRoutingKey };
}

function checkCodec(codec: unknown, name: string, action: string): void {
  const { encode, decode, contentType, maxBytes } = (codec ?? {}) as Partial<Codec<unknown>>;
  if (typeof encode !== "function" || typeof decode !== "function") {
    throw new TypeError(`Cannot ${action}: '${name}' must be a codec such as text() or json(schema)`);
  }
  if (typeof contentType !== "string" || new TextEncoder().encode(contentType).byteLength > 255) {
    throw new TypeError(`Cannot ${action}: '${name}.contentType' must be a string of at most 255 bytes`);
  }
  checkInteger(maxBytes, `${name}.maxBytes`, action, 1, MAX_BODY_BYTES);
}

/** The settings of a method, besides its queue and name. */
export type MethodSettings<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap> = Omit<
  Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors>,
  keyof QueueSettings | "method"
>;

/**
 * Checks the settings of a method, and fills in defaults.
 *
 * @param action What is being defined, as in "Cannot define procedure".
 */
export function methodSettings<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap>(
  options: MethodOptions<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors>,
  action: string,
): MethodSettings<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors> {
  const { request, reply, idempotent, maxDeliveries = 10 } = options;
  checkCodec(request, "request", action);
  checkCodec(reply, "reply", action);
  if (idempotent !== undefined && typeof idempotent !== "boolean") {
    throw new TypeError(`Cannot ${action}: 'idempotent' must be true, false or absent, got ${idempotent}`);
  }
  checkInteger(maxDeliveries, "maxDeliveries", action, 1, 1000);
  const errors = options.errors ?? {} as Errors;
  for (const [code, codec] of Object.entries(errors)) {
    if (!isRpcCode(code)) {
      throw new TypeError(`Cannot ${action}: 'errors' has "${code}", which is not a code of an RpcError`);
    }
    checkCodec(codec, `errors.${code}`, action);
    if (codec?.contentType !== "application/json") {
      throw new TypeError(`Cannot ${action}: 'errors.${code}' must be a codec of JSON, such as json(schema)`);
    }
  }
  return { request, reply, errors, idempotent, maxDeliveries };
}

/**
 * Defines one remote function: the queue of its requests, and how requests and
 * replies are encoded and checked. Client and server share it.
 *
 * @param options Queue, codecs, and whether a request may run more than once.
 * @returns The procedure, for `RpcServer.serve` and `RpcClient.call`.
 * @throws {TypeError} If an option has the wrong type.
 * @throws {RangeError} If an option is out of its bounds.
 *
 * @example
 * ```ts
 * import { integer, procedure } from "@rabbitmq-rpc/rpc";
 *
 * const double = procedure({ queue: "double", request: integer(), reply: integer(), idempotent: true });
 * console.assert(double.queueType === "quorum");
 * ```
 */
export function procedure<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap = NoErrors>(
  options: ProcedureOptions<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors>,
): Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors> {
  const action = "define procedure";
  return { ...queueSettings(options, action), ...methodSettings(options, action), method: undefined };
}
