import { decodeText, encodeText, quote, refuse } from "./body_text.ts";
import { checkedMaxBytes, type Codec, type CodecOptions } from "./codec.ts";
import { RpcError } from "./errors.ts";

/** Any Standard Schema validator (https://standardschema.dev); its types are here to be part of the documentation. */
export interface Schema<In = unknown, Out = In> {
  /** The validator's side of the standard. */
  readonly "~standard": {
    /** The version of the standard. */
    readonly version: 1;
    /** Who made the validator. */
    readonly vendor: string;
    /** Checks a value; returns the validated value, or what is wrong with it. */
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    /** The types of input and output, for the type checker only. */
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

/** What a Standard Schema validator found. */
export type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value, and where. */
export interface SchemaIssue {
  /** What is wrong, as text. */
  readonly message: string;
  /** Where: the keys that lead to it, the outermost first. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

interface Issue {
  readonly path: string;
  readonly message: string;
}

/** How many issues are told; one message can have millions of them. */
const MAX_ISSUES = 20;
/** The longest path, and the longest message, of an issue, in UTF-16 code units: both may quote the value. */
const MAX_ISSUE_TEXT = 200;

function bounded(text: string): string {
  return text.length > MAX_ISSUE_TEXT ? `${text.slice(0, MAX_ISSUE_TEXT)}…` : text;
}

function toIssue(issue: SchemaIssue): Issue {
  let path = "";
  for (const segment of issue.path ?? []) {
    const key = typeof segment === "object" ? segment.key : segment;
    path += typeof key === "number" ? `[${key}]` : path === "" ? String(key) : `.${String(key)}`;
    if (path.length > MAX_ISSUE_TEXT) break;
  }
  return { path: bounded(path), message: bounded(issue.message) };
}

function validated<Out>(result: SchemaResult<Out>): Out {
  if (result.issues === undefined) return result.value;
  const issues = result.issues.slice(0, MAX_ISSUES).map(toIssue);
  const list = issues.map(({ path, message }) => `${path === "" ? "value" : path}: ${message}`).join("; ");
  const more = result.issues.length - issues.length;
  const rest = more > 0 ? `; and ${more} more` : "";
  throw refuse("invalid_argument", `Cannot decode JSON: ${list}${rest}`, { issues });
}

/** JSON, decoded to `unknown`; the content type is `application/json`. */
export function json(): Codec<unknown>;
/**
 * JSON, validated when it is decoded: a request on the server before its handler runs, a reply on the client before the
 * call returns it.
 *
 * @param schema Any Standard Schema validator (https://standardschema.dev): Zod, Valibot, ArkType, ...
 * @param options The size limit.
 * @returns The codec, `application/json`.
 * @throws {TypeError} If `schema` is not a Standard Schema validator.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 *
 * @example With Zod
 * ```ts
 * import { json } from "@rabbitmq-rpc/rpc";
 * import { z } from "zod";
 *
 * const order = json(z.object({ item: z.string(), count: z.number().int().positive() }));
 * console.assert(order.contentType === "application/json");
 * ```
 */
export function json<In, Out>(
  schema: Schema<In, Out>,
  options?: CodecOptions,
): Codec<In, Out>;
/**
 * JSON, decoded to `unknown`, with a size limit.
 *
 * @param schema `undefined`.
 * @param options The size limit.
 * @returns The codec, `application/json`.
 * @throws {RangeError} If `maxBytes` is out of its bounds.
 */
export function json(schema: undefined, options: CodecOptions): Codec<unknown>;
export function json(schema?: Schema, options: CodecOptions = {}): Codec<unknown> {
  if (schema !== undefined && typeof schema?.["~standard"]?.validate !== "function") {
    throw new TypeError("Cannot create JSON codec: 'schema' must be a Standard Schema validator");
  }
  return {
    contentType: "application/json",
    maxBytes: checkedMaxBytes(options),
    encode(value: unknown): Uint8Array {
      let encoded: string | undefined;
      try {
        encoded = JSON.stringify(value);
      } catch (cause) {
        throw new RpcError("invalid_argument", `Cannot encode JSON: ${(cause as Error).message}`, {
          outcome: "not_executed",
          cause,
        });
      }
      if (encoded !== undefined) return encodeText(encoded);
      throw refuse("invalid_argument", `Cannot encode JSON: ${typeof value} has no JSON form`);
    },
    decode(body: Uint8Array): unknown {
      const source = decodeText(body, "JSON");
      let value: unknown;
      try {
        value = JSON.parse(source);
      } catch {
        throw refuse("invalid_argument", `Cannot decode JSON: the body ${quote(source)} is not JSON`);
      }
      if (schema === undefined) return value;
      const result = schema["~standard"].validate(value);
      return result instanceof Promise ? result.then(validated) : validated(result);
    },
  };
}
