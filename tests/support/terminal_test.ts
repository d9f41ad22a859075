import { assertArrayIncludes, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { live, withChannel } from "./live.ts";
import { freePort } from "./ports.ts";
import { start } from "./script.ts";
import { linesOnScreen, startOnTerminal, task } from "./terminal.ts";

interface Registry extends AsyncDisposable {
  /** The environment in which Deno asks this registry; nothing is cached yet, as after a fresh clone. */
  readonly env: Record<string, string>;
  /** Settles when Deno has asked for something. */
  readonly asked: Promise<void>;
}

/** An npm registry that never answers, so that Deno shows its download bar until the program ends. */
async function silentRegistry(): Promise<Registry> {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const stop = new AbortController();
  const cache = await Deno.makeTempDir();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, signal: stop.signal, onListen() {} }, () => {
    resolve();
    return new Promise<Response>(() => {});
  });
  return {
    env: { DENO_DIR: cache, NPM_CONFIG_REGISTRY: `http://127.0.0.1:${server.addr.port}/` },
    asked,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await server.finished;
      await Deno.remove(cache, { recursive: true });
    },
  };
}

Deno.test("linesOnScreen() shows what is left after lines were erased, written over and wrapped", async () => {
  assertEquals(await linesOnScreen("one\r\ntwo\r\n\x1b[0G\x1b[2A\x1b[KOne\r\n\x1b[0G\x1b[2K\x1b[J"), ["One"]);
  assertEquals(await linesOnScreen(`${"long ".repeat(20)}end\r\n`), [`${"long ".repeat(20)}end`]);
});

live("deno task demo: all of it can be read on a terminal while Deno downloads", { run: true }, async () => {
  await using registry = await silentRegistry();
  const url = `amqp://127.0.0.1:${freePort()}`;
  await using demo = startOnTerminal(task("demo"), { ...registry.env, AMQP_URL: url });
  const { code, stdout } = await demo.ended();
  await registry.asked;
  const lines = await linesOnScreen(stdout);
  assertArrayIncludes(lines, [" [x] Awaiting RPC requests", " [x] Requesting fib(30)", " [.] fib(30)"], stdout);
  assertEquals([code, lines.at(-1)], [0, " [.] Got 832040"], stdout);
});

live(
  "deno task server, deno task client: all of it can be read on a terminal while Deno downloads",
  { run: true },
  async ({ url, queue }) => {
    await using registry = await silentRegistry();
    // The client finds the queue even where it is faster than the server.
    await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
    const server = task(`server --queue ${queue} --queue-type classic`);
    const client = task(`client --queue ${queue} --timeout 30s 30`);
    const command = `${server} & ${client}; code=$?; kill $!; wait; exit $code`;
    await using both = startOnTerminal(command, { ...registry.env, AMQP_URL: url });
    const { code, stdout } = await both.ended();
    await registry.asked;
    const wanted = [" [x] Awaiting RPC requests", " [.] fib(30)", " [x] Requesting fib(30)", " [.] Got 832040"];
    assertArrayIncludes(await linesOnScreen(stdout), wanted, stdout);
    assertEquals(code, 0, stdout);
  },
);

live("The log of server and client can be read on a terminal, between what they print", { run: true }, async (use) => {
  const { url, queue } = use;
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const flags = `--queue ${queue} --log text --log-level debug`;
  const server = task(`server ${flags} --queue-type classic`);
  const command = `${server} & ${task(`client ${flags} --timeout 30s 30`)}; code=$?; kill $!; wait; exit $code`;
  await using both = startOnTerminal(command, { AMQP_URL: url });
  const { code, stdout } = await both.ended();
  const lines = await linesOnScreen(stdout);
  assertArrayIncludes(lines, [" [x] Awaiting RPC requests", " [.] fib(30)", " [.] Got 832040"], stdout);
  const [answered = "", called = ""] = ["Request answered", "Call answered"].map((text) => {
    return lines.find((line) => line.includes(text)) ?? "";
  });
  assertMatch(answered, /^\S+Z DEBUG Request answered queue=\S+ message_id=\S+ code=ok duration_ms=[\d.]+$/);
  assertMatch(called, /^\S+Z DEBUG Call answered queue=\S+ message_id=\S+ code=ok attempts=1 duration_ms=[\d.]+$/);
  assertEquals(/message_id=\S+/.exec(answered)?.[0], /message_id=\S+/.exec(called)?.[0]);
  // No colours: the same lines go into files.
  assertEquals(stdout.split("\n").filter((line) => / (DEBUG|INFO) /.test(line) && line.includes("\x1b")), []);
  assertEquals(code, 0, stdout);
});

Deno.test("Deno's download bar is off in every task", () => {
  for (const [name, { command }] of Object.entries(config.tasks)) {
    assertMatch(command, /(^|\|\| )deno run --quiet [^|&;]*$/, `The task ${name} runs Deno without --quiet`);
  }
});

live("--quiet leaves Deno's errors in", { run: true }, async () => {
  await using script = start([Deno.execPath(), "run", "--quiet", "no_such_script.ts"]);
  const { code, stderr } = await script.ended();
  assertEquals(code, 1);
  assertStringIncludes(stderr, 'Module not found "file:');
});

live("deno task test passes on a terminal, in colour", { run: true }, async () => {
  const tests = "tests/support/support_test.ts --filter '/Broker dies|Without network/'";
  await using testing = startOnTerminal(task(`test ${tests}`));
  const { code, stdout } = await testing.ended();
  assertEquals([code, (await linesOnScreen(stdout)).at(-1)], [0, "2 passed, 0 failed"], stdout);
  assertStringIncludes(stdout, "\x1b[32mok");
});

live("The tests pass where the environment forces colours", { run: true }, async ({ url }) => {
  const tests = ["tests/support/support_test.ts", "--filter", "/Broker dies|Without network/"];
  const env = { AMQP_URL: url, FORCE_COLOR: "1" };
  await using testing = start([Deno.execPath(), "test", "--allow-all", ...tests], env);
  const { code, stdout } = await testing.ended();
  assertEquals(code, 0, stdout);
});

live("deno task test counts its own tests, not those that a failure or an output quotes", { run: true }, async () => {
  const quoted = "Quoted ... ignored (0ms)\\n\\nok | 7 passed | 0 failed | 1 ignored (1ms)\\n";
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/quoting_test.ts`,
      `Deno.test("Prints", () => console.log("${quoted}"));
Deno.test("Throws", () => { throw new Error("${quoted}"); });
Deno.test("Left out", { ignore: true }, () => {});
Deno.test("Has steps", (t) => t.step({ name: "Left out too", ignore: true, fn: () => {} }).then(() => {}));`,
    );
    await using testing = start([Deno.execPath(), "task", "test", `${folder}/quoting_test.ts`]);
    const { code, stdout } = await testing.ended();
    const last = stdout.trimEnd().split("\n").slice(-3);
    const left = "Ignored, but every test must run: Left out";
    assertEquals([code, last], [1, [left, `${left} too`, "2 passed, 3 failed"]], stdout);
    assertEquals(stdout.includes("must run: Quoted"), false, stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
