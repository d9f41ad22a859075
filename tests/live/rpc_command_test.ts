/**
 * The operator's command line, as a person or a script runs it.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import {
  bytes,
  integer,
  json,
  method,
  procedure,
  RpcClient,
  RpcError,
  RpcServer,
  service,
  text,
} from "../../lib/rpc.ts";
import { aborted, sleep } from "../support/handlers.ts";
import { live, waitFor, withChannel } from "../support/live.ts";
import { connectClient, startServer, texts } from "../support/pair.ts";
import { peakMemory } from "../support/memory.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { linesOnScreen, startOnTerminal } from "../support/terminal.ts";
import { denoArgs, type Ended, type Script, start } from "../support/script.ts";

/** Starts `rpc`, with this standard input if there is one. */
function rpc(url: string, args: readonly string[], input?: string | Uint8Array): Script {
  const [command = "", ...rest] = args;
  return start(denoArgs("lib/cli.ts", command, "--url", url, ...rest), {}, input === undefined ? {} : { input });
}

async function run(url: string, args: readonly string[], input?: string | Uint8Array): Promise<Ended> {
  await using script = rpc(url, args, input);
  return await script.ended();
}

live("rpc call prints the reply, and nothing else", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => `Hello, ${text}!\x1b[31m`);
  assertEquals(await run(url, ["call", queue, "Ada"]), { code: 0, stdout: "Hello, Ada!\x1b[31m\n", stderr: "" });
  const { code, stdout } = await run(url, ["call", queue, "Ada", "--json"]);
  assertEquals([code, JSON.parse(stdout).reply], [0, "Hello, Ada!\x1b[31m"]);
  assert(!stdout.includes("\x1b") && JSON.parse(stdout).ms > 0);
});

live(
  "rpc call calls a method, with headers; an operand may be empty or look like a flag",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    const api = service({
      queue,
      queueType: "classic",
      methods: {
        echo: method({ request: text(), reply: text() }),
        find: method({ request: json(), reply: json() }),
      },
    });
    await using server = await RpcServer.connect(url, { onEvent: () => {} });
    const asked: string[] = [];
    await server.serve(api, {
      echo: (text, { headers }) => `${text}|${headers["tenant"]}|${headers["b"]}`,
      find: (value) => {
        asked.push(JSON.stringify(value));
        return { found: value };
      },
    });
    const echoed = await run(url, ["call", queue, "echo", "x", "-H", "Tenant: acme", "--header", "b:1:2"]);
    assertEquals([echoed.code, echoed.stdout], [0, "x|acme|1:2\n"]);
    assertEquals((await run(url, ["call", queue, "echo", "", "-H", "a:1"])).stdout, "|undefined|undefined\n");
    assertEquals((await run(url, ["call", queue, "echo", "-5"])).stdout, "-5|undefined|undefined\n");
    assertEquals((await run(url, ["call", queue, "echo", "--", "--json"])).stdout, "--json|undefined|undefined\n");
    const found = await run(url, ["call", queue, "find", '{"id": 7}', "--json"]);
    assertEquals(JSON.parse(found.stdout).reply, { found: { id: 7 } });
    assertEquals(asked, ['{"id":7}']);
  },
);

live(
  "Each line of standard input is a call, and the replies are in the order of the lines",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    await using _server = await startServer(url, texts(queue), async (text) => {
      await sleep(text === "first" ? 100 : 0);
      return text.toUpperCase();
    }, { prefetch: 50 });
    const { code, stdout, stderr } = await run(url, ["call", queue, "-"], "first\r\nzweite Größe\n\nlast");
    assertEquals([code, stdout], [0, "FIRST\nZWEITE GRÖSSE\n\nLAST\n"]);
    assertMatch(stderr, /^4 calls in [\d.]+ m?s: 4 ok; [\d.,]+\/s, p50 [\d.]+ (?:u|m)?s, p99 [\d.]+ m?s\n$/);
  },
);

