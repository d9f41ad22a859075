import { assert, assertEquals, assertFalse, assertMatch, assertNotEquals } from "@std/assert";
import { bytes, type Codec, integer, json, type Procedure, procedure, RpcError, text } from "../../lib/rpc.ts";
import { live, plainCall } from "../support/live.ts";
import { connectClient, failure, pair, startServer, texts, told } from "../support/pair.ts";
import { consoleErrors } from "../support/console_errors.ts";
import { tap } from "../support/tap.ts";
import { plainServer } from "../support/plain_server.ts";

live("RpcClient.call() rejects with the code, message and details that the handler threw", async ({ url, queue }) => {
  const details = { user: { id: 7 }, tried: ["a", "b"], more: null };
  await using p = await pair(url, texts(queue), () => {
    throw new RpcError("not_found", "Cannot find user 7", { details, cause: new Error("secret") });
  });
  const error = await failure(p.client.call(texts(queue), ""));
  assertEquals([error.code, error.message, error.outcome], ["not_found", "Cannot find user 7", "executed"]);
  assertEquals(error.details, details);
  assertEquals(error.id, undefined);
});

live("RpcClient.call() rejects with executed, whatever outcome the handler's error claims", async ({ url, queue }) => {
  for (const outcome of ["not_executed", "unknown"] as const) {
    await using p = await pair(url, texts(queue), () => Promise.reject(new RpcError("aborted", "No", { outcome })));
    const error = await failure(p.client.call(texts(queue), ""));
    assertEquals([error.code, error.outcome], ["aborted", "executed"]);
  }
});

live("RpcClient.call() rejects with internal, executed when the handler's own call fails", async ({ url, queue }) => {
  const missing = texts(`${queue}.missing`);
  await using inner = await connectClient(url);
  await using p = await pair(url, texts(queue), (request) => inner.call(missing, request));
  const error = await failure(p.client.call(texts(queue), ""));
  assertEquals([error.code, error.outcome], ["internal", "executed"]);
  // How the handler's own call ended is the server's to know.
  const cause = told(p.server, "handler_error").map(({ error }) => error);
  assertEquals(cause.map((error) => error instanceof RpcError && [error.code, error.outcome]), [
    ["unavailable", "not_executed"],
  ]);
});

for (
  const [what, thrown] of [
    ["an Error", new Error("secret")],
    ["a subclass of Error", new SyntaxError("secret")],
    ["a string", "secret"],
    ["undefined", undefined],
    ["null", null],
    ["what looks like an RpcError", { code: "not_found", message: "secret", outcome: "executed" }],
  ] as const
) {
  live(`RpcClient.call() rejects with internal and an id when the handler throws ${what}`, async ({ url, queue }) => {
    for (const asynchronous of [false, true]) {
      await using p = await pair(url, texts(queue), () => {
        if (asynchronous) return Promise.reject(thrown);
        throw thrown;
      });
      const error = await failure(p.client.call(texts(queue), ""));
      assertEquals([error.code, error.outcome], ["internal", "executed"]);
      const [event] = told(p.server, "handler_error");
      assert(event !== undefined && error.id !== undefined);
      assertEquals([event.queue, event.id, event.error], [queue, error.id, thrown]);
      assert(error.message.includes(error.id), error.message);
      assertFalse(/secret/.test(Deno.inspect(error)), Deno.inspect(error));
    }
  });
}

live("Two errors that are kept to the server have two ids", async ({ url, queue }) => {
  await using p = await pair(url, texts(queue), () => {
    throw new Error("secret");
  });
  const first = await failure(p.client.call(texts(queue), ""));
  const second = await failure(p.client.call(texts(queue), ""));
  assertNotEquals(first.id, second.id);
});

