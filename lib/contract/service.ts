import type { Codec } from "./codec.ts";
import {
  type ErrorMap,
  type MethodOptions,
  methodSettings,
  type NoErrors,
  type Procedure,
  type QueueOptions,
  type QueueSettings,
  queueSettings,
} from "./procedure.ts";

/** One method of a service; created by {@linkcode method}. */
export interface Method<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap = NoErrors> {
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

/** A method of any types. */
export type AnyMethod = Method<never, unknown, never, unknown, ErrorMap>;

/** The methods of a service, by name. */
export type Methods = Readonly<Record<string, AnyMethod>>;

/** The type of the procedure that a client calls for a method. */
export type ProcedureOf<Of> = Of extends
  Method<infer RequestIn, infer RequestOut, infer ReplyIn, infer ReplyOut, infer Errors>
  ? Procedure<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors>
  : never;

/** The same type; TypeScript does not infer it from what a method is passed to, only from the option `errors`. */
export type Declared<Errors extends ErrorMap> = Errors extends infer Map extends ErrorMap ? Map : never;

/** Options of {@linkcode service}. */
export interface ServiceOptions<Of extends Methods> extends QueueOptions {
  /** The methods by name; a name has 1 to 64 characters: ASCII letters, digits, `_`, `-`, `.` or `/`. */
  readonly methods: Of;
  /** The method for requests that name none, such as those of plain clients; if absent, such requests are refused. */
  readonly default?: keyof Of & string;
}

/** Many methods on one queue; created by {@linkcode service}. */
export interface Service<Of extends Methods> extends QueueSettings {
  /** The methods, each of which a client can call. */
  readonly methods: { readonly [Name in keyof Of]: ProcedureOf<Of[Name]> };
  /** The method for requests that name none. */
  readonly default: string | undefined;
}

const NAME = /^[A-Za-z0-9_./-]{1,64}$/;

/**
 * Defines one method of a service: how its requests and replies are encoded and checked, and its errors.
 *
 * @param options Codecs, errors, and whether a request may run more than once.
 * @returns The method, for {@linkcode service}.
 * @throws {TypeError} If an option has the wrong type.
 * @throws {RangeError} If an option is out of its bounds.
 *
 * @example
 * ```ts
 * import { integer, json, method } from "@rabbitmq-rpc/rpc";
 * import { z } from "zod";
 *
 * const missing = json(z.object({ id: z.number() }));
 * const find = method({
 *   request: integer({ min: 1 }),
 *   reply: json(z.object({ name: z.string() })),
 *   idempotent: true,
 *   errors: { not_found: missing },
 * });
 * console.assert(find.errors.not_found === missing);
 * ```
 */
export function method<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors extends ErrorMap = NoErrors>(
  options: MethodOptions<RequestIn, RequestOut, ReplyIn, ReplyOut, Errors>,
): Method<RequestIn, RequestOut, ReplyIn, ReplyOut, Declared<Errors>> {
  return methodSettings(options, "define method") as Method<RequestIn, RequestOut, ReplyIn, ReplyOut, Declared<Errors>>;
}

/**
 * Defines a service: many methods on one queue, served by one consumer with one prefetch. A request has its method as
 * the message's `type`.
 *
 * @param options Queue and methods.
 * @returns The service, for `RpcServer.serve` and `RpcClient.of`.
 * @throws {TypeError} If an option has the wrong type.
 * @throws {RangeError} If an option is out of its bounds.
 *
 * @example
 * ```ts
 * import { integer, method, service } from "@rabbitmq-rpc/rpc";
 *
 * const maths = service({
 *   queue: "maths",
 *   methods: {
 *     double: method({ request: integer(), reply: integer(), idempotent: true }),
 *     half: method({ request: integer(), reply: integer(), idempotent: true }),
 *   },
 *   default: "double",
 * });
 * console.assert(maths.methods.half.method === "half");
 * ```
 */
export function service<Of extends Methods>(options: ServiceOptions<Of>): Service<Of> {
  const action = "define service";
  const settings = queueSettings(options, action);
  const { methods, default: fallback } = options;
  if (typeof methods !== "object" || methods === null) {
    throw new TypeError(`Cannot ${action}: 'methods' must be an object of methods, got ${typeof methods}`);
  }
  const names = Object.keys(methods);
  if (names.length === 0) throw new TypeError(`Cannot ${action}: 'methods' is empty`);
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined) {
    throw new TypeError(`Cannot ${action}: the name ${JSON.stringify(wrong)} must have 1 to 64 of A-Z a-z 0-9 _ . / -`);
  }
  if (names.includes("then")) {
    throw new TypeError(
      `Cannot ${action}: a method must not be named "then", which makes its client look like a promise`,
    );
  }
  if (fallback !== undefined && !names.includes(fallback)) {
    throw new TypeError(`Cannot ${action}: 'default' must be one of ${names.join(", ")}, got ${String(fallback)}`);
  }
  const procedures = names.map((name) => {
    const settled = methodSettings(methods[name] as AnyMethod, `define method "${name}"`);
    return [name, { ...settings, ...settled, method: name }];
  });
  return {
    ...settings,
    methods: Object.fromEntries(procedures) as Service<Of>["methods"],
    default: fallback,
  };
}
