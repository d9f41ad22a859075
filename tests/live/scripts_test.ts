import { assertEquals, assertGreaterOrEqual, assertMatch, assertStringIncludes } from "@std/assert";
import { fib } from "../../lib/tutorial/fib.ts";
import { live, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { freePort } from "../support/ports.ts";
import { portOf, relay } from "../support/relay.ts";
import { denoArgs, type Ended, type Script, start } from "../support/script.ts";

const AWAITING = " [x] Awaiting RPC requests\n";

function server(url: string, ...args: string[]): Script {
  return start(denoArgs("server.ts", "--url", url, ...args));
}

async function client(url: string, ...args: string[]): Promise<Ended> {
  await using script = start(denoArgs("client.ts", "--url", url, ...args));
  return await script.ended();
}

live(
  "The client prints the request and the result, the server what it computes",
  { run: true },
  async ({ url, queue }) => {
    await using serving = server(url, "--queue", queue);
    await serving.printed(AWAITING);
    const { code, stdout, stderr } = await client(url, "--queue", queue, "30");
    assertEquals([code, stdout, stderr], [0, " [x] Requesting fib(30)\n [.] Got 832040\n", ""]);
    assertEquals(serving.stdout, `${AWAITING} [.] fib(30)\n`);
  },
);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  live(`The server answers what it has taken and ends with 0 on ${signal}`, { run: true }, async ({ url, queue }) => {
    await using serving = server(url, "--queue", queue, "--delay", "500ms");
    await serving.printed(AWAITING);
    const calling = client(url, "--queue", queue, "30");
    await serving.printed(" [.] fib(30)");
    serving.kill(signal);
    assertStringIncludes((await calling).stdout, " [.] Got 832040\n");
    const { code, stderr } = await serving.ended();
    assertEquals([code, stderr], [0, " [x] Finishing accepted requests (1); a second signal exits immediately\n"]);
    assertEquals(await queueInfo(url, queue), { messages: 0, consumers: 0 });
  });
}

live("A second signal ends the server at once, and the request goes back", { run: true }, async ({ url, queue }) => {
  // A quorum queue counts a canceled consumer until all that it holds is settled.
  await using serving = server(url, "--queue", queue, "--queue-type", "classic", "--delay", "1m");
  await serving.printed(AWAITING);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    await publishRaw(url, queue, "30", { replyTo, correlationId: "c" });
    await serving.printed(" [.] fib(30)");
    serving.kill("SIGTERM");
    await waitFor("the server takes no more", async () => (await queueInfo(url, queue))?.consumers === 0);
    // The same signal, twice within 500 ms, counts as one: a terminal and the task runner may each pass it on.
    await new Promise((resolve) => setTimeout(resolve, 600));
    serving.kill("SIGTERM");
    assertEquals((await serving.ended()).code, 130);
    await waitFor("the request is back", async () => (await queueInfo(url, queue))?.messages === 1);
  });
});

live(
  "Several numbers are printed in the order given, however long each takes",
  { run: true },
  async ({ url, queue }) => {
    await using serving = server(url, "--queue", queue, "--prefetch", "5");
    await serving.printed(AWAITING);
    const numbers = [100_000, 3, 0, 90, 1];
    const { code, stdout } = await client(url, "--queue", queue, ...numbers.map(String));
    const requests = numbers.map((n) => ` [x] Requesting fib(${n})\n`).join("");
    const results = numbers.map((n) => ` [.] Got ${fib(n)}\n`).join("");
    assertEquals([code, stdout], [0, requests + results]);
  },
);

live("client --json prints one line of JSON per call", { run: true }, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue);
  await serving.printed(AWAITING);
  const { code, stdout } = await client(url, "--queue", queue, "--json", "30", "100");
  assertEquals(code, 0);
  assertEquals(stdout.trim().split("\n").map((line) => JSON.parse(line)), [
    { n: 30, result: "832040" },
    { n: 100, result: "354224848179261915075" },
  ]);
});

