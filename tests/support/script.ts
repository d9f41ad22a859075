/** Runs scripts as a person would, with their real output. */

/** What a script left behind. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A script that is running. */
export interface Script extends AsyncDisposable {
  /** All that it has printed to stdout so far. */
  readonly stdout: string;
  /** All that it has printed to stderr so far. */
  readonly stderr: string;
  readonly pid: number;
  kill(signal: Deno.Signal): void;
  /** Waits until it has printed `text` to stdout. */
  printed(text: string): Promise<void>;
  /** Waits until it has ended. */
  ended(): Promise<Ended>;
}

/** Output without colours: FORCE_COLOR, which tests inherit from whoever runs them, would beat NO_COLOR. */
export const PLAIN = { NO_COLOR: "1", FORCE_COLOR: "" } as const;

/** The arguments that run one of this project's scripts with this Deno. */
export function denoArgs(script: string, ...args: string[]): string[] {
  const path = new URL(`../../${script}`, import.meta.url).pathname;
  return [Deno.execPath(), "run", "--quiet", "--allow-net", "--allow-env", path, ...args];
}

/** Options of {@linkcode start}. */
export interface StartOptions {
  /**
   * What the program reads from standard input.
   *
   * @default {nothing}
   */
  readonly input?: string | Uint8Array | ReadableStream<Uint8Array>;
}

function streamOf(input: string | Uint8Array | ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (input instanceof ReadableStream) return input;
  return ReadableStream.from([typeof input === "string" ? new TextEncoder().encode(input) : input]);
}

/** Starts a program in the project's folder, without colours; disposing of it kills it if it still runs. */
export function start(command: string[], env: Record<string, string> = {}, { input }: StartOptions = {}): Script {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    cwd: new URL("../../", import.meta.url),
    env: { ...PLAIN, ...env },
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // A script may end before it has read all.
  if (input !== undefined) streamOf(input).pipeTo(child.stdin).catch(() => {});
  const output = { stdout: "", stderr: "" };
  let changed = Promise.withResolvers<void>();
  let over = false;

  async function read(name: "stdout" | "stderr"): Promise<void> {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      output[name] += text;
      changed.resolve();
      changed = Promise.withResolvers();
    }
  }

  const ending = Promise.all([child.status, read("stdout"), read("stderr")]).then(([{ code }]) => {
    over = true;
    changed.resolve();
    return { code, ...output };
  });
  return {
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    pid: child.pid,
    kill: (signal) => child.kill(signal),
    async printed(text) {
      while (!output.stdout.includes(text)) {
        if (over) throw new Error(`Ended without printing "${text}":\n${output.stdout}${output.stderr}`);
        await changed.promise;
      }
    },
    ended: () => ending,
    async [Symbol.asyncDispose]() {
      if (!over) child.kill("SIGKILL");
      await ending;
    },
  };
}
