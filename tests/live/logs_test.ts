/**
 * What the log says of calls, requests and connections; and what strangers send reaches it on one line, without escape
 * sequences, and not once per message.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertLessOrEqual, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { logEvents, type Next, RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { live, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { failure, texts } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { denoArgs, type Script, start } from "../support/script.ts";

const BAD_REQUESTS = 50_000;
/** Clears the line, and then looks like a result. */
const FORGED = "no\x1b[2K\r\n [.] Got 55\u009b31m\u202e";

/** All that a terminal obeys, and a newline that the program did not write. */
// deno-lint-ignore no-control-regex -- these are the characters that must not get through
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;

async function serve(url: string, queue: string, ...more: string[]): Promise<Script> {
  const args = ["--queue", queue, "--queue-type", "classic", "--prefetch", "1000", ...more];
  const serving = start(denoArgs("server.ts", "--url", url, ...args));
  await serving.printed(" [x] Awaiting RPC requests\n");
  return serving;
}

for (const flags of [[], ["--log", "text"], ["--log", "json"]]) {
  live(`Names that a stranger sends reach the log of server.ts ${flags.join(" ")} escaped, each line bounded`, {
    run: true,
  }, async ({ url, queue }) => {
    const level = flags.length === 0 ? [] : ["--log-level", "debug"];
    await using serving = await serve(url, queue, ...flags, ...level);
    await withChannel(url, async (channel) => {
      const { queue: mine } = await channel.assertQueue("", { exclusive: true });
      for (const replyTo of [FORGED, "x".repeat(255), "\x1b".repeat(255), "é\u009b".repeat(60), mine]) {
        channel.sendToQueue(queue, Buffer.from("30"), { replyTo, correlationId: FORGED, messageId: FORGED });
        channel.sendToQueue(queue, Buffer.from(FORGED), { replyTo, correlationId: FORGED, messageId: FORGED });
      }
      await waitFor("all are logged", () => serving.stderr.split("\n").length > 4);
      if (flags.length > 0) await waitFor("they are answered", () => serving.stderr.includes("invalid_argument"));
    });
    assertEquals(serving.stderr.match(OBEYED), null);
    assertEquals(serving.stderr.includes("\n [.] Got 55"), false);
    for (const line of serving.stderr.split("\n")) assertLess(line.length, 2_500);
    assertStringIncludes(serving.stderr, "\\x1b");
  });
}

live(
  "An error text that a stranger sends cannot write a result to the client's terminal",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    for (const more of [[], ["--json"]]) {
      const error = JSON.stringify({ code: "internal", message: FORGED + "x".repeat(100_000), outcome: "executed" });
      await using _server = await plainServer(url, queue, ({ reply, ack }) => {
        ack();
        reply(error, { type: "rpc.error" });
      });
      await using script = start(denoArgs("client.ts", "--url", url, "--queue", queue, ...more, "10"));
      const { code, stdout, stderr } = await script.ended();
      assertEquals(code, 1);
      for (const output of [stdout, stderr]) {
        assertEquals(output.match(OBEYED), null);
        assert(!/^ \[\.\] Got/m.test(output));
        assertLess(output.length, 20_000);
      }
    }
  },
);

live("50,000 bad requests write less than a hundred lines to the server's log", { run: true }, async (use) => {
  const { url, queue } = use;
  await using serving = await serve(url, queue);
  await withChannel(url, async (channel) => {
    for (let n = 0; n < BAD_REQUESTS; n++) {
      // Most without an address; some with one that is asked for, which takes longer.
      const replyTo = n % 50 === 0 ? { replyTo: `${queue}.${n}` } : {};
      if (!channel.sendToQueue(queue, Buffer.from("x"), { correlationId: `${n}`, ...replyTo })) {
        await new Promise((resolve) => channel.once("drain", resolve));
      }
    }
    await waitFor("all are refused", async () => (await queueInfo(url, queue))?.messages === 0, 30_000);
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from("30"), { replyTo, correlationId: "good" });
    const reply = await waitFor("a good one is answered", () => channel.get(replyTo, { noAck: true }), 30_000);
    assertEquals(reply.content.toString(), "832040");
  });
  const lines = serving.stderr.trim().split("\n");
  assert(lines.length > 0);
  assertLess(lines.length, 100);
});

/** The lines of a log in JSON, each with what every line has. */
function objects(stderr: string): Record<string, unknown>[] {
  return stderr.trim().split("\n").map((line) => {
    const object = JSON.parse(line);
    assertEquals(new Date(object.time).toISOString(), object.time);
    assert(["debug", "info", "warn", "error"].includes(object.level), line);
    assert(typeof object.event === "string" && typeof object.message === "string", line);
    return object;
  });
}