live("A server without onEvent logs the id of an unknown exception beside its stack", async ({ url, queue }) => {
  using log = consoleErrors();
  const options = { onEvent: undefined } as unknown as { onEvent: () => void };
  await using _server = await startServer(url, texts(queue), function failing(): string {
    throw new Error("the reason");
  }, options);
  await using client = await connectClient(url);
  const { id } = await failure(client.call(texts(queue), ""));
  assertEquals(log.lines.length, 1);
  assertMatch(
    log.lines[0] ?? "",
    new RegExp(`ERROR Handler threw Error: the reason .*error_id=${id}\\n    at .*failing`),
  );
});

for (
  const [what, details] of [
    ["a bigint", { n: 1n }],
    [
      "a cycle",
      (() => {
        const cycle: Record<string, unknown> = {};
        cycle["self"] = cycle;
        return cycle;
      })(),
    ],
    ["2 MiB of text", "x".repeat(2 * 1024 * 1024)],
    ["a toJSON that throws", { toJSON: () => assertFalse(true) }],
  ] as const
) {
  live(`An error whose details are ${what} arrives without them`, async ({ url, queue }) => {
    await using p = await pair(url, texts(queue), () => {
      throw new RpcError("not_found", "Cannot find it", { details });
    });
    const error = await failure(p.client.call(texts(queue), ""));
    assertEquals([error.code, error.message, error.outcome], ["not_found", "Cannot find it", "executed"]);
    assertEquals(error.details, undefined);
  });
}

live("RpcClient.call() rejects with internal when the handler's result has no encoding", async ({ url, queue }) => {
  const percent = procedure({ queue, queueType: "classic", request: integer(), reply: integer({ min: 0, max: 100 }) });
  await using p = await pair(url, percent, (n) => n);
  assertEquals(await p.client.call(percent, 100), 100);
  const error = await failure(p.client.call(percent, 101));
  assertEquals([error.code, error.outcome], ["internal", "executed"]);
  assertEquals(told(p.server, "handler_error").map(({ id }) => id), [error.id]);
});

live("RpcClient.call() rejects with internal when the result is over the size limit", async ({ url, queue }) => {
  const short = procedure({ queue, queueType: "classic", request: text(), reply: text({ maxBytes: 4 }) });
  await using p = await pair(url, short, (request) => request);
  assertEquals(await p.client.call(short, "four"), "four");
  const error = await failure(p.client.call(short, "fives"));
  assertEquals([error.code, error.outcome], ["internal", "executed"]);
});

live("RpcClient.call() rejects with data_loss when the reply cannot be decoded, and lives on", async (live) => {
  const { url, queue } = live;
  const called = procedure({ queue, queueType: "classic", request: text(), reply: integer() });
  await using server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    reply(message.content.toString());
  });
  await using client = await connectClient(url);
  for (const garbage of ["", "x", "1.5", "{}"]) {
    const error = await failure(client.call(called, garbage));
    assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
    assert(error.message.includes(queue), error.message);
  }
  assertEquals(await client.call(called, "42"), 42);
  assertEquals([client.pending, server.received.length], [0, 5]);
});

live("RpcClient.call() rejects with data_loss before it decodes a reply over its limit", async ({ url, queue }) => {
  let decoded = 0;
  const small: Codec<Uint8Array> = {
    ...bytes({ maxBytes: 8 }),
    decode(body) {
      decoded++;
      return body;
    },
  };
  const called = procedure({ queue, queueType: "classic", request: text(), reply: small });
  await using _server = await plainServer(url, queue, ({ message, reply, ack }) => {
    ack();
    reply("x".repeat(Number(message.content.toString())));
  });
  await using client = await connectClient(url);
  assertEquals((await client.call(called, "8")).length, 8);
  const error = await failure(client.call(called, "9"));
  assertEquals([error.code, error.outcome, decoded], ["data_loss", "executed", 1]);
  assertMatch(error.message, /9 bytes, at most 8/);
});

