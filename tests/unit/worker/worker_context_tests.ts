import { assertEquals } from "@std/assert";
import { WorkerContext } from "../../../lib/worker/worker_context.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const REQUEST = {
  redelivered: false,
  deliveryCount: undefined,
  messageId: "m",
  method: undefined,
  headers: {},
  propagated: {},
};

function context(left: number | undefined): WorkerContext {
  return new WorkerContext({ ...REQUEST, left }, new AbortController().signal, () => Promise.resolve(true));
}

Deno.test("WorkerContext has no deadline if its caller has none", () => {
  assertEquals(context(undefined).deadline, undefined);
});

Deno.test("WorkerContext tells its deadline on the clock as it is now, also after the clock was set", () => {
  using clock = new FakeClock();
  const { now } = Date;
  try {
    Date.now = () => 5_000;
    const made = context(700);
    assertEquals(made.deadline?.getTime(), 5_700);
    clock.advance(200);
    Date.now = () => 1_000_000;
    assertEquals(made.deadline?.getTime(), 1_000_500);
  } finally {
    Date.now = now;
  }
});
