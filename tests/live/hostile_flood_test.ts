import { assert, assertEquals, assertLess } from "@std/assert";
import { frameTransport } from "../../lib/connection/frame_transport.ts";
import { integer, json, procedure, RpcServer, type ServerEvent, text } from "../../lib/rpc.ts";
import { oddAddress, oddBody, oddId, oddProperties, refusedProperties } from "../support/hostile.ts";
import { deleteQueue, type Live, live, queueInfo, waitFor } from "../support/live.ts";
import { memoryInUse } from "../support/memory.ts";
import { connectClient, heard } from "../support/pair.ts";
import { connectPeer, publishAlone, toQueue } from "../support/peer.ts";
import { Random } from "../support/random.ts";

const MESSAGES = 10_000;
/** How many are unanswered at once, at the most. */
const WINDOW = 500;
/** In bytes; the bodies are several times as much. */
const MAX_GROWTH = 16 * 1024 * 1024;

async function flood({ url, queue }: Live): Promise<void> {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  console.log(`Seed ${seed}`);
  const random = new Random(seed);
  const queues = [`${queue}.text`, `${queue}.json`, `${queue}.integer`] as const;
  await using rest = new AsyncDisposableStack();
  for (const name of queues) rest.defer(() => deleteQueue(url, name));
  // Not the events themselves: a syntax error keeps the text that it is about.
  const events: ServerEvent["type"][] = [];
  const server = rest.use(await RpcServer.connect(url, { onEvent: ({ type }) => events.push(type) }));
  const classic = { queueType: "classic" } as const;
  const texts = procedure({ queue: queues[0], ...classic, request: text(), reply: text() });
  const anything = procedure({ queue: queues[1], ...classic, request: json(), reply: json() });
  const integers = procedure({ queue: queues[2], ...classic, request: integer(), reply: integer() });
  await server.serve(texts, (value) => value, { prefetch: 100 });
  await server.serve(anything, (value) => value, { prefetch: 100 });
  await server.serve(integers, (value) => value, { prefetch: 100 });
  const client = rest.use(await connectClient(url));

  const due = new Map<string, number>();
  let strange = 0;
  let answered = 0;
  const peer = rest.use(
    await connectPeer(url, ({ properties: { correlationId = "" } }) => {
      const left = due.get(correlationId) ?? 0;
      if (left === 0) strange++;
      else if (left === 1) due.delete(correlationId);
      else due.set(correlationId, left - 1);
      answered++;
    }),
  );
  const before = await memoryInUse();
  let asked = 0;
  let lost = 0;
  let refused = 0;
  let bytes = 0;

  async function harm(): Promise<void> {
    for (let n = 0; n < MESSAGES; n++) {
      const body = oddBody(random);
      const target = random.pick(queues);
      bytes += body.length;
      if (random.chance(2)) {
        const properties = { replyTo: peer.queue, ...refusedProperties(random), correlationId: `alone ${n}` };
        due.set(properties.correlationId, 1);
        // What this broker takes all the same is answered, unless it expires; what it refuses is not.
        if (await publishAlone(url, toQueue(target, body, properties)) === undefined) asked++;
        else due.delete(properties.correlationId), refused++;
        continue;
      }
      const answerable = random.chance(60);
      const replyTo = answerable ? peer.queue : oddAddress(random, queues);
      const correlationId = random.chance(2) ? "\xff".repeat(255) : oddId(random, n);
      const expiration = answerable ? undefined : random.pick(["0", "1", "4294967295", undefined]);
      peer.publish(toQueue(target, body, { ...oddProperties(random), replyTo, correlationId, expiration }));
      if (!answerable) lost++;
      else {
        asked++;
        due.set(correlationId, 1 + (due.get(correlationId) ?? 0));
      }
      if (asked - answered > WINDOW) await waitFor("replies come", () => asked - answered < WINDOW / 2, 30_000);
      else if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
  }
  let over = false;
  let calls = 0;
  async function call(): Promise<void> {
    while (!over) {
      assertEquals(await client.call(texts, `${calls}`, { timeout: 5_000 }), `${calls}`);
      assertEquals(await client.call(integers, calls, { timeout: 5_000 }), calls);
      calls += 2;
    }
  }
  await Promise.all([call(), harm().finally(() => over = true)]);
  // Those with an answer of their own.
  await waitFor("all are answered", () => due.size === 0, 30_000).catch((error) => {
    throw new Error(`${due.size} of ${asked} were not answered`, { cause: error });
  });
  for (const name of queues) {
    await waitFor("nothing is left", async () => (await queueInfo(url, name))?.messages === 0);
  }
  await waitFor("the server is idle", () => server.pending === 0);
  const rejected = events.filter((type) => type === "rejected_request").length;
  const grown = await memoryInUse() - before;
  console.log(
    `${answered} answered, ${rejected} rejected of ${lost} without an address, ${refused} refused by the broker, ` +
      `${calls} good calls, ${Math.round(bytes / 2 ** 20)} MiB of bodies, heap ${Math.round(grown / 2 ** 20)} MiB more`,
  );
  assertEquals(strange, 0);
  assertEquals(events.filter((type) => type === "disconnected" || type === "channel_lost"), []);
  assertEquals([heard(client, "disconnected"), heard(client, "channel_lost")], [[], []]);
  assert(rejected > 0 && calls > 20);
  assertLess(2 * MAX_GROWTH, bytes);
  assertLess(grown, MAX_GROWTH);
  assertEquals(({} as { polluted?: unknown }).polluted, undefined);
}

// amqplib alone cannot send or receive such bytes.
if (frameTransport.enabled) live("10,000 hostile messages are answered or refused, and disturb nobody", flood);
