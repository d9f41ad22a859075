import { printable, printableJson } from "../contract/printable.ts";
import type { RpcError, RpcOutcome } from "../rpc.ts";

/** What is known of the work, in words. */
export const OUTCOMES: Readonly<Record<RpcOutcome, string>> = {
  not_executed: "the work was not done",
  executed: "the server ran it",
  unknown: "it is unknown whether the work was done",
};

/** In words that a shell takes as they are. */
function quoted(text: string): string {
  return /^[\w.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * The command that starts a server for what a client's command line names: its queue and its broker. A URL with a
 * password is not repeated.
 */
export function serverCommand(values: Readonly<Record<string, string | undefined>>): string {
  const { queue, url, "url-file": file } = values;
  const flags: string[] = [];
  if (queue !== undefined) flags.push("--queue", quoted(queue));
  if (file !== undefined) flags.push("--url-file", quoted(file));
  if (url !== undefined) flags.push("--url", URL.parse(url)?.password === "" ? quoted(url) : "URL");
  return ["deno task server", ...flags].join(" ");
}

/** What is known of the work, and what a person can do; nothing where the message says it. */
function advice({ code, outcome, message }: RpcError, server: string): string {
  // No server is there to take the request, so whether one has done the work is hardly a question.
  if (code === "deadline_exceeded" && / has 0 consumers /.test(message)) {
    return `no server takes requests from this queue now; start one with: ${server}`;
  }
  const known = OUTCOMES[outcome];
  if (code === "canceled") return known;
  if (code === "unavailable") return `${known}; start a server with: ${server}`;
  if (code === "deadline_exceeded") {
    return `${known}; check that broker and server are running, or allow more with --timeout`;
  }
  if (code === "resource_exhausted") return `${known}; try again when the broker has room`;
  if (code === "internal") return `${known}; see the server's log`;
  return `${known}${outcome === "executed" ? "; calling again will likely give the same" : "; call again"}`;
}

/**
 * Says of a call that failed which one it was, why, and what to do.
 *
 * @param call What was called, such as `fib(30)`.
 * @param server The command that starts a server.
 */
export function failureText(call: string, error: RpcError, server: string): string {
  const { code, message } = error;
  // The text may be a server's.
  const failed = code === "canceled" ? "was interrupted" : `failed: ${code}: ${printable(message)}`;
  return ` [!] ${call} ${failed}\n     ${printable(advice(error, server))}`;
}

/** A line of JSON for an error: what it says, after `about`. */
export function errorJson(
  { code, outcome, message, details, id }: Pick<RpcError, "code" | "outcome" | "message"> & Partial<RpcError>,
  about: Readonly<Record<string, unknown>> = {},
): string {
  return printableJson({ ...about, error: { code, outcome, message, details, id } });
}
