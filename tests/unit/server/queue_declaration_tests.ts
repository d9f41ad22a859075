import { assertEquals } from "@std/assert";
import { integer } from "../../../lib/contract/decimal_codecs.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { procedure } from "../../../lib/contract/procedure.ts";
import { queueArguments } from "../../../lib/server/queue_declaration.ts";

const BASE = { queue: "q", request: integer(), reply: text() };

Deno.test("queueArguments() has the type of the queue alone where nothing is limited", () => {
  assertEquals(queueArguments(procedure({ ...BASE, queueType: "quorum" })), { "x-queue-type": "quorum" });
  assertEquals(queueArguments(procedure({ ...BASE, queueType: "classic" })), { "x-queue-type": "classic" });
});

Deno.test("queueArguments() of a transient queue are none, as old tutorials declare it", () => {
  assertEquals(queueArguments(procedure({ ...BASE, queueType: "transient" })), {});
});

Deno.test("queueArguments() has the highest priority and the consumer timeout", () => {
  const settings = { queueType: "classic", maxPriority: 9, consumerTimeout: 5_000 } as const;
  const args = queueArguments(procedure({ ...BASE, ...settings }));
  assertEquals(args, { "x-queue-type": "classic", "x-max-priority": 9, "x-consumer-timeout": 5_000 });
});

Deno.test("queueArguments() has every limit that is set, the empty exchange too, and refuses what is too much", () => {
  const limits = { maxLength: 7, messageTtl: 60_000, deadLetterExchange: "", deadLetterRoutingKey: "dead" };
  assertEquals(queueArguments(procedure({ ...BASE, ...limits })), {
    "x-queue-type": "quorum",
    "x-max-length": 7,
    "x-overflow": "reject-publish",
    "x-message-ttl": 60_000,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": "dead",
  });
});