live(
  "The lines of a call have the same message_id on both sides, and the output stays as it was",
  { run: true },
  async (use) => {
    const { url, queue } = use;
    const log = ["--log", "json", "--log-level", "debug"];
    await using serving = await serve(url, queue, ...log);
    await using calling = start(denoArgs("client.ts", "--url", url, "--queue", queue, ...log, "30"));
    const { code, stdout, stderr } = await calling.ended();
    assertEquals([code, stdout], [0, " [x] Requesting fib(30)\n [.] Got 832040\n"]);
    await waitFor("the request has ended", () => serving.stderr.includes("handled"));
    const called = objects(stderr).find(({ event }) => event === "called") ?? {};
    const handled = objects(serving.stderr).find(({ event }) => event === "handled") ?? {};
    assertEquals([called["queue"], called["code"], called["attempts"]], [queue, "ok", 1]);
    assertEquals([handled["queue"], handled["code"], handled["message_id"]], [queue, "ok", called["message_id"]]);
    assert(typeof called["message_id"] === "string" && called["message_id"].length > 30);
    assertLessOrEqual(Number(handled["duration_ms"]), Number(called["duration_ms"]));
    assertEquals(serving.stdout, " [x] Awaiting RPC requests\n [.] fib(30)\n");
    for (const line of [...objects(stderr), ...objects(serving.stderr)]) {
      assertEquals(
        JSON.stringify(line).includes("guest"),
        false,
      );
    }
  },
);

live("Calls through interceptors have the same message_id on both sides", async ({ url, queue }) => {
  const heard: string[] = [];
  const log = logEvents({ level: "debug", format: "json", write: (line) => heard.push(line) });
  const interceptors = [(next: Next) => next];
  await using server = await RpcServer.connect(url, { onEvent: log });
  await server.serve(texts(queue), (request) => request);
  await using client = await RpcClient.connect(url, { onEvent: log, interceptors });
  await client.call(texts(queue), "a");
  await waitFor("the request has ended", () => heard.some((line) => line.includes("handled")));
  const ids = heard.map((line) => JSON.parse(line)).filter(({ event }) => event === "called" || event === "handled");
  assertEquals(ids.length, 2);
  assertEquals(ids[0].message_id, ids[1].message_id);
  assert(ids[0].message_id !== undefined);
});

live("A call that failed is a line that says why, on both sides", async ({ url, queue }) => {
  const heard: string[] = [];
  const log = logEvents({ write: (line) => heard.push(line) });
  await using server = await RpcServer.connect(url, { onEvent: log });
  await server.serve(texts(queue), (request) => {
    if (request === "bad") throw new RpcError("not_found", "There is no such thing");
    throw new Error("The handler is broken");
  });
  await using client = await RpcClient.connect(url, { onEvent: log });
  await failure(client.call(texts(queue), "bad"));
  await waitFor("both have ended", () => heard.filter((line) => /not_found/.test(line)).length === 2);
  const { id = "" } = await failure(client.call(texts(queue), "worse"));
  await waitFor("both have ended", () => heard.filter((line) => line.includes("code=internal")).length === 2);
  const lines = heard.filter((line) => !line.includes("Connected")).map((line) =>
    line.replace(/^\S+ /, "").split("\n")[0]
  );
  const shown = lines.map((line) => line?.replace(/message_id=\S+/, "ID").replace(/ (attempts=1 )?duration_ms=\S+/, ""))
    .sort();
  assertEquals(shown, [
    `ERROR Handler threw Error: The handler is broken queue=${queue} ID error_id=${id}`,
    `INFO  Call failed: There is no such thing queue=${queue} ID code=not_found outcome=executed`,
    `INFO  Request failed: There is no such thing queue=${queue} ID code=not_found outcome=executed`,
    `WARN  Call failed: The server failed; its log has the reason under id ${id} queue=${queue} ID code=internal outcome=executed error_id=${id}`,
    `WARN  Request failed: The server failed; its log has the reason under id ${id} queue=${queue} ID code=internal outcome=executed error_id=${id}`,
  ]);
});

live(
  "A loss is three lines, however often it is tried: lost, why it cannot be opened again, and back",
  async ({ url }) => {
    const heard: string[] = [];
    let attempts = 0;
    const log = logEvents({ level: "warn", write: (line) => heard.push(line.replace(/^\S+ /, "")) });
    const link = relay(portOf(url));
    const { port } = link;
    await using _client = await RpcClient.connect(through(url, port), {
      backoff: { min: 1, max: 5 },
      onEvent: (event) => {
        if (event.type === "retrying") attempts++;
        log(event);
      },
    });
    await link.close();
    await waitFor("it was tried often", () => attempts > 100);
    assertEquals(heard.length, 2, heard.join("\n"));
    assertMatch(
      heard[0] ?? "",
      new RegExp(`^WARN  Lost the connection to 127.0.0.1:${port}: .* host=127.0.0.1:${port}$`),
    );
    assertMatch(
      heard[1] ?? "",
      /^WARN {2}Retrying in \d+ ms: Cannot connect to \S+: no broker listens there code=unavailable /,
    );
    // Another reason: somebody listens there, but it is no broker.
    const other = Deno.listen({ hostname: "127.0.0.1", port });
    const hangingUp = (async () => {
      for await (const connection of other) connection.close();
    })();
    const before = attempts;
    await waitFor("the changed reason is told", () => heard.length > 2);
    assertLess(attempts - before, 10);
    await waitFor("it was tried often", () => attempts > before + 100);
    other.close();
    await hangingUp;
    await using back = relay(portOf(url), port);
    await waitFor("it is back", () => heard.some((line) => line.includes("Reconnected")));
    assert(back.accepted > 0);
    assertLess(heard.length, 8, heard.join("\n"));
    assertMatch(
      heard.at(-1) ?? "",
      new RegExp(`^WARN  Reconnected after (?:\\d+ ms|\\d+\\.\\d s) host=127.0.0.1:${port} duration_ms=\\S+$`),
    );
  },
);
