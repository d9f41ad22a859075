/**
 * A broker that answers heartbeats, and does not answer what it is asked: nothing waits for it without end.
 *
 * @module
 */

import { assertEquals, assertLess } from "@std/assert";
import { Buffer } from "node:buffer";
import { RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { deafBroker } from "../support/deaf_broker.ts";
import { live, waitFor, withChannel } from "../support/live.ts";
import { failure, startServer, texts } from "../support/pair.ts";
import { portOf, through } from "../support/relay.ts";

const ASKED = { "channel.open": "20.10", "queue.declare": "50.10", "basic.consume": "60.20" } as const;
/** In ms. */
const OPTIONS = { connectTimeout: 300, onEvent: () => {} } as const;
/** Longer than everything may take, in ms; in half a minute calls would end by themselves. */
const LONG = 4_000;

/** What a promise gives, unless that takes too long. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) =>
    timer = setTimeout(() => reject(new Error("It takes too long")), LONG)
  );
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

for (const [name, method] of Object.entries(ASKED)) {
  live(`RpcClient.connect() ends with unavailable where the broker does not answer ${name}`, async ({ url }) => {
    await using broker = deafBroker(portOf(url));
    broker.ignore(method);
    const { code, outcome } = await soon(failure(RpcClient.connect(through(url, broker.port), OPTIONS)));
    assertEquals([code, outcome], ["unavailable", "not_executed"]);
  });

  live(`RpcServer.serve() ends with unavailable where the broker does not answer ${name}`, async ({ url, queue }) => {
    await using broker = deafBroker(portOf(url));
    await using server = await RpcServer.connect(through(url, broker.port), OPTIONS);
    broker.ignore(method);
    const { code } = await soon(failure(server.serve(texts(queue), (request) => request)));
    assertEquals(code, "unavailable");
  });
}

const CONNECTS = [
  ["RpcClient", "channel.open", RpcClient],
  ["RpcClient", "queue.declare", RpcClient],
  ["RpcClient", "basic.consume", RpcClient],
  ["RpcServer", "channel.open", RpcServer],
] as const;

for (const [of, name, { connect }] of CONNECTS) {
  live(`${of}.connect() ends with canceled at once where the broker does not answer ${name}`, async ({ url }) => {
    await using broker = deafBroker(portOf(url));
    broker.ignore(ASKED[name]);
    const canceler = new AbortController();
    const connecting = failure(connect(through(url, broker.port), { signal: canceler.signal, onEvent: () => {} }));
    await waitFor("the broker is asked", () => broker.ignored > 0);
    // It does not answer that either.
    broker.ignore("10.50");
    const began = performance.now();
    const reason = new Error("enough");
    canceler.abort(reason);
    const { code, outcome, cause } = await soon(connecting);
    assertEquals([code, outcome, cause], ["canceled", "not_executed", reason]);
    assertLess(performance.now() - began, 500);
    await waitFor("the connection is closed", () => broker.connections === 0);
  });
}

for (const name of ["channel.open", "queue.declare"] as const) {
  live(`callerAlive() gives true where the broker does not answer ${name}`, async ({ url, queue }) => {
    await using broker = deafBroker(portOf(url));
    const asked = Promise.withResolvers<boolean>();
    const options = { ...OPTIONS, drainTimeout: 100 };
    await using _server = await startServer(through(url, broker.port), texts(queue), async (request, context) => {
      broker.ignore(ASKED[name]);
      asked.resolve(await context.callerAlive());
      return request;
    }, options);
    await withChannel(url, async (channel) => {
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo, correlationId: "1" });
      assertEquals(await soon(asked.promise), true);
    });
  });

  live(`A request whose reply_to must be asked for holds up no other where ${name} is not answered`, async (use) => {
    const { url, queue } = use;
    await using broker = deafBroker(portOf(url));
    const options = { ...OPTIONS, drainTimeout: 100, prefetch: 100 };
    await using server = await startServer(through(url, broker.port), texts(queue), (request) => request, options);
    broker.ignore(ASKED[name]);
    await withChannel(url, async (channel) => {
      const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
      for (let n = 0; n < 50; n++) {
        channel.sendToQueue(queue, Buffer.from("Ada"), { replyTo: `${queue}.${n}`, correlationId: `${n}` });
      }
      channel.sendToQueue(queue, Buffer.from("Bob"), { replyTo, correlationId: "good" });
      await waitFor("the good one is answered", () => channel.get(replyTo, { noAck: true }));
      await server.close();
      await waitFor("none of the others is lost", async () => (await channel.checkQueue(queue)).messageCount === 50);
    });
  });
}

live("A call ends at its deadline where the broker does not answer what it is asked then", async ({ url, queue }) => {
  await using broker = deafBroker(portOf(url));
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  await using client = await RpcClient.connect(through(url, broker.port), { ...OPTIONS, drainTimeout: 100 });
  broker.ignore(...Object.values(ASKED));
  const began = performance.now();
  const { code } = await soon(failure(client.call(texts(queue), "", { timeout: 200 })));
  assertEquals(code, "deadline_exceeded");
  assertLess(performance.now() - began, 1_000);
  const error: unknown = await soon(failure(client.call(texts(queue), "", { timeout: 500, failFast: true })));
  assertEquals(error instanceof RpcError && error.outcome, "not_executed");
});