live(
  "client --json says code and outcome of a call that failed, and exits with 1",
  { run: true },
  async ({ url, queue }) => {
    const { code, stdout } = await client(url, "--queue", queue, "--json", "30");
    const { n, error } = JSON.parse(stdout);
    assertEquals([code, n, error.code, error.outcome], [1, 30, "unavailable", "not_executed"]);
  },
);

live(
  "The client says which call failed, why, what is known and what to do, and exits with 1",
  { run: true },
  async ({ url, queue }) => {
    const { code, stdout, stderr } = await client(url, "--queue", queue, "30");
    assertEquals([code, stdout], [1, " [x] Requesting fib(30)\n"]);
    assertStringIncludes(stderr, "fib(30) failed: unavailable");
    assertStringIncludes(stderr, queue);
    assertStringIncludes(stderr, "the work was not done");
    assertStringIncludes(stderr, `start a server with: deno task server --queue ${queue} --url `);
  },
);

live("The client's timeout ends the call and stops the server's work", { run: true }, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue, "--delay", "1m");
  await serving.printed(AWAITING);
  const { code, stderr } = await client(url, "--queue", queue, "--timeout", "300ms", "30");
  assertEquals(code, 1);
  assertStringIncludes(stderr, "deadline_exceeded");
  assertStringIncludes(stderr, "within 300 ms");
  assertStringIncludes(stderr, "the queue has 1 consumer and 0 requests waiting");
  await waitFor("the request is gone", async () => (await queueInfo(url, queue))?.messages === 0);
  serving.kill("SIGTERM");
  assertEquals((await serving.ended()).code, 0);
});

live(
  "A client that times out where nobody consumes the queue says how to start a server",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
    const { code, stderr } = await client(url, "--queue", queue, "--timeout", "200ms", "30");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /\n {5}no server takes requests from this queue now; start one with: deno task server --queue /,
    );
  },
);

live("client --json prints JSON where no broker answers, and when it is interrupted", { run: true }, async (use) => {
  const { url, queue } = use;
  const nowhere = `amqp://127.0.0.1:${freePort()}`;
  const lonely = await client(nowhere, "--json", "30");
  assertEquals([lonely.code, lonely.stderr, JSON.parse(lonely.stdout).error.code], [3, "", "unavailable"]);

  await using waiting = start(denoArgs("client.ts", "--url", nowhere, "--json", "--wait", "1m", "30"));
  await waitFor("it has tried", () => waiting.stderr.includes("Retrying"));
  waiting.kill("SIGINT");
  const stopped = await waiting.ended();
  assertEquals([stopped.code, JSON.parse(stopped.stdout).error.code], [130, "canceled"]);

  await using serving = server(url, "--queue", queue, "--delay", "1m");
  await serving.printed(AWAITING);
  await using calling = start(denoArgs("client.ts", "--url", url, "--queue", queue, "--json", "30"));
  await serving.printed(" [.] fib(30)");
  calling.kill("SIGINT");
  const ended = await calling.ended();
  const { n, error } = JSON.parse(ended.stdout);
  assertEquals([ended.code, ended.stderr, n, error.code], [130, "", 30, "canceled"]);
});

live("--wait waits for the broker, on both sides, and no longer than that", { run: true }, async ({ url, queue }) => {
  const port = freePort();
  const later = `amqp://127.0.0.1:${port}`;
  await using serving = server(later, "--queue", queue, "--wait", "1m");
  await using calling = start(denoArgs("client.ts", "--url", later, "--queue", queue, "--wait", "1m", "30"));
  await waitFor("both have tried", () => [serving, calling].every(({ stderr }) => stderr.includes("Retrying")));
  // The client may be the first to connect.
  await withChannel(url, (channel) => {
    return channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  });
  await using _relay = relay(portOf(url), port);
  const { code, stdout } = await calling.ended();
  assertEquals([code, stdout], [0, " [x] Requesting fib(30)\n [.] Got 832040\n"]);

  const began = performance.now();
  const lonely = await client(`amqp://127.0.0.1:${freePort()}`, "--wait", "1s", "30");
  assertEquals(lonely.code, 3);
  assertGreaterOrEqual(performance.now() - began, 1_000);
});

