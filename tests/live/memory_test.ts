/**
 * Keeps the stand-in of `lib/testing` honest: whatever happens over memory happens over a broker, too.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { RpcClient, RpcServer } from "../../lib/rpc.ts";
import { deleteQueue, live } from "../support/live.ts";
import { portOf, relay, through } from "../support/relay.ts";
import { SCENARIOS } from "../support/scenarios/all.ts";
import { tellInMemory } from "../support/scenarios/in_memory.ts";
import { tell } from "../support/scenarios/scenario.ts";

for (const scenario of SCENARIOS) {
  live(`over a broker as in memory: ${scenario.name}`, async ({ url, queue }) => {
    const otherQueue = `${queue}.other`;
    await using _other = { [Symbol.asyncDispose]: () => deleteQueue(url, otherQueue) };
    const overBroker = await tell(scenario, async (wiring) => {
      await using opened = new AsyncDisposableStack();
      const link = opened.use(relay(portOf(url)));
      const backoff = { min: 1, max: 10 };
      const server = opened.use(await RpcServer.connect(through(url, link.port), { ...wiring.server, backoff }));
      const client = opened.use(await RpcClient.connect(through(url, link.port), { ...wiring.client, backoff }));
      const all = opened.move();
      const dispose = (): Promise<void> => all.disposeAsync();
      return { client, server, queue, otherQueue, disconnect: () => link.cut(), [Symbol.asyncDispose]: dispose };
    });
    assertEquals(overBroker.result, scenario.expected);
    assertEquals(await tellInMemory(scenario), overBroker);
  });
}