live(
  "With --raw, standard input is one body, and the reply's bytes are printed as they are",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    const any = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
    await using _server = await startServer(url, any, (body) => body);
    const body = "\x00a\nb\r\n\nc";
    assertEquals(await run(url, ["call", queue, "-", "--raw"], body), { code: 0, stdout: body, stderr: "" });
  },
);

live("Ten thousand lines give ten thousand right lines, under 120 MB", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(
    url,
    procedure({ queue, queueType: "classic", request: integer(), reply: integer() }),
    (n) => 2 * n,
    { prefetch: 100 },
  );
  const input = Array.from({ length: 10_000 }, (_, n) => `${n}\n`).join("");
  const args = ["call", queue, "-", "--json", "--concurrency", "100", "--url", url];
  await using script = start([Deno.execPath(), "task", "--quiet", "rpc", ...args], {}, { input });
  let peak = 0;
  const watching = setInterval(() => peak = Math.max(peak, peakMemory(script.pid)), 50);
  const { code, stdout, stderr } = await script.ended();
  clearInterval(watching);
  assertEquals(code, 0);
  const replies = stdout.trim().split("\n").map((line) => JSON.parse(line).reply);
  assertEquals(replies, Array.from({ length: 10_000 }, (_, n) => 2 * n));
  assertStringIncludes(stderr, "10,000 calls in ");
  assertStringIncludes(stderr, "10,000 ok");
  assertLess(peak, 120_000, `${peak} KiB`);
  if (Deno.build.os === "linux") assertGreater(peak, 20_000);
});

live("Failures are told from each other by exit codes, and counted by code", { run: true }, async ({ url, queue }) => {
  await using server = await startServer(url, texts(queue), async (text, { signal }) => {
    if (text === "slow") await aborted(signal);
    if (text === "bad") throw new RpcError("not_found", "no such \x1b[31mthing");
    return text;
  }, { prefetch: 10 });
  const bad = await run(url, ["call", queue, "bad"]);
  assertEquals([bad.code, bad.stdout, bad.stderr], [1, "", "not_found: no such \\x1b[31mthing (the server ran it)\n"]);
  const slow = await run(url, ["call", queue, "slow", "--timeout", "300ms"]);
  assertEquals(slow.code, 5);
  assertStringIncludes(slow.stderr, "deadline_exceeded: ");
  assertEquals((await run(url, ["call", queue, "-", "--timeout", "300ms"], "slow\nslow\n")).code, 5);
  const mixed = await run(url, ["call", queue, "-", "--timeout", "300ms"], "bad\nslow\nfine\n");
  assertEquals([mixed.code, mixed.stdout], [1, "fine\n"]);
  assertStringIncludes(mixed.stderr, "Call 1: not_found: ");
  assertStringIncludes(mixed.stderr, "Call 2: deadline_exceeded: ");
  assertStringIncludes(mixed.stderr, "3 calls in ");
  for (const code of ["ok", "not_found", "deadline_exceeded"]) assertStringIncludes(mixed.stderr, `1 ${code}`);
  const lines = await run(url, ["call", queue, "-", "--json"], "bad\nfine\n");
  const [first, second] = lines.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals([lines.code, first.error.code, first.error.outcome, second.reply], [1, "not_found", "executed", "fine"]);
  await server.close();
  const began = performance.now();
  const unserved = await run(url, ["call", queue, "x", "--timeout", "1m"]);
  assertEquals(unserved.code, 4);
  assertStringIncludes(unserved.stderr, "has no consumer, so start a server for it");
  assertLess(performance.now() - began, 20_000);
  const waited = await run(url, ["call", queue, "x", "--timeout", "300ms", "--wait-for-server"]);
  assertEquals(waited.code, 5);
  assertEquals((await run(url, ["call", `${queue}.missing`, "x"])).code, 4);
  const asJson = await run("amqp://127.0.0.1:1", ["call", queue, "x", "--json"]);
  assertEquals([asJson.code, JSON.parse(asJson.stdout).error.code, asJson.stderr], [3, "unavailable", ""]);
  const wrong = await run(url, ["call", queue, "x", "--json", "--count", "x"]);
  assertEquals([wrong.code, JSON.parse(wrong.stdout).error.code, wrong.stderr], [2, "invalid_argument", ""]);
  const both = await run(url, ["call", queue, "x", "--json", "--raw"]);
  assertEquals([both.code, JSON.parse(both.stdout).error.message], [2, "Use one of --json and --raw, not both"]);
  const operand = await run(url, ["call", "--count", "x", queue, "--", "--json"]);
  assertEquals([operand.code, operand.stdout], [2, ""]);
  const nobody = await run("amqp://127.0.0.1:1", ["call", queue, "x"]);
  assertEquals([nobody.code, nobody.stderr], [3, "Cannot connect to 127.0.0.1:1: no broker listens there\n"]);
});

