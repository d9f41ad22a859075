/**
 * What users of the library give to it may reject, throw, or be no promise although it looks like one. An error that
 * nobody catches would end the process, and fails these tests.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { json, procedure, RpcServer, text } from "../../lib/rpc.ts";
import { consoleErrors } from "../support/console_errors.ts";
import { live, publishRaw, waitFor } from "../support/live.ts";
import { connectClient, failure, startServer, texts } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";

/** A promise that throws when it is awaited. */
function throwing(): PromiseLike<never> {
  return {
    then() {
      throw new Error("This is no promise");
    },
  };
}

/** Something of which nobody can ask whether it is a promise. */
function unreadable(): PromiseLike<never> {
  return Object.defineProperty({}, "then", {
    get() {
      throw new Error("This cannot be read");
    },
  }) as PromiseLike<never>;
}

const CARELESS = {
  "rejects": () => Promise.reject(new Error("The listener is broken")),
  "throws": () => {
    throw new Error("The listener is broken");
  },
  "gives a promise that throws": throwing,
  "gives something of which 'then' cannot be read": unreadable,
} satisfies Record<string, () => unknown>;

for (const [what, onEvent] of Object.entries(CARELESS)) {
  live(`A listener of events that ${what} disturbs neither calls nor requests`, async ({ url, queue }) => {
    using log = consoleErrors();
    await using server = await RpcServer.connect(url, { onEvent });
    await server.serve(texts(queue), (request) => {
      if (request === "bad") throw new Error("The handler is broken");
      return request;
    });
    await using client = await connectClient(url, { onEvent });
    assertEquals((await failure(client.call(texts(queue), "bad"))).code, "internal");
    await publishRaw(url, queue, "no reply_to");
    assertEquals(await client.call(texts(queue), "good"), "good");
    await waitFor("it is logged", () => log.calls.length > 2);
  });

  live(`A handler that ${what} gives its caller internal, and the server lives on`, async ({ url, queue }) => {
    const served = procedure({ queue, queueType: "classic", request: text(), reply: json() });
    await using _server = await startServer(url, served, (request) => request === "bad" ? onEvent() : request);
    await using client = await connectClient(url);
    const error = await failure(client.call(served, "bad"));
    assertEquals([error.code, error.outcome], ["internal", "executed"]);
    assertEquals(await client.call(served, "good"), "good");
  });
}

live("An error reply of two megabytes is data_loss", async ({ url, queue }) => {
  const error = { code: "not_found", message: "No", outcome: "executed", details: "x".repeat(2_000_000) };
  await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    if (message.content.length === 0) reply(JSON.stringify(error), { type: "rpc.error" });
    else reply("alive");
  });
  await using client = await connectClient(url);
  const { code, outcome, details } = await failure(client.call(texts(queue), ""));
  assertEquals([code, outcome, details], ["data_loss", "unknown", undefined]);
  assertEquals(await client.call(texts(queue), "a"), "alive");
});

live("An error whose text is a megabyte long reaches the caller shortened", async ({ url, queue }) => {
  await using _server = await plainServer(url, queue, ({ reply, ack }) => {
    ack();
    const error = { code: "not_found", message: "x".repeat(900_000), outcome: "executed", id: "y".repeat(10_000) };
    reply(JSON.stringify(error), { type: "rpc.error" });
  });
  await using client = await connectClient(url);
  const error = await failure(client.call(texts(queue), ""));
  assertEquals(error.code, "not_found");
  assert(error.message.length < 10_000 && (error.id ?? "").length < 1_000);
});
