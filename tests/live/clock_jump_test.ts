/**
 * A clock that is set while calls run, by hours, forwards and backwards: nothing waits by it.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { live, waitFor } from "../support/live.ts";
import { connectClient, failure, heard, startServer, texts, told } from "../support/pair.ts";
import { sleep } from "../support/handlers.ts";
import { portOf, relay, through } from "../support/relay.ts";

const HOUR = 3_600_000;

/** A clock that can be set. */
function settable(): Disposable & { set(offset: number): void } {
  const { now } = Date;
  let offset = 0;
  Date.now = () => now() + offset;
  return {
    set: (to) => offset = to,
    [Symbol.dispose]: () => void (Date.now = now),
  };
}

for (const [name, jump] of [["forwards", 5 * HOUR], ["backwards", -5 * HOUR]] as const) {
  live(`Calls end as they would if the clock is set ${name} while they run`, async ({ url, queue }) => {
    using clock = settable();
    const deadlines: number[] = [];
    await using client = await connectClient(url);
    const started = Promise.withResolvers<void>();
    let running = 0;
    await using _inner = await startServer(url, texts(`${queue}.inner`), async (text, { signal }) => {
      await sleep(100, signal);
      return `${text}!`;
    });
    await using server = await startServer(url, texts(queue), async (text, context) => {
      if (++running === 3) started.resolve();
      if (text === "hang") return await sleep(60_000, context.signal).then(() => text);
      await sleep(400, context.signal);
      deadlines.push((context.deadline?.getTime() ?? 0) - Date.now());
      if (text === "nested") return await client.call(texts(`${queue}.inner`), text, { parent: context });
      return text;
    });
    const began = performance.now();
    const hanging = failure(client.call(texts(queue), "hang", { timeout: 800 }));
    const slow = client.call(texts(queue), "slow", { timeout: 5_000 });
    const nested = client.call(texts(queue), "nested", { timeout: 5_000 });
    await started.promise;
    clock.set(jump);
    assertEquals(await Promise.all([slow, nested]), ["slow", "nested!"]);
    const { code } = await hanging;
    const took = performance.now() - began;
    assertEquals(code, "deadline_exceeded");
    assertGreaterOrEqual(took, 790);
    assertLess(took, 3_000);
    for (const left of deadlines) assertAlmostEquals(left, 4_600, 1_000);
    await waitFor("the hanging request ends", () => server.pending === 0);
    assertEquals([told(server, "disconnected"), told(server, "loop_blocked")], [[], []]);
    assertEquals(heard(client, "disconnected"), []);
  });

  live(`A lost connection comes back in time if the clock is set ${name}`, async ({ url, queue }) => {
    using clock = settable();
    await using _server = await startServer(url, texts(queue), (text) => text);
    await using link = relay(portOf(url));
    await using client = await connectClient(through(url, link.port));
    assertEquals(await client.call(texts(queue), "Ada"), "Ada");
    const began = performance.now();
    link.cut();
    await waitFor("it is lost", () => heard(client, "disconnected").length === 1);
    clock.set(jump);
    assertEquals(await client.call(texts(queue), "Bob", { timeout: 5_000 }), "Bob");
    assertLess(performance.now() - began, 2_000);
    assert(client.status.state === "connected");
  });
}