for (
  const [args, text] of [
    [[], "Missing command: want one of call, ping, info, top"],
    [["nope"], 'Unknown command "nope"'],
    [["call"], "Missing argument QUEUE"],
    [["call", "q", "m", "b", "x"], 'Unexpected argument "x"'],
    [["call", "amq.q"], "reserves"],
    [["call", "q", "--raw", "--count", "1.5"], "--count"],
    [["call", "q", "-", "--count", "2"], 'one of "-" and --count'],
    [["call", "q", "--count", "0"], "--count"],
    [["call", "q", "--rate", "fast"], "--rate"],
    [["call", "q", "--timeout", "5"], "--timeout"],
    [["call", "q", "-H", "x"], "want NAME:VALUE"],
    [["call", "q", "-H", "x-death:1"], "reserved"],
    [["ping"], "Missing argument QUEUE"],
    [["info", "q", "r"], 'Unexpected argument "r"'],
    [["top", "q", "-o", "xml"], "want text or json"],
    [["top", "q", "--interval", "1"], "--interval"],
  ] as const
) {
  live(`rpc ${args.join(" ")} is refused as wrong usage`, { run: true }, async ({ url }) => {
    await using script = start([...denoArgs("lib/cli.ts", ...args)], { AMQP_URL: url });
    const { code, stdout, stderr } = await script.ended();
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, text);
    assert(stderr.endsWith("\nTry --help\n"));
  });
}

live("Help is there for every command", { run: true }, async ({ url }) => {
  for (const args of [["--help"], ["call", "--help"], ["ping", "-h"], ["info", "--help"], ["top", "--help"]]) {
    await using script = start(denoArgs("lib/cli.ts", ...args), { AMQP_URL: url });
    const { code, stdout, stderr } = await script.ended();
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, "Usage: rpc ");
    for (const line of stdout.split("\n")) assertLess(line.length, 121, line);
  }
});

live("Many failures are a few lines, and no reply is missing", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => {
    if (Number(text) % 3 === 0) throw new RpcError("not_found", `no ${text}`);
    return text;
  }, { prefetch: 50 });
  const input = Array.from({ length: 400 }, (_, n) => `${n + 1}\n`).join("");
  const replies = input.split("\n").filter((n) => Number(n) % 3 !== 0).join("\n");
  const { code, stdout, stderr } = await run(url, ["call", queue, "-"], input);
  assertEquals([code, stdout.trim()], [1, replies]);
  const lines = stderr.trim().split("\n");
  assertEquals(lines.slice(0, -1), [
    "Call 3: not_found: no 3 (the server ran it)",
    "Call 6: not_found: no 6 (the server ran it)",
    "Call 9: not_found: no 9 (the server ran it)",
    "Calls 12 to 399: 130 more not_found (the server ran it)",
  ]);
  assertMatch(lines.at(-1) ?? "", /^400 calls in .*: 267 ok, 133 not_found; /);
  const json = await run(url, ["call", queue, "-", "--json"], input);
  assertEquals(json.stdout.trim().split("\n").filter((line) => JSON.parse(line).error !== undefined).length, 133);
});

