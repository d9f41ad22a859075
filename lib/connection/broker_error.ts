import { type RpcCode, RpcError } from "../contract/errors.ts";

/** The code for an error text of the broker or of TLS; the first pattern that matches counts. */
const MEANINGS: readonly (readonly [RegExp, RpcCode])[] = [
  [/ACCESS[-_]REFUSED.*(login|authentication)|Handshake terminated by server: 403/i, "unauthenticated"],
  [/SASL mechanism/, "unauthenticated"],
  [/certificate|UnknownIssuer|handshake failure/i, "unauthenticated"],
  [/40[35] \((ACCESS[-_]REFUSED|RESOURCE[-_]LOCKED)\)/i, "permission_denied"],
  [/404 \(NOT[-_]FOUND\)/i, "not_found"],
  [/406 \(PRECONDITION[-_]FAILED\)/i, "failed_precondition"],
  // From 4.3 on, for example: the connection is closed because the broker does not permit what it was asked for.
  [/541 \(INTERNAL[-_]ERROR\)[^]*Feature `\w+` is deprecated/i, "failed_precondition"],
];

const BY_REPLY_CODE: Readonly<Record<number, RpcCode>> = {
  403: "permission_denied",
  404: "not_found",
  405: "permission_denied",
  406: "failed_precondition",
};

const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "no broker listens there",
  ENOTFOUND: "the host name is unknown",
  ETIMEDOUT: "the broker does not answer",
  ECONNRESET: "the broker closed the connection",
  EPIPE: "the broker closed the connection",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the host",
};

/** amqplib's text for the end of the socket. */
const UNEXPECTED_CLOSE = "Unexpected close";

/** Error codes of TLS, and of keys and certificates that do not match. */
const TLS_CODE = /^ERR_(?:SSL|TLS|OSSL)_|CERT|^UNABLE_TO_/;

/** The broker's own text in amqplib's message about a close. */
function reason(message: string): string {
  return message.match(/with message "([^]*)"$/)?.[1] ?? message;
}

function unavailable(what: string, cause: unknown): RpcError {
  return new RpcError("unavailable", `Cannot ${what}`, { outcome: "not_executed", cause });
}

/** Converts an error of amqplib, the socket or TLS to an `RpcError`. */
export function toRpcError(error: unknown, action: string): RpcError {
  if (error instanceof RpcError) return error;
  const { message, code: raw } = (error ?? {}) as { message?: string; code?: unknown };
  const text = message === undefined || message === "" ? String(raw ?? error) : message;
  if (typeof raw === "string" && Object.hasOwn(UNREACHABLE, raw)) {
    return unavailable(`${action}: ${UNREACHABLE[raw]}`, error);
  }
  if (typeof raw === "string" && TLS_CODE.test(raw)) {
    const why = `TLS refused the connection (${raw}: ${text}), check certificates, key and host name`;
    return new RpcError("unauthenticated", `Cannot ${action}: ${why}`, { outcome: "not_executed", cause: error });
  }
  const code = (typeof raw === "number" ? BY_REPLY_CODE[raw] : undefined) ??
    MEANINGS.find(([pattern]) => pattern.test(text))?.[1] ?? "unavailable";
  if (text === UNEXPECTED_CLOSE) return unavailable(`${action}: ${UNREACHABLE["ECONNRESET"]}`, error);
  if (/ETIMEDOUT/.test(text)) return unavailable(`${action}: ${UNREACHABLE["ETIMEDOUT"]}`, error);
  return new RpcError(code, `Cannot ${action}: ${reason(text)}`, { outcome: "not_executed", cause: error });
}

/** Whether a write was refused because the channel is closed, or closing; the second name is amqplib's. */
export function isChannelClosed(error: unknown): boolean {
  return error instanceof Error && (error.name === "ChannelClosedError" || error.name === "IllegalOperationError");
}

/** The largest message that the broker accepts, in bytes, if it has closed a channel because of a larger one. */
export function messageSizeLimit(error: RpcError): number | undefined {
  const digits = /larger than (?:configured )?max size (\d+)/.exec(error.message)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The name of the deprecated feature that the broker does not permit, if that is why it refused. */
export function deniedFeature(error: unknown): string | undefined {
  if (!(error instanceof RpcError) || error.code !== "failed_precondition") return undefined;
  return /Feature `(\w+)` is deprecated/.exec(error.message)?.[1];
}

/** Whether the broker refused because a queue is exclusive to another connection. */
export function isExclusiveElsewhere(error: unknown): boolean {
  return error instanceof RpcError && (error.cause as { code?: unknown } | undefined)?.code === 405;
}
