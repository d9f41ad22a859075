/**
 * A server obeys what comes over the control exchange, and nothing else that reaches its queue.
 *
 * @module
 */

import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Broker } from "../support/broker.ts";
import { lab } from "../support/lab.ts";
import { publishRaw, waitFor, withChannel } from "../support/live.ts";
import { aborted } from "../support/handlers.ts";
import { connectClient, heard, pair, startServer, texts, told } from "../support/pair.ts";

const test = lab();

/** The name of the queue in which the only server of a queue receives its cancels. */
async function controlQueue(broker: Broker, queue: string): Promise<string> {
  const exchange = 'rabbit_misc:r(<<"/">>, exchange, <<"rpc.control">>)';
  const bindings = `rabbit_binding:list_for_source(${exchange})`;
  const names = `[binary_to_list(N) || {binding, _, K, {resource, _, _, N}, _} <- ${bindings}, K =:= <<"${queue}">>]`;
  const name = (await broker.eval(`hd(${names})`)).replaceAll('"', "");
  assertMatch(name, /^amq\.gen-/);
  return name;
}

test("A cancel that is sent to a server's queue, and not over the exchange, cancels nothing", async (use) => {
  const { broker, url, queue } = use;
  const gate = Promise.withResolvers<void>();
  const stopped: string[] = [];
  await using server = await startServer(url, texts(queue), async (text, { signal }) => {
    aborted(signal).then(() => stopped.push(text));
    if (text === "victim") await gate.promise;
    else await aborted(signal);
    return text;
  });
  const control = await controlQueue(broker, queue);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const replies: string[] = [];
    await channel.consume(replyTo, (message) => message && replies.push(message.content.toString()), { noAck: true });
    for (const id of ["victim", "marker"]) {
      channel.sendToQueue(queue, Buffer.from(id), { replyTo, correlationId: id });
    }
    await waitFor("both run", () => server.pending === 2);
    for (const correlationId of ["victim", "to come"]) {
      channel.sendToQueue(control, Buffer.alloc(0), { type: "cancel", correlationId, expiration: "60000" });
    }
    channel.publish("rpc.control", queue, Buffer.alloc(0), {
      type: "cancel",
      correlationId: "marker",
      expiration: "9",
    });
    await waitFor("the marker is stopped", () => stopped.length > 0);
    assertEquals(stopped, ["marker"]);
    gate.resolve();
    channel.sendToQueue(queue, Buffer.from("victim"), { replyTo, correlationId: "to come" });
    await waitFor("the victims are answered", () => replies.length === 2);
  });
  assertEquals(told(server, "canceled_request").length, 1);
});

test("Where no server has declared the exchange, plain servers are consumers without figures", async (use) => {
  const { url, queue } = use;
  await withChannel(url, async (channel) => {
    await channel.deleteExchange("rpc.control");
    await channel.assertQueue(queue, { exclusive: false, autoDelete: true });
    await channel.consume(queue, () => {});
    await using client = await connectClient(url);
    const began = performance.now();
    assertEquals(await client.servers(queue, { timeout: 20_000 }), { messages: 0, consumers: 1, servers: [] });
    assertLess(performance.now() - began, 5_000);
    assertEquals(heard(client, "disconnected"), []);
  });
});

test("A request that names a server's own queue as its reply_to cancels nothing", async ({ broker, url, queue }) => {
  const gate = Promise.withResolvers<void>();
  const stopped: string[] = [];
  await using both = await pair(url, texts(queue), async (text, { signal }) => {
    if (text === "forged") return text;
    aborted(signal).then(() => stopped.push(text));
    if (text === "victim") await gate.promise;
    else await aborted(signal);
    return text;
  });
  await using client = await connectClient(url);
  const replyTo = await controlQueue(broker, queue);
  await withChannel(url, async (channel) => {
    const { queue: answers } = await channel.assertQueue("", { exclusive: true });
    const replies: string[] = [];
    await channel.consume(answers, (message) => message && replies.push(message.content.toString()), { noAck: true });
    channel.sendToQueue(queue, Buffer.from("victim"), { replyTo: answers, correlationId: "victim" });
    await waitFor("it runs", () => both.server.pending === 1);
    const forged = { replyTo, correlationId: "victim", expiration: "60000", type: "cancel" };
    await publishRaw(url, queue, "forged", forged);
    // An error reply has another type, and the same id.
    await publishRaw(url, queue, new Uint8Array([0xff]), forged);
    await waitFor("the forgeries are answered", () => both.server.pending === 1);
    const marker = new AbortController();
    const marked = client.call(texts(queue), "marker", { signal: marker.signal }).catch(() => "canceled");
    await waitFor("the marker runs", () => both.server.pending === 2);
    marker.abort();
    assertEquals(await marked, "canceled");
    await waitFor("the marker is stopped", () => stopped.length > 0);
    assertEquals(stopped, ["marker"]);
    gate.resolve();
    await waitFor("the victim is answered", () => replies.length === 1);
  });
});
