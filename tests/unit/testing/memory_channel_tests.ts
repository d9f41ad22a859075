import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { toRpcError } from "../../../lib/connection/broker_error.ts";
import { type Channel, ChannelClosedError } from "../../../lib/connection/channel.ts";
import { MemoryBroker } from "../../../lib/testing/memory_broker.ts";
import { open, settled, textOf, to } from "../../support/memory_links.ts";

Deno.test("MemoryChannel delivers later, and confirms in order", async () => {
  await using opened = await open();
  const { broker, channel, told } = opened;
  await channel.assertQueue("queue", {});
  await channel.consume("queue", { noAck: true });
  assertEquals(channel.publish(to("queue", 1)), true);
  channel.publish(to("queue", 2));
  assertEquals(told, []);
  await settled(broker);
  assertEquals(told, ["got 1", "confirmed 1", "got 2", "confirmed 2"]);
});

Deno.test("MemoryChannel returns a mandatory message that no queue takes, before it confirms it", async () => {
  await using opened = await open();
  opened.channel.publish(to("missing"));
  opened.channel.publish({ ...to("missing"), mandatory: false });
  await settled(opened.broker);
  assertEquals(opened.told, ["returned 312", "confirmed 1", "confirmed 2"]);
});

Deno.test("MemoryChannel nacks what a full queue refuses", async () => {
  await using opened = await open();
  await opened.channel.assertQueue("queue", { arguments: { "x-max-length": 1 } });
  opened.channel.publish(to("queue"));
  opened.channel.publish(to("queue"));
  await settled(opened.broker);
  assertEquals(opened.told, ["confirmed 1", "nacked 2"]);
});

Deno.test("MemoryChannel confirms nothing without confirms", async () => {
  await using opened = await open();
  const plain = await opened.link.openChannel("test", false);
  plain.listen({ confirmed: () => opened.told.push("confirmed") });
  plain.publish(to("missing"));
  await settled(opened.broker);
  assertEquals(opened.told, []);
});

Deno.test("MemoryChannel is closed by a publish to an exchange that is missing; nothing after it counts", async () => {
  await using opened = await open();
  const { broker, channel, told } = opened;
  await channel.assertQueue("queue", {});
  channel.publish(to("queue", 1, "missing"));
  channel.publish(to("queue", 2));
  const asked = channel.assertQueue("never", {});
  assertInstanceOf(await asked.catch((error) => error), ChannelClosedError);
  assertEquals(told, [
    "closed Channel closed by server: 404 (NOT_FOUND) with message \"NOT_FOUND - no exchange 'missing' in vhost '/'\"",
  ]);
  assertThrows(() => channel.publish(to("queue", 3)), ChannelClosedError);
  channel.ack(1, true);
  channel.nack(1, true);
  await assertRejects(() => channel.assertQueue("never", {}), ChannelClosedError);
  const next = await opened.link.openChannel("test", false);
  assertEquals((await next.checkQueue("queue")).messageCount, 0);
  await assertRejects(() => next.checkQueue("never"), Error, "no queue 'never'");
  await settled(broker);
});

Deno.test("MemoryChannel does not publish what cannot be encoded", async () => {
  await using opened = await open();
  const { broker, channel, told } = opened;
  assertThrows(() => channel.publish({ ...to("queue"), properties: { type: "t".repeat(256) } }), RangeError);
  channel.publish(to("queue"));
  await settled(broker);
  assertEquals(told, ["returned 312", "confirmed 1"]);
});

Deno.test("MemoryChannel refuses as RabbitMQ does", async () => {
  const broker = new MemoryBroker();
  await using one = await open(broker);
  await using other = await open(broker);
  await one.channel.assertQueue("durable", { arguments: { "x-queue-type": "quorum" } });
  const { queue } = await one.channel.assertQueue("", { exclusive: true, durable: false });
  assertEquals(queue.slice(0, 8), "amq.gen-");
  async function refusal(use: (channel: Channel) => Promise<unknown>): Promise<unknown> {
    const channel = await other.link.openChannel("test", false);
    const error = await assertRejects(() => use(channel));
    assertEquals(channel.closed, true);
    const { code, message } = toRpcError(error, "try");
    return [code, message.replace(queue, "amq.gen-ID")];
  }
  const locked = [
    "permission_denied",
    "Cannot try: RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'amq.gen-ID' in vhost '/'",
  ];
  assertEquals(await refusal((channel) => channel.checkQueue(queue)), locked);
  assertEquals(await refusal((channel) => channel.consume(queue)), locked);
  assertEquals(await refusal((channel) => channel.assertQueue(queue, {})), locked);
  assertEquals(await refusal((channel) => channel.checkQueue("missing")), [
    "not_found",
    "Cannot try: NOT_FOUND - no queue 'missing' in vhost '/'",
  ]);
  assertEquals(await refusal((channel) => channel.assertQueue("durable", {})), [
    "failed_precondition",
    "Cannot try: PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'durable' in vhost '/': received 'none' but current is 'quorum'",
  ]);
  assertEquals(
    (await refusal((channel) => channel.assertQueue("durable", { durable: false })) as string[])[0],
    "failed_precondition",
  );
  assertEquals(await refusal((channel) => channel.bindQueue("durable", "missing", "key")), [
    "not_found",
    "Cannot try: NOT_FOUND - no exchange 'missing' in vhost '/'",
  ]);
  // The same arguments again are fine, and so is the owner.
  await one.channel.assertQueue("durable", { durable: true, arguments: { "x-queue-type": "quorum" } });
  await one.channel.checkQueue(queue);
});