live("After a lost connection a run goes on, and only what was under way has failed", { run: true }, async (use) => {
  const { url, queue } = use;
  await using _server = await startServer(url, texts(queue), (text) => text, { prefetch: 20 });
  await using link = relay(portOf(url));
  await using script = rpc(through(url, link.port), ["call", queue, "x", "--count", "400", "--rate", "200"]);
  await waitFor("it is running", () => script.stdout.length > 100, 20_000);
  link.cut();
  const { code, stdout, stderr } = await script.ended();
  const [, answered = "0"] = /^400 calls in .*?(\d+) ok/m.exec(stderr) ?? [];
  const failed = 400 - Number(answered);
  assert(failed <= 10, `${failed} failed`);
  assertEquals([code, stdout.length / 2], [failed === 0 ? 0 : 1, 400 - failed]);
  assertMatch(stderr, / WARN {2}(?:Lost the connection|Reconnected after)/);
});

live("Ctrl-C ends a run of calls, says what was done, and cancels what is under way", { run: true }, async (use) => {
  const { url, queue } = use;
  const stopped: string[] = [];
  await using _server = await startServer(url, texts(queue), async (text, { signal }) => {
    if (text === "2") {
      await aborted(signal);
      stopped.push(text);
    }
    return text;
  }, { prefetch: 1 });
  await using script = rpc(url, ["call", queue, "-", "--timeout", "1m"], "0\n1\n2\n");
  await script.printed("1\n");
  script.kill("SIGINT");
  const { code, stdout, stderr } = await script.ended();
  assertEquals([code, stdout], [130, "0\n1\n"]);
  assertMatch(
    stderr,
    /^Interrupted: 2 calls in .*: 2 ok; .*; 1 more under way, it is unknown whether its work was done\n$/,
  );
  await waitFor("the server is told", () => stopped.length === 1);
});

live("Ctrl-C ends rpc call while it waits for a line", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  await using script = start(denoArgs("lib/cli.ts", "call", queue, "-", "--url", url), {}, { input: readable });
  await writer.write(new TextEncoder().encode("a\nhalf a li"));
  await script.printed("a\n");
  script.kill("SIGINT");
  const { code, stdout, stderr } = await script.ended();
  assertEquals([code, stdout], [130, "a\n"]);
  assertStringIncludes(stderr, "Interrupted: 1 call in ");
  await writer.abort().catch(() => {});
});

live("When the reader of the output leaves, the calls end", { run: true }, async ({ url, queue }) => {
  let calls = 0;
  await using _server = await startServer(url, texts(queue), (text) => {
    calls++;
    return text;
  }, { prefetch: 20 });
  const command = denoArgs("lib/cli.ts", "call", queue, "x", "--count", "1000000", "--url", url);
  const shell = `${command.map((part) => `'${part}'`).join(" ")} | head -2; echo "\${PIPESTATUS[0]}"`;
  await using script = start(["bash", "-c", shell]);
  assertEquals((await script.ended()).stdout, "x\nx\n141\n");
  assertLess(calls, 1_000_000);
});

live("Output that cannot be written is told in one line, with exit code 1", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text);
  const command = denoArgs("lib/cli.ts", "call", queue, "x", "--url", url);
  await using script = start(["bash", "-c", `${command.map((part) => `'${part}'`).join(" ")} > /dev/full`]);
  const { code, stderr } = await script.ended();
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot write the output: .*No space left.*\n$/);
});

live("A look at the queue that the broker does not answer is not told as no server", { run: true }, async (use) => {
  const { url, queue } = use;
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue, { exclusive: true });
    const { code, stderr } = await run(url, ["call", queue, "x"]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "RESOURCE_LOCKED");
  });
});

live("--rate holds calls back, --count repeats them", { run: true }, async ({ url, queue }) => {
  const at: number[] = [];
  await using _server = await startServer(url, texts(queue), (text) => {
    at.push(performance.now());
    return text;
  }, { prefetch: 20 });
  const { code, stdout } = await run(url, ["call", queue, "x", "--count", "11", "--rate", "20"]);
  assertEquals([code, stdout], [0, "x\n".repeat(11)]);
  assertGreater((at.at(-1) ?? 0) - (at[0] ?? 0), 350);
});

