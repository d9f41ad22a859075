import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import type { RunningRequest } from "../../../lib/server/running_request.ts";
import { RunningRequests } from "../../../lib/server/running_requests.ts";
import { delivery } from "../../support/delivery.ts";
import { runningRequest } from "../../support/running_request.ts";
import { runs } from "../../support/runs.ts";

const acks = new AckBatcher({ closed: false, ack: () => {}, nack: () => {} });

function request(correlationId: string | undefined): RunningRequest {
  return runningRequest(delivery({ properties: { correlationId } }), { acks });
}

Deno.test("RunningRequests keeps all in order, and cancels those of one id, whichever ids are the same", () => {
  const id = fc.option(fc.constantFrom("a", "b"), { nil: undefined });
  const step = fc.oneof(
    fc.record({ type: fc.constant("add" as const), id }),
    fc.record({ type: fc.constant("delete" as const), at: fc.nat(9) }),
    fc.record({ type: fc.constant("cancel" as const), id: fc.constantFrom("a", "b", "c") }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const requests = new RunningRequests();
      let expected: RunningRequest[] = [];
      const canceled = new Set<RunningRequest>();
      const all: RunningRequest[] = [];
      for (const step of steps) {
        if (step.type === "add") {
          const running = request(step.id);
          requests.add(running);
          expected.push(running);
          all.push(running);
        } else if (step.type === "delete") {
          // Also one that was deleted before.
          const running = all[step.at];
          if (running === undefined) continue;
          requests.delete(running);
          expected = expected.filter((one) => one !== running);
        } else {
          requests.cancel(step.id);
          for (const one of expected) if (one.meta.correlationId === step.id) canceled.add(one);
        }
        assertEquals(Array.from(requests).map((one) => all.indexOf(one)), expected.map((one) => all.indexOf(one)));
        assertEquals(requests.size, expected.length);
      }
      assertEquals(all.filter(({ whyAborted }) => whyAborted === "canceled"), all.filter((one) => canceled.has(one)));
    }),
    runs(2_000),
  );
});

Deno.test("RunningRequests is idle when the last one is gone", async () => {
  const requests = new RunningRequests();
  await requests.idle();
  const [one, twin] = [request("a"), request("a")];
  requests.add(one);
  requests.add(twin);
  let idle = false;
  const whenIdle = requests.idle().then(() => idle = true);
  requests.delete(one);
  await Promise.resolve();
  assertEquals(idle, false);
  requests.delete(twin);
  await whenIdle;
});
