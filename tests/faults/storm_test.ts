import { assert, assertEquals, assertLess } from "@std/assert";
import { RpcClient, RpcServer } from "../../lib/rpc.ts";
import { answers, Broker } from "../support/broker.ts";
import { double } from "../support/lab_server.ts";
import { permitted } from "../support/lab.ts";
import { queueInfo, waitFor } from "../support/live.ts";

const CLIENTS = 100;
const SERVERS = 10;

/** How wide a bar of the chart is, in ms. */
const STEP = 250;

/** `0 ms: 12, 250 ms: 31, ...` */
function spread(times: readonly number[]): string {
  const bars: string[] = [];
  for (let from = 0; from <= Math.max(...times); from += STEP) {
    bars.push(`${from} ms: ${times.filter((time) => time >= from && time < from + STEP).length}`);
  }
  return bars.join(", ");
}

Deno.test({
  name: `${CLIENTS} clients and ${SERVERS} servers are back within 5 s of a broker's restart, spread over time`,
  ignore: !permitted,
  fn: async () => {
    await using broker = await Broker.start();
    await using stack = new AsyncDisposableStack();
    const called = double(`lab.${crypto.randomUUID()}`, { queueType: "quorum", idempotent: true });
    const connects: number[] = [];
    const onEvent = ({ type }: { readonly type: string }): void => {
      if (type === "connected") connects.push(performance.now());
    };
    for (let index = 0; index < SERVERS; index++) {
      const server = stack.use(await RpcServer.connect(broker.url, { onEvent }));
      await server.serve(called, (n) => 2 * n);
    }
    const clients: RpcClient[] = [];
    for (let index = 0; index < CLIENTS; index++) {
      clients.push(stack.use(await RpcClient.connect(broker.url, { onEvent })));
    }
    const callAll = (): Promise<number[]> => Promise.all(clients.map((client, n) => client.call(called, n)));
    const doubled = clients.map((_, n) => 2 * n);
    assertEquals(await callAll(), doubled);

    await broker.stop();
    connects.length = 0;
    // Each makes a call while there is no broker, so that each is back when its call ends.
    const ended: number[] = [];
    const calls = Promise.all(clients.map(async (client, n) => {
      assertEquals(await client.call(called, n), 2 * n);
      ended.push(performance.now());
    }));
    let up = 0;
    const listening = (async () => {
      while (!await answers(broker.url)) await new Promise((resolve) => setTimeout(resolve, 5));
      up = performance.now();
    })();
    await Promise.all([broker.startAgain(), listening]);
    await calls;
    await waitFor(
      "every server consumes",
      async () => (await queueInfo(broker.url, called.queue))?.consumers === SERVERS,
    );
    const back = performance.now() - up;
    assertEquals(connects.length, CLIENTS + SERVERS);
    const times = connects.map((time) => Math.max(0, time - up));
    const last = Math.max(...ended) - up;
    console.log(
      `${CLIENTS} clients and ${SERVERS} servers after a restart: last call ended ${(last / 1000).toFixed(2)} s, all ` +
        `consumers were back ${(back / 1000).toFixed(2)} s after the broker answered; connects: ${spread(times)}`,
    );
    assertLess(last, 5_000);
    assertLess(back, 5_000);
    // With full jitter over 3 s, no quarter of a second gets the half of them.
    const most = Math.max(...times.map((from) => times.filter((time) => time >= from && time < from + STEP).length));
    assert(most < (CLIENTS + SERVERS) / 2, `${most} connected within ${STEP} ms`);
    assertEquals(await callAll(), doubled);
  },
});
