/**
 * What strangers send reaches logs and terminals on one line, without escape sequences, and not once per message.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { live, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { plainServer } from "../support/plain_server.ts";
import { denoArgs, type Script, start } from "../support/script.ts";

const BAD_REQUESTS = 50_000;
/** Clears the line, and then looks like a result. */
const FORGED = "no\x1b[2K\r\n [.] Got 55\u009b31m\u202e";

/** All that a terminal obeys, and a newline that the program did not write. */
// deno-lint-ignore no-control-regex -- these are the characters that must not get through
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;

async function serve(url: string, queue: string): Promise<Script> {
  const args = ["--queue", queue, "--queue-type", "classic", "--prefetch", "1000"];
  const serving = start(denoArgs("server.ts", "--url", url, ...args));
  await serving.printed(" [x] Awaiting RPC requests\n");
  return serving;
}

live("Names that a stranger sends reach the server's log escaped, each line bounded", { run: true }, async (use) => {
  const { url, queue } = use;
  await using serving = await serve(url, queue);
  await withChannel(url, async (channel) => {
    for (const replyTo of [FORGED, "x".repeat(255), "\x1b".repeat(255), "é\u009b".repeat(60)]) {
      channel.sendToQueue(queue, Buffer.from("30"), { replyTo, correlationId: FORGED, messageId: FORGED });
    }
    await waitFor("all are logged", () => serving.stderr.split("\n").length > 4);
  });
  assertEquals(serving.stderr.match(OBEYED), null);
  assertEquals(serving.stderr.includes("\n [.] Got 55"), false);
  for (const line of serving.stderr.split("\n")) assertLess(line.length, 2_000);
  assertStringIncludes(serving.stderr, "\\x1b");
});

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
