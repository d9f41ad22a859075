import { assertEquals, assertMatch } from "@std/assert";
import { live, plainCall } from "../support/live.ts";
import { connectClient, failure, startServer, texts } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";

/** What senders of all kinds write although nothing is compressed. */
const PLAIN = ["", "identity", "none", "plain", "binary", "7bit", "8bit", "us-ascii", "US-ASCII", "utf-8", "UTF8"];
const COMPRESSED = ["gzip", "deflate", "br", "base64", "x-unknown", "constructor"];

live("A request is served whatever its content encoding calls an uncompressed body", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (text) => `${text}!`);
  for (const contentEncoding of PLAIN) {
    const { content, properties } = await plainCall(url, queue, "Ada", { contentEncoding });
    assertEquals([content.toString(), properties.type], ["Ada!", undefined], contentEncoding);
  }
});

live("A request with another content encoding gets invalid_argument, and is not run", async ({ url, queue }) => {
  let runs = 0;
  await using _server = await startServer(url, texts(queue), () => `${++runs}`);
  for (const contentEncoding of COMPRESSED) {
    const { content, properties } = await plainCall(url, queue, "Ada", { contentEncoding });
    const { code, outcome, message } = JSON.parse(content.toString());
    assertEquals([properties.type, code, outcome], ["rpc.error", "invalid_argument", "not_executed"]);
    assertMatch(message, new RegExp(contentEncoding));
  }
  assertEquals(runs, 0);
});

live("A reply is a result whatever its content encoding calls an uncompressed body", async ({ url, queue }) => {
  await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    reply("done", { contentEncoding: message.content.toString() });
  });
  await using client = await connectClient(url);
  for (const encoding of PLAIN) assertEquals(await client.call(texts(queue), encoding), "done", encoding);
  for (const encoding of COMPRESSED) {
    const error = await failure(client.call(texts(queue), encoding));
    assertEquals([error.code, error.outcome], ["data_loss", "executed"], encoding);
  }
});
