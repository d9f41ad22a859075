/**
 * Host names with several addresses. The real resolver is not asked: names with several addresses are not on every
 * machine.
 *
 * @module
 */

import { assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { AmqpLink } from "../../lib/connection/amqp_link.ts";
import { type LinkOptions, OPEN_LINK } from "../../lib/connection/link.ts";
import { RpcClient } from "../../lib/rpc.ts";
import { live } from "../support/live.ts";
import { failure, startServer, texts } from "../support/pair.ts";
import { portOf, relay } from "../support/relay.ts";

/** In ms. */
const TIMEOUT = 500;

/** Options of a client for which any name has these addresses. */
function resolving(given: () => readonly string[]): LinkOptions {
  const resolve = () => Promise.resolve(given().map((address) => ({ address, family: 4 })));
  return {
    connectTimeout: TIMEOUT,
    [OPEN_LINK]: (host, options, listener) => AmqpLink.open(host, { ...options, resolve }, listener),
  };
}

/** Accepts connections and says nothing. */
function silence(hostname: string, port = 0): Disposable & { readonly port: number; readonly accepted: number } {
  const listener = Deno.listen({ hostname, port });
  const sockets: Deno.TcpConn[] = [];
  (async () => {
    for await (const socket of listener) sockets.push(socket);
  })();
  return {
    port: listener.addr.port,
    get accepted() {
      return sockets.length;
    },
    [Symbol.dispose]() {
      listener.close();
      for (const socket of sockets) socket.close();
    },
  };
}

live("The second address of a name is used where the first one accepts and says nothing", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue, true), (text) => `${text}!`);
  await using link = relay(portOf(url));
  using deaf = silence("127.0.0.2", link.port);
  const began = performance.now();
  const options = resolving(() => ["127.0.0.2", "127.0.0.1"]);
  await using client = await RpcClient.connect(`amqp://broker.test:${link.port}`, { ...options, onEvent: () => {} });
  assertLess(performance.now() - began, 2 * TIMEOUT + 1_000);
  assertEquals([await client.call(texts(queue, true), "Ada"), deaf.accepted], ["Ada!", 1]);
  // The one that was silent is avoided now.
  link.cut();
  assertEquals([await client.call(texts(queue, true), "Bob", { timeout: 5_000 }), deaf.accepted], ["Bob!", 1]);
});

live("Where all addresses of a name are silent, the error names each, and ends in time", async () => {
  using first = silence("127.0.0.1");
  const { port } = first;
  using _second = silence("127.0.0.2", port);
  const options = resolving(() => ["127.0.0.1", "127.0.0.2"]);
  const began = performance.now();
  const { code, message } = await failure(RpcClient.connect(`amqp://broker.test:${port}`, options));
  assertEquals(code, "unavailable");
  for (const address of ["127.0.0.1", "127.0.0.2"]) {
    assertStringIncludes(message, `broker.test:${port} (${address}): no answer within ${TIMEOUT} ms`);
  }
  assertLess(performance.now() - began, 2 * TIMEOUT + 1_000);
});

live("After a loss, a client follows a name that has moved", async ({ url, queue }) => {
  await using _server = await startServer(url, texts(queue, true), (text) => `${text}!`);
  await using before = relay(portOf(url));
  await using after = relay(portOf(url), before.port, "127.0.0.2");
  let address = "127.0.0.1";
  const target = `amqp://broker.test:${before.port}`;
  const options = { ...resolving(() => [address, "127.0.0.3"]), backoff: { min: 1, max: 50 } };
  await using client = await RpcClient.connect(target, { ...options, onEvent: () => {} });
  assertEquals(await client.call(texts(queue, true), "Ada"), "Ada!");
  address = "127.0.0.2";
  await before.close();
  assertEquals([await client.call(texts(queue, true), "Bob", { timeout: 5_000 }), after.accepted], ["Bob!", 1]);
});
