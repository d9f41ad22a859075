import { assertEquals } from "@std/assert";
import type { QueueDeclaration } from "../../../lib/connection/channel.ts";
import { store } from "../../../lib/testing/memory_message.ts";
import { MemoryQueue, type QueueConsumer, type QueuedMessage } from "../../../lib/testing/memory_queue.ts";
import { FakeClock } from "../../support/fake_clock.ts";

function message(name: string, expiration?: string) {
  return store({
    exchange: "",
    routingKey: "queue",
    mandatory: false,
    properties: { messageId: name, expiration },
    body: new Uint8Array(),
  });
}

function queueWith(args: Readonly<Record<string, unknown>> = {}): MemoryQueue {
  const declaration: QueueDeclaration = { durable: true, arguments: args };
  return new MemoryQueue("queue", declaration, undefined);
}

/** A consumer that takes up to `room` messages at once. */
function consumer(room = Infinity): QueueConsumer & { readonly got: QueuedMessage[]; readonly names: string[] } {
  const got: QueuedMessage[] = [];
  return {
    got,
    get names() {
      return got.map(({ message }) => message.properties.messageId ?? "");
    },
    hasRoom: () => got.length < room,
    deliver: (queued) => got.push(queued),
  };
}

Deno.test("MemoryQueue delivers in order, to consumers in turn, as far as they have room", () => {
  const queue = queueWith();
  for (const name of ["a", "b", "c", "d", "e"]) queue.push(message(name));
  assertEquals(queue.state, { queue: "queue", messageCount: 5, consumerCount: 0 });
  const first = consumer(1);
  queue.consume(first);
  const second = consumer(3);
  queue.consume(second);
  assertEquals([first.names, second.names], [["a"], ["b", "c", "d"]]);
  assertEquals(queue.state, { queue: "queue", messageCount: 1, consumerCount: 2 });
  queue.cancel(first);
  queue.cancel(second);
  const [third, fourth] = [consumer(), consumer()];
  queue.consume(third);
  queue.consume(fourth);
  for (const name of ["f", "g", "h"]) queue.push(message(name));
  assertEquals([third.names, fourth.names], [["e", "f", "h"], ["g"]]);
});

Deno.test("MemoryQueue puts back what is returned at its old place, and counts it", () => {
  const queue = queueWith();
  const first = consumer(2);
  queue.consume(first);
  for (const name of ["a", "b", "c"]) queue.push(message(name));
  queue.cancel(first);
  queue.requeue(first.got.toReversed());
  const second = consumer();
  queue.consume(second);
  assertEquals(second.got.map(({ returns }) => returns), [1, 1, 0]);
  assertEquals(second.names, ["a", "b", "c"]);
  queue.requeue(second.got.slice(0, 1));
  assertEquals(second.names, ["a", "b", "c", "a"]);
});

Deno.test("MemoryQueue drops what has expired at its head, when that is looked at", () => {
  using clock = new FakeClock();
  const queue = queueWith({ "x-message-ttl": 50 });
  queue.push(message("a", "20"));
  queue.push(message("b", "10"));
  queue.push(message("c"));
  clock.advance(15);
  assertEquals(queue.state.messageCount, 3, "only the head expires");
  clock.advance(5);
  assertEquals(queue.state.messageCount, 1);
  clock.advance(30);
  const late = consumer();
  queue.consume(late);
  assertEquals(late.names, []);
});

Deno.test("MemoryQueue refuses what is beyond its length, until there is room", () => {
  const queue = queueWith({ "x-max-length": 2 });
  assertEquals(["a", "b", "c"].map((name) => queue.push(message(name))), [true, true, false]);
  queue.consume(consumer(1));
  assertEquals(["d", "e"].map((name) => queue.push(message(name))), [true, false]);
});

Deno.test("MemoryQueue has room again when its head has expired", () => {
  using clock = new FakeClock();
  const queue = queueWith({ "x-max-length": 1 });
  assertEquals([queue.push(message("a", "10")), queue.push(message("b"))], [true, false]);
  clock.advance(10);
  assertEquals(queue.push(message("c")), true);
});

Deno.test("MemoryQueue counts deliveries if it is a quorum queue", () => {
  assertEquals([queueWith({ "x-queue-type": "quorum" }).counts, queueWith().counts], [true, false]);
});
