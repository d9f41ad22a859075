import { assertEquals, assertNotStrictEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { MemoryBroker, Refusal } from "../../../lib/testing/memory_broker.ts";
import { store } from "../../../lib/testing/memory_message.ts";
import { to } from "../../support/memory_links.ts";

const LINK = {};
const OTHER_LINK = {};

function codeOf(use: () => unknown): number {
  return assertThrows(use, Refusal).code;
}

Deno.test("MemoryBroker runs tasks in order, each later, and those that they post in a later turn", async () => {
  const broker = new MemoryBroker();
  const ran: string[] = [];
  broker.post(() => {
    ran.push("a");
    broker.post(() => ran.push("c"));
    queueMicrotask(() => ran.push("microtask"));
  });
  broker.post(() => ran.push("b"));
  assertEquals(ran, []);
  await new Promise<void>((resolve) => broker.post(() => broker.post(() => resolve())));
  assertEquals(ran, ["a", "b", "microtask", "c"]);
});

Deno.test("MemoryBroker names queues itself, and knows a queue by its name", () => {
  const broker = new MemoryBroker();
  const [one, two] = [broker.declare("", {}, LINK), broker.declare("", {}, LINK)];
  assertNotStrictEquals(one.name, two.name);
  assertStrictEquals(broker.find(one.name, OTHER_LINK), one);
  const named = broker.declare("größe", { durable: false }, LINK);
  assertStrictEquals(broker.declare("größe", { durable: false }, OTHER_LINK), named);
  assertEquals(broker.route(store(to("gr\xc3\xb6\xc3\x9fe"))), [named]);
});

Deno.test("MemoryBroker refuses to declare a queue with other settings", () => {
  const broker = new MemoryBroker();
  broker.declare("queue", { arguments: { "x-max-length": 1 } }, LINK);
  for (
    const [durable, args] of [
      [false, { "x-max-length": 1 }],
      [true, {}],
      [true, { "x-max-length": 2 }],
      [true, { "x-max-length": 1, "x-overflow": "reject-publish" }],
    ] as const
  ) {
    assertEquals(codeOf(() => broker.declare("queue", { durable, arguments: args }, LINK)), 406);
  }
  broker.declare("queue", { durable: true, arguments: { "x-max-length": 1 } }, LINK);
  broker.declare("queue", { arguments: { "x-max-length": 1 } }, LINK);
});

Deno.test("MemoryBroker keeps exclusive queues for their link, and deletes them with it", () => {
  const broker = new MemoryBroker();
  const mine = broker.declare("mine", { exclusive: true }, LINK);
  const other = broker.declare("other", { exclusive: true }, OTHER_LINK);
  broker.declare("shared", {}, LINK);
  broker.declareExchange("exchange");
  broker.bindings("exchange", "key").add(mine).add(other);
  assertEquals(codeOf(() => broker.find("mine", OTHER_LINK)), 405);
  assertEquals(codeOf(() => broker.declare("mine", {}, OTHER_LINK)), 405);
  broker.deleteQueuesOf(LINK);
  assertEquals(codeOf(() => broker.find("mine", LINK)), 404);
  assertEquals(broker.route(store(to("key", 0, "exchange"))), [other]);
  broker.find("shared", OTHER_LINK);
});

Deno.test("MemoryBroker refuses exchanges that are not declared", () => {
  const broker = new MemoryBroker();
  assertEquals(codeOf(() => broker.route(store(to("key", 0, "exchange")))), 404);
  broker.declareExchange("exchange");
  broker.bindings("exchange", "key").add(broker.declare("queue", {}, LINK));
  broker.declareExchange("exchange");
  assertEquals(broker.route(store(to("key", 0, "exchange"))).length, 1);
  assertEquals(broker.route(store(to("other", 0, "exchange"))), []);
  assertEquals(broker.route(store(to("other"))), []);
});