Deno.test("MemoryChannel delivers no more than its prefetch, and more after acks", async () => {
  await using opened = await open();
  const { broker, channel, told } = opened;
  await channel.assertQueue("queue", {});
  await channel.prefetch(3);
  await channel.consume("queue");
  for (let n = 1; n <= 6; n++) channel.publish({ ...to("queue", n) });
  await settled(broker);
  const got = (): string[] => told.splice(0).filter((text) => text.startsWith("got"));
  assertEquals(got(), ["got 1", "got 2", "got 3"]);
  channel.ack(2, false);
  await settled(broker);
  assertEquals(got(), ["got 4"]);
  channel.ack(4, true);
  await settled(broker);
  assertEquals(got(), ["got 5", "got 6"]);
  channel.nack(5, false);
  channel.nack(6, true);
  channel.ack(99, false);
  await settled(broker);
  assertEquals(got(), ["got 6 again"]);
  for (let n = 7; n <= 9; n++) channel.publish(to("queue", n));
  await settled(broker);
  assertEquals(got(), ["got 7", "got 8"]);
  // Tags are counted by deliveries: these are those of 6, which came again, and 7.
  channel.ack(8, true);
  await settled(broker);
  assertEquals(got(), ["got 9"]);
  channel.publish(to("queue", 10));
  channel.publish(to("queue", 11));
  await settled(broker);
  assertEquals(got(), ["got 10"]);
});

Deno.test("MemoryChannel that is closed publishes what was written before, and gives back what is not acknowledged", async () => {
  await using opened = await open();
  const { broker, link, channel, told } = opened;
  await channel.assertQueue("queue", { arguments: { "x-queue-type": "quorum" } });
  await channel.consume("queue");
  channel.publish(to("queue", 1));
  channel.publish(to("queue", 2));
  await settled(broker);
  channel.ack(1, false);
  channel.publish(to("queue", 3));
  const closing = channel.close();
  assertEquals(channel.closed, true);
  channel.ack(2, false);
  channel.nack(2, false);
  await closing;
  await channel.close();
  assertEquals(told.splice(0), ["got 1", "confirmed 1", "got 2", "confirmed 2", "confirmed 3", "closed "]);
  const next = await link.openChannel("test", false);
  next.listen({ delivered: (delivery) => told.push(`got ${textOf(delivery)}`) });
  await next.consume("queue");
  assertEquals(told, ["got 2 again, returned 1 times", "got 3 again, returned 1 times"]);
});

Deno.test("MemoryChannel ends a consumer, whose messages stay unacknowledged", async () => {
  await using opened = await open();
  const { broker, channel, told } = opened;
  await channel.assertQueue("queue", {});
  const tag = await channel.consume("queue");
  channel.publish(to("queue", 1));
  await channel.cancel("another tag");
  assertEquals((await channel.checkQueue("queue")).consumerCount, 1);
  await channel.cancel(tag);
  channel.publish(to("queue", 2));
  await settled(broker);
  assertEquals(told, ["got 1", "confirmed 1", "confirmed 2"]);
  assertEquals(await channel.checkQueue("queue"), { queue: "queue", messageCount: 1, consumerCount: 0 });
});

Deno.test("MemoryChannel routes by exchange and key to all queues that are bound, as long as they are", async () => {
  await using opened = await open();
  const { broker, channel } = opened;
  await channel.assertDirectExchange("exchange");
  await channel.assertDirectExchange("exchange");
  for (const queue of ["one", "two"]) {
    await channel.assertQueue(queue, {});
    await channel.bindQueue(queue, "exchange", "key");
  }
  channel.publish(to("key", 1, "exchange"));
  channel.publish(to("other", 2, "exchange"));
  await channel.unbindQueue("one", "exchange", "key");
  channel.publish(to("key", 3, "exchange"));
  await settled(broker);
  const counts = await Promise.all(["one", "two"].map((queue) => channel.checkQueue(queue)));
  assertEquals(counts.map(({ messageCount }) => messageCount), [1, 2]);
});
