import { assertEquals } from "@std/assert";
import type { Link } from "../../../lib/connection/link.ts";
import { IgnoredPriorities, whyIgnored } from "../../../lib/client/ignored_priorities.ts";
import { queueSettings } from "../../../lib/contract/procedure.ts";

Deno.test("whyIgnored() knows which queues have priorities in which version", () => {
  const quorum = { queueType: "quorum", maxPriority: undefined } as const;
  for (const version of ["4.0.5", "4.3.6", "10.0.0", "unknown", ""]) {
    assertEquals(whyIgnored(quorum, version), undefined);
  }
  for (const version of ["3.10.8", "3.13.7"]) {
    const reason = `quorum queues have priorities from RabbitMQ 4.0 on, and the broker is ${version}`;
    assertEquals(whyIgnored(quorum, version), reason);
  }
  for (const queueType of ["classic", "transient"] as const) {
    for (const version of ["3.10.8", "4.3.6"]) {
      assertEquals(whyIgnored({ queueType, maxPriority: 1 }, version), undefined);
      const reason = `its queueType is ${queueType}, and it has no maxPriority`;
      assertEquals(whyIgnored({ queueType, maxPriority: undefined }, version), reason);
    }
  }
});

/** What is told when requests go to these queues, of brokers of these versions in turn. */
function told(queues: readonly string[], versions: readonly (string | undefined)[]): string[] {
  const names: string[] = [];
  let version: string | undefined;
  const connection = {
    get link() {
      return version === undefined ? undefined : { version } as Link;
    },
  };
  const ignored = new IgnoredPriorities(connection, (queue) => names.push(queue));
  for (version of versions) for (const queue of queues) ignored.sent(queueSettings({ queue }, "test"));
  return names;
}

Deno.test("IgnoredPriorities says so once for each queue, as soon as the version is known", () => {
  assertEquals(told(["a", "b"], [undefined, "4.3.6", "3.10.8", "3.10.8"]), ["a", "b"]);
});

Deno.test("IgnoredPriorities remembers a bounded number of queues", () => {
  const queues = Array.from({ length: 1_001 }, (_, n) => `q${n}`);
  assertEquals(told(queues, ["3.10.8", "3.10.8"]).length, 2_002);
  assertEquals(told(queues.slice(1), ["3.10.8", "3.10.8"]).length, 1_000);
});
