import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Headers, integer, method, type RequestContext, RpcServer, service } from "../../lib/rpc.ts";
import type { Delivery } from "../../lib/wire/message.ts";
import { live, waitFor, withChannel } from "../support/live.ts";
import { connectClient, heard } from "../support/pair.ts";
import { connectPeer, toQueue } from "../support/peer.ts";
import { portOf, relay, through } from "../support/relay.ts";

const HEADERS: Headers = { "tenant": "acme", "a!#$%&'*+.^_`|~-9": " ~", "empty": "", "long": "x".repeat(300) };

function maths(queue: string, queueType: "classic" | "quorum") {
  const double = method({ request: integer(), reply: integer(), idempotent: true });
  return service({ queue, queueType, methods: { double } });
}

/** The headers, as bytes, without the time of sending, which each attempt has of its own; RabbitMQ 4 changes the order. */
function bytesOf({ properties: { headers = new Uint8Array() } }: Delivery): string {
  const bytes = new TextDecoder("latin1").decode(headers);
  // The length of the name, the name, the type of the value, its length in 32 bits, and the value: digits.
  const [sentAt] = bytes.match(/.rpc-sent-at.....\d+/s) ?? [];
  assert(sentAt !== undefined);
  return bytes.replace(sentAt, "");
}

live("Headers are the same bytes in a request that is sent again, and in one that is redelivered", async ({
  url,
  queue,
}) => {
  await withChannel(url, (channel) => channel.assertQueue(queue, { durable: true }));
  const deliveries: Delivery[] = [];
  await using peer = await connectPeer(url, (delivery) => deliveries.push(delivery));
  await peer.channel.consume(queue, { noAck: false });
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  const calling = client.of(maths(queue, "classic")).double(21, { headers: HEADERS });
  await waitFor("the request has arrived", () => deliveries.length === 1);
  link.cut();
  const again = await waitFor("the request is sent again", () => deliveries[1]);
  peer.channel.nack(again.deliveryTag, true);
  const redelivered = await waitFor("the request is redelivered", () => deliveries[2]);
  const { correlationId, replyTo = "" } = redelivered.properties;
  peer.publish(toQueue(replyTo, "42", { correlationId }));
  assertEquals(await calling, 42);

  const [first] = deliveries;
  assertEquals(deliveries.map(({ redelivered }) => redelivered), [false, false, true]);
  for (const delivery of deliveries) {
    const { type, messageId } = delivery.properties;
    assertEquals([type, messageId, bytesOf(delivery)], [
      "double",
      first?.properties.messageId,
      first === undefined ? "" : bytesOf(first),
    ]);
  }
  assertStringIncludes(first === undefined ? "" : bytesOf(first), HEADERS["long"] ?? "no such header");
});

live("Another server reads the same headers again when the first is cut off", async ({ url, queue }) => {
  const served = maths(queue, "quorum");
  const seen: unknown[] = [];
  const note = (n: number, { headers, redelivered }: RequestContext): number => {
    seen.push([{ ...headers }, redelivered]);
    return 2 * n;
  };
  await using link = relay(portOf(url));
  await using first = await RpcServer.connect(through(url, link.port), { drainTimeout: 10, onEvent: () => {} });
  await first.serve(served, {
    double: (n, context) => {
      // Neither the reply nor the ack leaves the process, and it cannot connect again.
      link.stall();
      link.cut();
      return note(n, context);
    },
  }, { prefetch: 1 });
  await using client = await connectClient(url);
  const calling = client.of(served).double(21, { headers: HEADERS });
  await waitFor("the first server is cut off", () => seen.length === 1);
  await first.close();
  await using second = await RpcServer.connect(url);
  await second.serve(served, { double: note });
  assertEquals(await calling, 42);
  assertEquals(seen, [[HEADERS, false], [HEADERS, true]]);
});

live("A reply that is sent again has the same headers", async ({ url, queue }) => {
  await using link = relay(portOf(url));
  const options = { backoff: { min: 10, max: 100 }, onEvent: () => {} };
  await using server = await RpcServer.connect(through(url, link.port), options);
  let runs = 0;
  await server.serve(maths(queue, "quorum"), {
    double: (n, { replyHeaders }) => {
      Object.assign(replyHeaders, HEADERS, { "run": String(++runs) });
      if (runs === 1) link.cut();
      return 2 * n;
    },
  });
  await using client = await connectClient(url);
  const got: unknown[] = [];
  const onReplyHeaders = (headers: Headers): void => void got.push({ ...headers });
  assertEquals(await client.of(maths(queue, "quorum")).double(21, { onReplyHeaders }), 42);
  assertEquals(got, [{ ...HEADERS, run: String(runs) }]);
  assertEquals(heard(client, "late_reply"), []);
});
