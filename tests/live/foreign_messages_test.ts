import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import type { ConsumeMessage, Options } from "amqplib";
import { bytes, type Codec, integer, json, procedure, RpcError, RpcServer, text } from "../../lib/rpc.ts";
import { consoleErrors } from "../support/console_errors.ts";
import { live, plainCall, waitFor, withChannel } from "../support/live.ts";
import { connectClient, failure, heard, startServer, texts, told } from "../support/pair.ts";
import { aborted } from "../support/handlers.ts";
import { plainServer } from "../support/plain_server.ts";

for (const replies of ["queue", "direct"] as const) {
  live(`A duplicate of a reply is dropped and counted, with replies: "${replies}"`, async ({ url, queue }) => {
    await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
      ack();
      reply(message.content);
      reply("duplicate");
    });
    await using client = await connectClient(url, { replies });
    for (const request of ["a", "b", "c"]) assertEquals(await client.call(texts(queue), request), request);
    await waitFor("all are counted", () => heard(client, "late_reply").length === 3);
    assertEquals(client.pending, 0);
  });

  live(`ReplyPublisher that nobody waits for disturb no call, with replies: "${replies}"`, async ({ url, queue }) => {
    await using _server = await plainServer(url, queue, ({ reply, ack }) => {
      ack();
      reply("unknown id", { correlationId: crypto.randomUUID() });
      reply("missing id", { correlationId: undefined });
      reply("empty id", { correlationId: "" });
      reply("long id", { correlationId: "x".repeat(255) });
      reply("{}", { correlationId: crypto.randomUUID(), type: "rpc.error" });
      reply("mine");
    });
    await using client = await connectClient(url, { replies });
    assertEquals(await client.call(texts(queue), ""), "mine");
    const strangers = heard(client, "late_reply").map(({ correlationId }) => correlationId);
    assertEquals([strangers.length, strangers[1], strangers[3]], [5, undefined, "x".repeat(255)]);
    assertEquals(heard(client, "disconnected"), []);
  });
}

live("An error after the result, or a result after the error, changes nothing", async ({ url, queue }) => {
  const error = JSON.stringify({ code: "not_found", message: "No", outcome: "executed" });
  await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    const first = message.content.toString() === "error first";
    if (first) reply(error, { type: "rpc.error" });
    reply("result");
    if (!first) reply(error, { type: "rpc.error" });
  });
  await using client = await connectClient(url);
  assertEquals(await client.call(texts(queue), "result first"), "result");
  assertEquals((await failure(client.call(texts(queue), "error first"))).code, "not_found");
  await waitFor("both are counted", () => heard(client, "late_reply").length === 2);
});

const ODD: readonly (readonly [string, Options.Publish])[] = [
  ["another content type", { contentType: "text/html; charset=latin1" }],
  ["no content type", {}],
  ["another type than rpc.error", { type: "rpc.result" }],
  ["a content encoding that says UTF-8, as Spring AMQP and kombu send it", { contentEncoding: "UTF-8" }],
  ["the content encoding identity", { contentEncoding: "identity" }],
  ["headers of all kinds", { headers: { "x-delivery-count": "many", list: [1, { a: null }], at: 1.5, yes: true } }],
  ["every other property", {
    priority: 9,
    persistent: true,
    timestamp: 1,
    appId: "a",
    userId: "guest",
    messageId: "m",
  }],
];

for (const [what, properties] of ODD) {
  live(`A reply with ${what} is a result`, async ({ url, queue }) => {
    const called = procedure({ queue, queueType: "classic", request: text(), reply: integer() });
    await using _server = await plainServer(url, queue, ({ reply, ack }) => {
      ack();
      reply("42", properties);
    });
    await using client = await connectClient(url);
    assertEquals(await client.call(called, ""), 42);
  });

  live(`A request with ${what} is run`, async ({ url, queue }) => {
    const double = procedure({ queue, queueType: "classic", request: integer(), reply: integer() });
    await using _server = await startServer(url, double, (n) => 2 * n);
    const reply = await plainCall(url, queue, "21", properties);
    assertEquals([reply.content.toString(), reply.properties.type], ["42", undefined]);
  });
}

live("RpcClient.call() rejects with data_loss when the reply has a content encoding", async ({ url, queue }) => {
  await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    reply("42", message.content.length === 0 ? { contentEncoding: "gzip" } : {});
  });
  await using client = await connectClient(url);
  const error = await failure(client.call(texts(queue), ""));
  assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
  assertMatch(error.message, /gzip/);
  assertEquals(await client.call(texts(queue), "a"), "42");
});

live("A request with a content encoding gets invalid_argument, and is not run", async ({ url, queue }) => {
  let runs = 0;
  await using _server = await startServer(url, texts(queue), () => `${++runs}`);
  const { content, properties } = await plainCall(url, queue, "42", { contentEncoding: "gzip" });
  const { code, outcome, message } = JSON.parse(content.toString());
  assertEquals([properties.type, code, outcome, runs], ["rpc.error", "invalid_argument", "not_executed", 0]);
  assertMatch(message, /gzip/);
});

const EMPTY: readonly (readonly [string, Codec<never, unknown>, unknown])[] = [
  ["bytes()", bytes(), new Uint8Array()],
  ["text()", text(), ""],
  ["integer()", integer(), undefined],
  ["json()", json(), undefined],
];

