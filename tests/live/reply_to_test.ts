import { assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { double } from "../support/lab_server.ts";
import { live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "../support/live.ts";
import { pair, texts, told } from "../support/pair.ts";

for (
  const [what, properties] of [
    ["no reply_to", { correlationId: "c" }],
    ["a reply_to that the broker has not named", { correlationId: "c", replyTo: "victim" }],
  ] as const
) {
  live(`A request with ${what} is never run, and goes to the dead-letter exchange`, async ({ url, queue }) => {
    const dead = `${queue}.dead`;
    await withChannel(url, async (channel) => {
      await channel.assertQueue(dead);
      await channel.assertQueue(queue, {
        durable: true,
        deadLetterExchange: "",
        deadLetterRoutingKey: dead,
      });
    });
    try {
      const events: ServerEvent[] = [];
      await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event) });
      let runs = 0;
      await server.serve(double(queue), (n) => {
        runs++;
        return n;
      });
      await publishRaw(url, queue, "21", properties);
      await waitFor("the request is dead-lettered", async () => (await queueInfo(url, dead))?.messages === 1);
      assertEquals(runs, 0);
      assertEquals(events.filter(({ type }) => type === "rejected_request").length, 1);
    } finally {
      await withChannel(url, (channel) => channel.deleteQueue(dead));
    }
  });
}

live("A request that nobody can be answered for is rejected, and the server lives on", async ({ url, queue }) => {
  const seen: string[] = [];
  await using p = await pair(url, texts(queue), (request) => {
    seen.push(request);
    return request;
  });
  const named = `${queue}.replies`;
  await withChannel(url, async (channel) => {
    await channel.assertQueue(named);
    channel.sendToQueue(queue, Buffer.from("no reply_to"), {});
    channel.sendToQueue(queue, Buffer.from("empty reply_to"), { replyTo: "" });
    channel.sendToQueue(queue, Buffer.from("named reply_to"), { replyTo: named });
    channel.sendToQueue(queue, Buffer.from("its own queue"), { replyTo: queue });
    channel.sendToQueue(queue, Buffer.from("almost named by the broker"), { replyTo: "amq.gen" });
    await waitFor("all are counted", () => told(p.server, "rejected_request").length === 5);
    assertEquals(await p.client.call(texts(queue), "a"), "a");
    assertEquals((await channel.deleteQueue(named)).messageCount, 0);
  });
  assertEquals(seen, ["a"]);
  assertEquals((await queueInfo(url, queue))?.messages, 0);
  for (const { queue: name, reason } of told(p.server, "rejected_request")) {
    assertEquals(name, queue);
    assertMatch(reason, /reply_to/);
  }
});

live("The server's replyTo option allows a reply queue by its name", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { replyTo: (name) => name.startsWith(`${queue}.replies`) });
  await server.serve(double(queue), (n) => 2 * n);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue(`${queue}.replies`, { exclusive: true });
    await publishRaw(url, queue, "21", { replyTo, correlationId: "c" });
    const got = await waitFor("the reply has arrived", () => channel.get(replyTo, { noAck: true }));
    assertEquals(got.content.toString(), "42");
  });
});

live("A replyTo option that throws rejects the request once, and the server goes on", async ({ url, queue }) => {
  const events: ServerEvent[] = [];
  let asked = 0;
  await using server = await RpcServer.connect(url, {
    onEvent: (event) => events.push(event),
    replyTo: () => {
      asked++;
      throw new Error("the option's own affair");
    },
  });
  await server.serve(double(queue), (n) => 2 * n);
  await publishRaw(url, queue, "1", { replyTo: "somebody", correlationId: "c" });
  await waitFor("it is rejected", () => events.some(({ type }) => type === "rejected_request"));
  assertEquals((await plainCall(url, queue, "21")).content.toString(), "42");
  assertEquals([asked, events.filter(({ type }) => type === "channel_lost").length], [1, 0]);
});

live("A replyTo option that gives a promise allows nothing", async ({ url, queue }) => {
  const events: ServerEvent[] = [];
  // A promise is true to an `if`; the option must say `true`.
  const replyTo = (() => Promise.resolve(true)) as unknown as (name: string) => boolean;
  await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event), replyTo });
  await server.serve(double(queue), (n) => 2 * n);
  await publishRaw(url, queue, "1", { replyTo: "somebody", correlationId: "c" });
  await waitFor("it is rejected", () => events.some(({ type }) => type === "rejected_request"));
});
