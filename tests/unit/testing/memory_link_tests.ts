import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RpcError } from "../../../lib/contract/errors.ts";
import { MemoryBroker } from "../../../lib/testing/memory_broker.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { open, settled, to } from "../../support/memory_links.ts";

Deno.test("MemoryLink that is cut closes its channels, then is lost, and its exclusive queues are gone", async () => {
  const broker = new MemoryBroker();
  await using kept = await open(broker);
  const { link, channel, told } = await open(broker);
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await kept.channel.assertDirectExchange("exchange");
  await channel.bindQueue(queue, "exchange", "key");
  link.assertOpen();
  link.cut("the test cut it");
  await settled(broker);
  assertEquals(told, ["closed ", "lost the test cut it"]);
  assertThrows(() => link.assertOpen(), RpcError, "the connection is lost");
  await assertRejects(() => link.openChannel("publish", true), RpcError, "Cannot publish: the connection is lost");
  kept.channel.publish(to(queue));
  kept.channel.publish(to("key", 1, "exchange"));
  await settled(broker);
  assertEquals(kept.told, ["returned 312", "confirmed 1", "returned 312", "confirmed 2"]);
  link.cut("again");
  await link.close();
  assertEquals(told.length, 2);
});

Deno.test("MemoryLink that closes gives what it has to other links, not to a channel of its own", async () => {
  const broker = new MemoryBroker();
  await using kept = await open(broker);
  const { link, channel, told } = await open(broker);
  await channel.assertQueue("queue", {});
  await channel.consume("queue");
  channel.publish(to("queue", 1));
  await settled(broker);
  const second = await link.openChannel("test", false);
  second.listen({ delivered: () => told.push("got by the second") });
  await second.consume("queue");
  await kept.channel.consume("queue");
  await link.close();
  assertEquals(told, ["got 1", "confirmed 1", "closed ", "lost "]);
  assertEquals(kept.told, ["got 1 again"]);
});

Deno.test("MemoryLink keeps the process alive until it is closed", async () => {
  using clock = new FakeClock();
  const { link } = await open();
  assertEquals(clock.refs, 1);
  await link.close();
  assertEquals(clock.timers, 0);
});
