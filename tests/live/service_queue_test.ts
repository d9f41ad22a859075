import { assert, assertEquals } from "@std/assert";
import { integer, method, RpcClient, RpcServer, service } from "../../lib/rpc.ts";
import { lab } from "../support/lab.ts";

const test = lab();

const NAMES = Array.from({ length: 20 }, (_, n) => `plus${n}`);

test("Twenty methods have one queue, one consumer and one channel at the broker", async ({ broker, url, queue }) => {
  async function list(what: string, ...columns: string[]): Promise<readonly Record<string, unknown>[]> {
    return JSON.parse(await broker.ctl(what, "--formatter", "json", ...columns));
  }
  const add = method({ request: integer(), reply: integer(), idempotent: true });
  const maths = service({ queue, queueType: "classic", methods: Object.fromEntries(NAMES.map((name) => [name, add])) });
  const handlers = NAMES.map((name, plus) => [name, (n: number) => n + plus] as const);

  await using server = await RpcServer.connect(url);
  const channelsBefore = await list("list_channels", "pid");
  await server.serve(maths, Object.fromEntries(handlers), { prefetch: 7 });

  // Besides the service's queue there is one of the server's own, for cancels, whatever it serves.
  const queues = await list("list_queues", "name", "consumers");
  assertEquals(queues.length, 2);
  assertEquals(queues.filter(({ name }) => name === queue), [{ name: queue, consumers: 1 }]);
  const consumers = await list("list_consumers", "queue_name", "prefetch_count");
  assertEquals(consumers.length, 2);
  const [consumer, ...more] = consumers.filter(({ queue_name }) => queue_name === queue);
  assertEquals([consumer?.["prefetch_count"], more], [7, []]);
  // The channel of the consumer, and that of the cancels.
  assertEquals((await list("list_channels", "pid")).length, channelsBefore.length + 2);

  await using client = await RpcClient.connect(url);
  const api = client.of(maths);
  const results = await Promise.all(NAMES.map((name) => {
    const call = api[name];
    assert(call !== undefined);
    return call(100);
  }));
  assertEquals(results, NAMES.map((_, plus) => 100 + plus));
  // A client has one queue, for its replies.
  assertEquals((await list("list_queues", "name")).length, 3);
  assertEquals((await list("list_consumers", "queue_name")).length, 3);
});
