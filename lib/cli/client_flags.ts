import { printable } from "../contract/printable.ts";
import { RpcClient, RpcError } from "../rpc.ts";
import { errorJson, OUTCOMES } from "./call_report.ts";
import { type Args, brokerUrl, EXIT, URL_FLAGS, URL_HELP } from "./command_line.ts";
import { printWarnings } from "./standard_error.ts";
import { CONNECT_FLAGS, CONNECT_HELP, connectFlags } from "./connect_flags.ts";

/** The flags of every command. */
export const CLIENT_FLAGS = [...URL_FLAGS, ...CONNECT_FLAGS] as const;

/** How the help describes them. */
export const CLIENT_HELP = `${URL_HELP}
${CONNECT_HELP}
  --help, --version`;

/** Exit codes, for the help of every command. */
export const EXIT_HELP =
  `2 usage, 3 no broker, 4 no server, 5 timeout, 130 interrupted, 141 the reader of the output has gone`;

/**
 * Runs a command with a client that is connected to the broker.
 *
 * @param run Returns the exit code.
 * @param stop Ends it when it is aborted.
 * @param json Whether errors are told as JSON, on stdout.
 */
export async function withClient(
  args: Args,
  stop: AbortSignal,
  run: (client: RpcClient) => Promise<number>,
  json: boolean,
): Promise<number> {
  const url = brokerUrl(args);
  const flags = connectFlags(args);
  let client: RpcClient;
  try {
    client = await RpcClient.connect(url, { drainTimeout: 1_000, onEvent: printWarnings, ...flags, signal: stop });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (stop.aborted) return EXIT.interrupted;
    reportError(error, json);
    return EXIT.noBroker;
  }
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

/** Says why a command failed. */
export function reportError(error: RpcError, json: boolean): void {
  if (json) console.log(errorJson(error));
  else console.error(printable(error.message));
}

/** Says why a call failed. */
export function describeFailure({ code, message, outcome }: RpcError): string {
  // The text may be a server's.
  return `${code}: ${printable(message)} (${OUTCOMES[outcome]})`;
}

/** The exit code of a command that failed with this error. */
export function exitCodeOf({ code, outcome, cause }: RpcError): number {
  if (code === "deadline_exceeded") return EXIT.timeout;
  if (code !== "unavailable" || outcome !== "not_executed") return EXIT.failed;
  // The broker tells that there is no server; where the connection to it was lost, that is the cause.
  return cause instanceof RpcError ? EXIT.noBroker : EXIT.noServer;
}