live("A pipe that stays open does not keep the client when its reader has gone", { run: true }, async (use) => {
  const { url, queue } = use;
  await using serving = server(url, "--queue", queue, "--delay", "500ms");
  await serving.printed(AWAITING);
  const command = denoArgs("client.ts", "--url", url, "--queue", queue, "-");
  const shell = `${command.map((part) => `'${part}'`).join(" ")} | head -1; echo "\${PIPESTATUS[0]}"`;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  await using script = start(["bash", "-c", shell], {}, { input: readable });
  await writer.write(new TextEncoder().encode("1\n"));
  await script.printed(" [x] Requesting fib(1)\n");
  const { stdout } = await script.ended();
  assertEquals(stdout, " [x] Requesting fib(1)\n141\n");
  await writer.abort().catch(() => {});
});

live("client --fail-fast fails at once where nobody consumes the queue", { run: true }, async ({ url, queue }) => {
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const { code, stderr } = await client(url, "--queue", queue, "--fail-fast", "--timeout", "1m", "30");
  assertEquals(code, 1);
  assertStringIncludes(stderr, "has no consumer");
});

live("Ctrl-C cancels the client's calls, on the server too", { run: true }, async ({ url, queue }) => {
  await using serving = server(url, "--queue", queue, "--delay", "1m");
  await serving.printed(AWAITING);
  await using calling = start(denoArgs("client.ts", "--url", url, "--queue", queue, "--timeout", "1m", "30"));
  await serving.printed(" [.] fib(30)");
  calling.kill("SIGINT");
  const { code, stderr } = await calling.ended();
  assertEquals(code, 130);
  assertEquals(stderr, " [!] Interrupted: 1 call under way; it is unknown whether the work was done\n");
  serving.kill("SIGTERM");
  assertEquals((await serving.ended()).code, 0);
});

const USAGE: readonly (readonly [string, string[], string])[] = [
  ["client.ts", [], "Missing argument N"],
  ["client.ts", ["-5"], '"-5"'],
  ["client.ts", ["3.5"], '"3.5"'],
  ["client.ts", [""], '""'],
  ["client.ts", ["1e3"], '"1e3"'],
  ["client.ts", ["0x1e"], '"0x1e"'],
  ["client.ts", ["100001"], "from 0 to 100000"],
  ["client.ts", ["30", "-1"], '"-1"'],
  ["client.ts", ["30", "--nope"], 'Unknown flag "--nope"'],
  ["client.ts", ["30", "--url"], "--url needs"],
  ["client.ts", ["30", "--timeout"], "--timeout needs"],
  ["client.ts", ["30", "--timeout", "5"], "such as 500ms, 5s or 2m"],
  ["client.ts", ["30", "--timeout", "0s"], "such as 500ms, 5s or 2m"],
  ["client.ts", ["30", "--timeout", "99999m"], "at most 35791m"],
  ["client.ts", ["30", "--json=yes"], "takes none"],
  ["client.ts", ["30", "--queue", "amq.x"], "amq."],
  ["client.ts", ["30", "--url", "http://localhost"], "amqp://"],
  ["client.ts", ["30", "--log", "xml"], "want text or json"],
  ["client.ts", ["30", "--log-level", "warning"], "want debug, info, warn or error"],
  ["server.ts", ["--log"], "--log needs"],
  ["server.ts", ["--name", "x".repeat(256)], "at most 255 bytes"],
  ["server.ts", ["30"], '"30"'],
  ["server.ts", ["--prefetch", "0"], "prefetch"],
  ["server.ts", ["--prefetch", "65536"], "from 1 to 65535"],
  ["server.ts", ["--prefetch", "many"], '"many"'],
  ["server.ts", ["--max-length", "0"], "from 1 to 4294967295"],
  ["server.ts", ["--max-length", "4294967296"], "from 1 to"],
  ["server.ts", ["--max-length", "many"], '"many"'],
  ["server.ts", ["--delay", "soon"], '"soon"'],
  ["server.ts", ["--queue-type", "lazy"], "lazy"],
  ["server.ts", ["--nope"], 'Unknown flag "--nope"'],
];