live("rpc ping and rpc info show every server, as text and as JSON", { run: true }, async ({ url, queue }) => {
  await using _one = await startServer(url, texts(queue), (text) => text, { name: "one", version: "1.0.0" });
  await using _two = await startServer(url, texts(queue), () => Promise.reject(new Error("secret")), {
    name: "two\x1b[31m",
    prefetch: 7,
  });
  await using client = await connectClient(url);
  for (let n = 0; n < 4; n++) await client.call(texts(queue), "x").catch(() => {});
  const ping = await run(url, ["ping", queue]);
  assertEquals([ping.code, ping.stderr], [0, ""]);
  assertStringIncludes(ping.stdout, `${queue}: 0 requests waiting, 2 consumers\n`);
  assertMatch(ping.stdout, /^one +1\.0\.0 +serving +[\d.]+ m?s +[\d.]+ m?s$/m);
  assertMatch(ping.stdout, /^two\\x1b\[31m +- +serving/m);
  const info = await run(url, ["info", queue]);
  assertEquals(info.code, 0);
  assertMatch(
    info.stdout,
    /^one\n {2}version 1\.0\.0, rpc\/\S+, id \S+\n {2}serving, up .*, 0 of 10 in flight, 0 rejected$/m,
  );
  assertMatch(info.stdout, /LAST ERROR\n {2}- +2 +2 .* internal, .* ago, id [0-9a-f-]{36}$/m);
  assert(!info.stdout.includes("secret") && !info.stdout.includes("\x1b"));
  const { queue: named, consumers, servers } = JSON.parse((await run(url, ["info", queue, "-o", "json"])).stdout);
  assertEquals([named, consumers, servers.length], [queue, 2, 2]);
});

live("Without a server of this library, ping, info and top say so with exit code 4", { run: true }, async (use) => {
  const { url, queue } = use;
  for (const command of ["ping", "info", "top"]) {
    const { code, stderr } = await run(url, [command, queue]);
    assertEquals(code, 4);
    assertStringIncludes(stderr, "the queue does not exist, so start a server for it");
    const asJson = await run(url, [command, queue, "-o", "json"]);
    assertEquals([asJson.code, JSON.parse(asJson.stdout).error.code, asJson.stderr], [4, "not_found", ""]);
  }
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue, { durable: true });
    await channel.consume(queue, () => {});
    for (const command of ["ping", "info"]) {
      const { code, stdout, stderr } = await run(url, [command, queue, "--timeout", "100ms"]);
      assertEquals([code, stderr], [4, "No server of this library answered within 100 ms\n"]);
      assertStringIncludes(stdout, "1 consumer, 1 without an answer");
    }
  });
});

for (const output of ["text", "json"] as const) {
  live(
    `One slow server among three is named by rpc top within 5 s (${output})`,
    { run: true },
    async ({ url, queue }) => {
      await using opened = new AsyncDisposableStack();
      for (const [name, ms] of [["quick", 2], ["lame", 100], ["brisk", 2]] as const) {
        opened.use(
          await startServer(url, texts(queue), async (text) => {
            await sleep(ms);
            return text;
          }, { name, prefetch: 2 }),
        );
      }
      await using client = await RpcClient.connect(url);
      const stop = new AbortController();
      opened.defer(() => stop.abort());
      for (let n = 0; n < 6; n++) call();
      function call(): void {
        if (stop.signal.aborted) return;
        client.call(texts(queue), "x").then(call, () => {});
      }
      await using script = rpc(url, ["top", queue, "-o", output]);
      await waitFor("top is running", () => script.stdout !== "", 20_000);
      const began = performance.now();
      await waitFor("a slow server is named", () => /SLOW|"slow":true/.test(script.stdout), 5_000);
      assertLess(performance.now() - began, 5_000);
      stop.abort();
      script.kill("SIGINT");
      const { code, stdout } = await script.ended();
      assertEquals(code, 0);
      const named = output === "text"
        ? Array.from(stdout.matchAll(/^(\w+) +SLOW/gm), ([, name]) => name)
        : stdout.trim().split("\n").flatMap((line) => JSON.parse(line).servers)
          .filter(({ slow }) => slow).map(({ name }) => name);
      assertEquals(new Set(named), new Set(["lame"]));
    },
  );
}