for (const [name, reply, value] of EMPTY) {
  live(`An empty reply is ${value === undefined ? "data_loss" : "a result"} to ${name}`, async ({ url, queue }) => {
    const called = procedure({ queue, queueType: "classic", request: text(), reply });
    await using _server = await plainServer(url, queue, ({ reply, ack }) => {
      ack();
      reply("");
    });
    await using client = await connectClient(url);
    if (value !== undefined) {
      assertEquals(await client.call(called, ""), value);
      return;
    }
    const error = await failure(client.call(called, ""));
    assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
  });

  live(`An empty request is ${value === undefined ? "refused" : "a value"} to ${name}`, async ({ url, queue }) => {
    const served = procedure({ queue, queueType: "classic", request: reply, reply: json() });
    const seen: unknown[] = [];
    await using _server = await startServer(url, served, (request) => {
      seen.push(request);
      return "done";
    });
    const { content } = await plainCall(url, queue, "");
    if (value !== undefined) assertEquals([seen, content.toString()], [[value], '"done"']);
    else assertEquals([seen, JSON.parse(content.toString()).code], [[], "invalid_argument"]);
  });
}

const ERRORS: readonly (readonly [string, string | Uint8Array, string, string])[] = [
  ["is empty", "", "data_loss", "unknown"],
  ["is no JSON", "Traceback (most recent call last):", "data_loss", "unknown"],
  ["is not UTF-8", Uint8Array.from([0xff, 0xfe]), "data_loss", "unknown"],
  ["is null", "null", "data_loss", "unknown"],
  ["is a number", "5", "data_loss", "unknown"],
  ["is a list", "[]", "data_loss", "unknown"],
  ["has no code", '{"message":"No","outcome":"executed"}', "data_loss", "unknown"],
  ["has no message", '{"code":"aborted","outcome":"executed"}', "data_loss", "unknown"],
  ["has a code that is no text", '{"code":5,"message":"No"}', "data_loss", "unknown"],
  ["has an unknown code", '{"code":"exploded","message":"No","outcome":"executed"}', "unknown", "executed"],
  ["has a code of Object", '{"code":"constructor","message":"No"}', "unknown", "unknown"],
  ["has no outcome", '{"code":"aborted","message":"No"}', "aborted", "unknown"],
  ["has an unknown outcome", '{"code":"aborted","message":"No","outcome":"maybe"}', "aborted", "unknown"],
  ["has an id that is no text", '{"code":"aborted","message":"No","outcome":"executed","id":5}', "aborted", "executed"],
];

for (const [what, body, code, outcome] of ERRORS) {
  live(`RpcClient.call() rejects with ${code}, ${outcome} when the error reply ${what}`, async ({ url, queue }) => {
    await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
      ack();
      if (message.content.length === 0) reply(body, { type: "rpc.error" });
      else reply("alive");
    });
    await using client = await connectClient(url);
    const error = await failure(client.call(texts(queue), ""));
    assertEquals([error.code, error.outcome, error.id], [code, outcome, undefined]);
    assert(error.message.length > 0);
    assertEquals(await client.call(texts(queue), "a"), "alive");
  });
}

live("A request without correlation id gets a reply without one", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (name) => `Hello ${name}`);
  const none = { correlationId: undefined } as unknown as Options.Publish;
  const { content, properties } = await plainCall(url, queue, "Ada", none);
  assertEquals([content.toString(), properties.correlationId], ["Hello Ada", undefined]);
});

live("Two requests with one correlation id get two replies", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue), (name) => `Hello ${name}`);
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    const replies: ConsumeMessage[] = [];
    await channel.consume(replyTo, (message) => message && replies.push(message), { noAck: true });
    for (const name of ["Ada", "Bob"]) {
      channel.sendToQueue(queue, Buffer.from(name), { replyTo, correlationId: "same" });
    }
    await waitFor("both are answered", () => replies.length === 2);
    assertEquals(replies.map(({ content }) => content.toString()), ["Hello Ada", "Hello Bob"]);
    assertEquals(new Set(replies.map(({ properties }) => properties.correlationId)), new Set(["same"]));
  });
});

live("A listener of events that throws disturbs neither calls nor requests", async ({ url, queue }) => {
  using _errors = consoleErrors();
  const onEvent = (): void => {
    throw new Error("The listener is broken");
  };
  await using server = await RpcServer.connect(url, { onEvent });
  await server.serve(texts(queue), () => {
    throw new Error("The handler is broken");
  });
  await using client = await connectClient(url, { onEvent });
  assertEquals((await failure(client.call(texts(queue), ""))).code, "internal");
  await withChannel(url, async (channel) => {
    channel.sendToQueue(queue, Buffer.from("no reply_to"));
    // In order on one channel: when this is answered, that was rejected.
    await channel.checkQueue(queue);
  });
  const error: unknown = await failure(client.call(texts(queue), ""));
  assert(error instanceof RpcError);
  assertEquals(error.code, "internal");
});

live("Nothing is sent of what a handler gives that was told to stop at the deadline", async ({ url, queue }) => {
  const { setTimeout } = globalThis;
  const delays: number[] = [];
  await using server = await startServer(url, texts(queue), async (_request, context) => {
    // As if the timer ran early, while the reply could still be in time.
    const early = (callback: () => void, delay: number): ReturnType<typeof setTimeout> => {
      delays.push(delay);
      return setTimeout(callback, 0);
    };
    Object.assign(globalThis, { setTimeout: early });
    const { signal } = context;
    Object.assign(globalThis, { setTimeout });
    await aborted(signal);
    return "half of it";
  });
  // A plain client sends no cancels, so that the deadline alone stops the handler.
  await withChannel(url, async (channel) => {
    const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from(""), { replyTo, expiration: "30000" });
    await waitFor("the handler has ended", () => delays.length === 1 && server.pending === 0);
    assertEquals(told(server, "expired_request").length, 1);
    assertEquals((await channel.checkQueue(replyTo)).messageCount, 0);
  });
  // A timer drops the fraction of its delay, and would then be early in earnest.
  assertEquals(delays.map(Number.isInteger), [true]);
});