live("RpcClient.call() rejects with data_loss when the reply's codec throws anything", async ({ url, queue }) => {
  const broken: Codec<string> = {
    ...text(),
    decode() {
      throw new SyntaxError("Cannot read it");
    },
  };
  const called = procedure({ queue, queueType: "classic", request: text(), reply: broken });
  await using _server = await startServer(url, texts(queue), (request) => request);
  await using client = await connectClient(url);
  const error = await failure(client.call(called, ""));
  assertEquals([error.code, error.outcome], ["data_loss", "executed"]);
  assert(error.cause instanceof SyntaxError);
});

live("RpcClient.call() sends nothing when the request has no encoding", async ({ url, queue }) => {
  const called = procedure({ queue, request: integer({ min: 0, max: 9 }), reply: text() });
  const unencodable: Codec<string> = {
    ...text(),
    encode() {
      throw new SyntaxError("Cannot write it");
    },
  };
  await using link = tap(url);
  await using client = await connectClient(link.url);
  link.methods.length = 0;
  const errors = [
    await failure(client.call(called, 10)),
    await failure(client.call(called, 1.5)),
    await failure(client.call(procedure({ queue, request: text({ maxBytes: 4 }), reply: text() }), "fives")),
    await failure(client.call(procedure({ queue, request: json(), reply: text() }), undefined)),
    await failure(client.call(procedure({ queue, request: unencodable, reply: text() }), "")),
  ];
  assertEquals(
    errors.map(({ code, outcome }) => [code, outcome]),
    ["out_of_range", "invalid_argument", "out_of_range", "invalid_argument", "invalid_argument"].map((code) => {
      return [code, "not_executed"];
    }),
  );
  assertMatch(errors[0]?.message ?? "", /10.*between 0 and 9/);
  assertMatch(errors[2]?.message ?? "", /5 bytes, at most 4/);
  assertEquals([link.methods, client.pending], [[], 0]);
});

/** Calls a server with a request that its own client would not send. */
async function refusal(
  live: { url: string; queue: string },
  served: Procedure<never, unknown, string, string>,
  body: string | Uint8Array,
): Promise<{ error: unknown; runs: number }> {
  let runs = 0;
  await using _server = await startServer(live.url, served, () => {
    runs++;
    return "";
  });
  const { content, properties } = await plainCall(live.url, live.queue, body);
  assertEquals(properties.type, "rpc.error");
  return { error: JSON.parse(content.toString()), runs };
}

for (
  const [what, body, code, pattern] of [
    ["no number", "abc", "invalid_argument", /"abc".*plain decimal integer/],
    ["empty", "", "invalid_argument", /""/],
    ["not UTF-8", Uint8Array.from([0xff, 0xfe]), "invalid_argument", /UTF-8/],
    ["below its bound", "-1", "out_of_range", /-1.*between 0 and 9/],
    ["above its bound", "10", "out_of_range", /10.*between 0 and 9/],
    ["over its size limit", "1".repeat(1_000_000), "out_of_range", /1000000 bytes, at most 32/],
  ] as const
) {
  live(`A caller whose request is ${what} gets ${code}, and the handler does not run`, async (live) => {
    const digit = procedure({
      queue: live.queue,
      queueType: "classic",
      request: integer({ min: 0, max: 9 }),
      reply: text(),
    });
    const { error, runs } = await refusal(live, digit, body);
    const { message, ...rest } = error as { message: string };
    assertEquals(rest, {
      code,
      outcome: "not_executed",
      ...(/between/.test(message) ? { details: { min: 0, max: 9 } } : {}),
    });
    assertMatch(message, pattern);
    assertEquals(runs, 0);
  });
}

live("A caller gets internal, not_executed when the request's codec throws anything", async (live) => {
  const broken: Codec<string> = {
    ...text(),
    decode() {
      throw new Error("secret");
    },
  };
  const served = procedure({ queue: live.queue, queueType: "classic", request: broken, reply: text() });
  const { error, runs } = await refusal(live, served, "");
  const { code, outcome, id } = error as Record<string, unknown>;
  assertEquals([code, outcome, typeof id, runs], ["internal", "not_executed", "string", 0]);
  assertFalse(JSON.stringify(error).includes("secret"));
});