for (const [script, args, part] of USAGE) {
  const typed = args.map((arg) => arg === "" ? '""' : arg).join(" ");
  live(`${script} ${typed} is a usage error that says what is wanted`, { run: true }, async () => {
    await using running = start(denoArgs(script, ...args));
    const { code, stdout, stderr } = await running.ended();
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, part);
  });
}

for (const script of ["server.ts", "client.ts"]) {
  live(`${script} --help and --version say so, and exit with 0`, { run: true }, async () => {
    await using help = start(denoArgs(script, "--help"));
    const { code, stdout } = await help.ended();
    assertEquals(code, 0);
    for (const flag of ["--url", "--queue", "--help", "--version", "Exit codes"]) assertStringIncludes(stdout, flag);
    await using version = start(denoArgs(script, "--version"));
    assertMatch((await version.ended()).stdout, /^@rabbitmq-rpc\/rpc \S+, Deno \S+, amqplib \d+\.\d+\.\d+\n$/);
  });

  live(
    `${script} names host and port and says what to do where no broker answers, without the password`,
    { run: true },
    async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = listener.addr;
      listener.close();
      const url = `amqp://someone:secret-word@127.0.0.1:${port}`;
      await using running = start(denoArgs(script, "--url", url, ...(script === "client.ts" ? ["30"] : [])));
      const { code, stdout, stderr } = await running.ended();
      assertEquals([code, stdout], [3, ""]);
      assertEquals(
        stderr,
        `Cannot connect to 127.0.0.1:${port}: no broker listens there; start one with: deno task broker --port ${port}\n`,
      );
    },
  );
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  live(
    `${signal} twice at once, as a terminal's Ctrl-C through the task runner may come, counts once`,
    { run: true },
    async ({ url, queue }) => {
      await using serving = server(url, "--queue", queue, "--delay", "500ms");
      await serving.printed(AWAITING);
      const calling = client(url, "--queue", queue, "30");
      await serving.printed(" [.] fib(30)");
      serving.kill(signal);
      serving.kill(signal);
      assertStringIncludes((await calling).stdout, " [.] Got 832040\n");
      assertEquals((await serving.ended()).code, 0);
    },
  );
}

live(
  "AMQP_URL that is no AMQP URL is a usage error that names it, and an empty one is as good as none",
  { run: true },
  async () => {
    await using bad = start(denoArgs("client.ts", "30"), { AMQP_URL: "http://me:secret-word@localhost" });
    const { code, stderr } = await bad.ended();
    assertEquals(code, 2);
    assertStringIncludes(stderr, "AMQP_URL in the environment");
    assertEquals(stderr.includes("secret-word"), false);
    await using empty = start(denoArgs("client.ts", "--help"), { AMQP_URL: "" });
    assertEquals((await empty.ended()).code, 0);
  },
);

live("The scripts take the broker from AMQP_URL", { run: true }, async ({ url, queue }) => {
  await using serving = start(denoArgs("server.ts", "--queue", queue), { AMQP_URL: url });
  await serving.printed(AWAITING);
  await using calling = start(denoArgs("client.ts", "--queue", queue, "7"), { AMQP_URL: url });
  assertStringIncludes((await calling.ended()).stdout, " [.] Got 13\n");
});
