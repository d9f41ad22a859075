import { callCommand } from "./call_command.ts";
import type { Command } from "./command.ts";
import { parseCommandLine, runScript, untilSignal, UsageError, wantsJson } from "./command_line.ts";
import { infoCommand, pingCommand } from "./servers_command.ts";
import { topCommand } from "./top_command.ts";

const COMMANDS: readonly Command[] = [callCommand, pingCommand, infoCommand, topCommand];

const HELP = `Call queues over RabbitMQ, and see their servers

Usage: rpc COMMAND [flags] QUEUE ...

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(6)}${summary}`).join("\n")}

rpc COMMAND --help says more about each; --version prints the version.`;

/** Runs the command that the arguments name, and sets the exit code. */
export async function runCommands(argv: readonly string[]): Promise<void> {
  const [name, ...rest] = argv;
  const command = COMMANDS.find((known) => known.name === name);
  if (command !== undefined) {
    const args = () => parseCommandLine(rest, command.valued, command.switched, command.more);
    await runScript(command.help, () => command.run(args(), untilSignal()), args, wantsJson(rest));
    return;
  }
  await runScript(HELP, () => Promise.reject(unknown(name)), () => {
    if (name !== undefined && !name.startsWith("-")) throw unknown(name);
    return parseCommandLine(argv, []);
  });
}

function unknown(name: string | undefined): UsageError {
  const wanted = `want one of ${COMMANDS.map((command) => command.name).join(", ")}`;
  return new UsageError(name === undefined ? `Missing command: ${wanted}` : `Unknown command "${name}": ${wanted}`);
}
