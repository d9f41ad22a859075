/**
 * The numbers that the tutorial's client takes: arguments, ranges, and lines of standard input.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertLess, assertStringIncludes } from "@std/assert";
import { fib, fibonacci } from "../../lib/tutorial/fib.ts";
import { sleep } from "../support/handlers.ts";
import { live, waitFor } from "../support/live.ts";
import { startServer } from "../support/pair.ts";
import { peakMemory } from "../support/memory.ts";
import { denoArgs, type Ended, start } from "../support/script.ts";

/** So many long numbers are more than a pipe holds (64 KiB), and wait in the client. */
const COUNT = 5;

async function client(url: string, queue: string, args: readonly string[], input?: string): Promise<Ended> {
  const command = denoArgs("client.ts", "--url", url, "--queue", queue, ...args);
  await using script = start(command, {}, input === undefined ? {} : { input });
  return await script.ended();
}

live("A range is all its numbers, in order", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, { ...fibonacci, queue, queueType: "classic" }, async (n) => {
    await sleep(n === 0 ? 50 : 0);
    return fib(n);
  }, { prefetch: 50 });
  const { code, stdout, stderr } = await client(url, queue, ["0..90", "5", "7..7", "--json"]);
  assertEquals([code, stderr], [0, ""]);
  const numbers = [...Array(91).keys(), 5, 7];
  const wanted = numbers.map((n) => `{"n":${n},"result":"${fib(n)}"}\n`).join("");
  assertEquals(stdout, wanted);
});

live("Numbers come from standard input, with any line ends and blank lines", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(url, { ...fibonacci, queue, queueType: "classic" }, (n) => fib(n));
  const { code, stdout } = await client(url, queue, ["-"], "30\r\n\n 7 \n100");
  assertEquals(code, 0);
  const results = stdout.split("\n").filter((line) => line.startsWith(" [.]"));
  assertEquals(results, [" [.] Got 832040", " [.] Got 13", " [.] Got 354224848179261915075"]);
});

live(
  "A line that is no number ends the run with exit code 2, after the lines before it",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    await using _server = await startServer(url, { ...fibonacci, queue, queueType: "classic" }, (n) => fib(n));
    const { code, stdout, stderr } = await client(url, queue, ["-", "--json"], "1\n2\nthree\n4\n");
    const [one, two, wrong = "", ...rest] = stdout.split("\n");
    assertEquals([code, one, two, rest, stderr], [2, '{"n":1,"result":"1"}', '{"n":2,"result":"1"}', [""], ""]);
    assertStringIncludes(JSON.parse(wrong).error.message, 'Line 3 of standard input: Invalid argument "three" for N');
    const long = await client(url, queue, ["-"], "9".repeat(1_000_000));
    assertEquals(long.code, 2);
    assertStringIncludes(long.stderr, "Line 1 of standard input has more than 64 bytes");
  },
);

live(
  "What was answered before a line that is no number is printed to whoever reads slowly",
  { run: true },
  async ({ url, queue }) => {
    const long = 10n ** 20_000n;
    let asked = 0;
    await using _server = await startServer(url, { ...fibonacci, queue, queueType: "classic" }, () => {
      asked++;
      return long;
    });
    const [program = "", ...args] = denoArgs("client.ts", "--url", url, "--queue", queue, "-");
    const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    const input = child.stdin.getWriter();
    await input.write(new TextEncoder().encode("1\n".repeat(COUNT) + "three\n"));
    await input.close();
    await waitFor("all are answered", () => asked === COUNT);
    await sleep(500);
    const [stdout, stderr] = await Promise.all(
      [child.stdout, child.stderr].map((stream) => new Response(stream).text()),
    );
    assertEquals(stdout?.split("\n").filter((line) => line === ` [.] Got ${long}`).length, COUNT);
    assertStringIncludes(stderr ?? "", `Line ${COUNT + 1} of standard input`);
    assertEquals((await child.status).code, 2);
  },
);

for (
  const [args, text] of [
    [["5..1"], "must not be the larger one"],
    [["1.."], '"1.."'],
    [["..5"], '"..5"'],
    [["1..2..3"], '"1..2..3"'],
    [["0..100001"], '"100001"'],
    [["-", "30"], 'Use "-" alone'],
    [["--", "--json"], 'Invalid argument "--json"'],
  ] as const
) {
  live(`client ${args.join(" ")} is refused as wrong usage`, { run: true }, async ({ url, queue }) => {
    const { code, stderr } = await client(url, queue, args);
    assertEquals(code, 2);
    assertStringIncludes(stderr, text);
  });
}

live("deno task client - --json gives 10,000 right lines, under 120 MB", { run: true }, async ({ url, queue }) => {
  await using _server = await startServer(
    url,
    { ...fibonacci, queue, queueType: "classic" },
    (n) => fib(n),
    { prefetch: 100 },
  );
  const input = Array.from({ length: 10_000 }, (_, n) => `${n}\n`).join("");
  const command = [Deno.execPath(), "task", "--quiet", "client", "-", "--json", "--url", url, "--queue", queue];
  await using script = start(command, {}, { input });
  let peak = 0;
  const watching = setInterval(() => peak = Math.max(peak, peakMemory(script.pid)), 50);
  const { code, stdout } = await script.ended();
  clearInterval(watching);
  assertEquals(code, 0);
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines.length, 10_000);
  let [a, b] = [0n, 1n];
  for (const [n, line] of lines.entries()) {
    assert(line === `{"n":${n},"result":"${a}"}`, `line ${n}: ${line.slice(0, 100)}`);
    [a, b] = [b, a + b];
  }
  if (Deno.build.os !== "linux") return;
  console.log(`${(peak / 1024).toFixed(0)} MiB`);
  assertGreater(peak, 20_000);
  assertLess(peak, 120_000, `${peak} KiB`);
});