live("rpc top names a server that has answered and does not any more", { run: true }, async ({ url, queue }) => {
  await using _fine = await startServer(url, texts(queue), (text) => text, { name: "fine" });
  await using blocked = start(denoArgs("server.ts", "--url", url, "--queue", queue, "--name", "stuck"));
  await blocked.printed(" [x] Awaiting RPC requests\n");
  await using script = rpc(url, ["top", queue, "--interval", "200ms", "--timeout", "300ms"]);
  await script.printed("stuck");
  blocked.kill("SIGSTOP");
  try {
    await waitFor("it is named", () => /^stuck +NO ANSWER/m.test(script.stdout), 10_000);
  } finally {
    blocked.kill("SIGCONT");
  }
  script.kill("SIGINT");
  assertEquals((await script.ended()).code, 0);
});

live("rpc top ends after --count frames, and goes on after an error", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text, { name: "one" });
  const { code, stdout } = await run(url, ["top", queue, "--count", "3", "--interval", "50ms", "-o", "json"]);
  assertEquals([code, stdout.trim().split("\n").length], [0, 3]);
  const [first, second] = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals([first.servers[0].name, first.servers[0].rate, second.servers[0].rate], ["one", undefined, 0]);
});

live("A bar is shown where standard error alone is a terminal, and is gone in the end", { run: true }, async (use) => {
  const { url, queue } = use;
  await using _server = await startServer(url, texts(queue), (text) => text, { prefetch: 20 });
  const command = denoArgs("lib/cli.ts", "call", queue, "x", "--count", "200", "--rate", "100", "--url", url);
  const line = command.map((part) => `'${part}'`).join(" ");
  await using script = startOnTerminal(`${line} >/dev/null`);
  await script.printed("█");
  const { stdout } = await script.ended();
  assertMatch(stdout, /[█░]+ \d+% {2}\d+\/200 {2}[\d.]+\/s {2}ETA /);
  const lines = await linesOnScreen(stdout);
  assertEquals(lines.length, 1);
  assertMatch(lines[0] ?? "", /^200 calls in .*: 200 ok; /);
  await using shown = startOnTerminal(line.replace("'200'", "'3'"));
  const { stdout: both } = await shown.ended();
  assertEquals((await linesOnScreen(both)).slice(0, 3), ["x", "x", "x"]);
  assert(!/[█░]/.test(both));
});

live("Failures stay on the terminal when the bar has gone", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), async () => {
    await sleep(10);
    throw new RpcError("not_found", "no such thing");
  }, { prefetch: 20 });
  const args = ["call", queue, "x", "--count", "300", "--url", url];
  const command = denoArgs("lib/cli.ts", ...args).map((part) => `'${part}'`).join(" ");
  await using script = startOnTerminal(`${command} >/dev/null`);
  const { code, stdout } = await script.ended();
  assertEquals(code, 1);
  assert(/[█░]/.test(stdout));
  const lines = await linesOnScreen(stdout);
  const failed = (number: number): string => `Call ${number}: not_found: no such thing (the server ran it)`;
  assertEquals(lines.slice(0, -1), [
    ...[1, 2, 3].map(failed),
    "Calls 4 to 300: 297 more not_found (the server ran it)",
  ]);
  assertMatch(lines.at(-1) ?? "", /^300 calls in .*: 300 not_found; /);
});

live("On a terminal, rpc top draws over its last frame", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => text, { name: "one" });
  const args = ["top", queue, "--count", "3", "--interval", "100ms", "--url", url];
  await using script = startOnTerminal(denoArgs("lib/cli.ts", ...args).map((part) => `'${part}'`).join(" "));
  const { code, stdout } = await script.ended();
  assertEquals(code, 0);
  const lines = await linesOnScreen(stdout);
  assertEquals(lines.filter((line) => line.startsWith("SERVER")).length, 1);
  assertEquals([lines.length, lines.at(-1)?.startsWith("one ")], [5, true]);
});
