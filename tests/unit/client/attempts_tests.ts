import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Attempts } from "../../../lib/client/attempts.ts";
import { RpcError, type RpcOutcome } from "../../../lib/contract/errors.ts";
import type { InterceptedCall, Next } from "../../../lib/contract/interceptor.ts";
import { anyProcedure } from "../../support/pending.ts";

const CALL = { request: 1 } as InterceptedCall;

/** A call whose attempts end one after the other as they are listed: in an error with this outcome, or in a result. */
function attempts(idempotent: boolean | undefined, ends: readonly (RpcOutcome | "ok")[]): { next: Next; made: number } {
  const left = ends.slice();
  const state = {
    made: 0,
    next: new Attempts(anyProcedure("q", idempotent), () => {
      state.made++;
      const outcome = left.shift();
      if (outcome === undefined) throw new Error("There is no further attempt");
      if (outcome === "ok") return Promise.resolve("reply");
      return Promise.reject(new RpcError("aborted", "attempt", { outcome }));
    }).next,
  };
  return state;
}

async function outcomes(next: Next, count: number): Promise<string[]> {
  const seen: string[] = [];
  for (let n = 0; n < count; n++) {
    const end = await next(CALL).then(String, (error: RpcError) => `${error.code} ${error.outcome}`);
    seen.push(end);
  }
  return seen;
}

Deno.test("Attempts.next() makes an idempotent call as often as it is asked to", async () => {
  const { next } = attempts(true, ["executed", "unknown", "ok", "ok"]);
  assertEquals(await outcomes(next, 4), ["aborted executed", "aborted unknown", "reply", "reply"]);
});

for (const idempotent of [false, undefined]) {
  for (const first of ["ok", "executed", "unknown"] as const) {
    Deno.test(`Attempts.next() makes a call with idempotent: ${idempotent} once, if it ended as ${first}`, async () => {
      const state = attempts(idempotent, [first, "ok"]);
      const [, ...rest] = await outcomes(state.next, 3);
      assertEquals(rest, ["failed_precondition unknown", "failed_precondition unknown"]);
      assertEquals(state.made, 1);
      await assertRejects(() => state.next(CALL), RpcError, 'Cannot call "q" again: it is not idempotent');
    });
  }

  Deno.test(`Attempts.next() makes a call with idempotent: ${idempotent} again, if it was not executed`, async () => {
    const state = attempts(idempotent, ["not_executed", "not_executed", "ok", "ok"]);
    assertEquals((await outcomes(state.next, 4)).slice(0, 3), [
      "aborted not_executed",
      "aborted not_executed",
      "reply",
    ]);
    assertEquals(state.made, 3);
  });
}

Deno.test("Attempts.next() makes no second call beside the first", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const { next } = new Attempts(anyProcedure("q"), () => promise);
  const first = next(CALL);
  await assertRejects(() => next(CALL), RpcError, "it is not idempotent");
  resolve("reply");
  assertEquals(await first, "reply");
});

for (const before of ["executed", "unknown"] as const) {
  Deno.test(`Attempts.next() says unknown of a second attempt that did not run, after one that ended as ${before}`, async () => {
    const { next } = attempts(true, [before, "not_executed", "not_executed"]);
    assertEquals(await outcomes(next, 3), [`aborted ${before}`, "aborted unknown", "aborted unknown"]);
  });
}

Deno.test("Attempts.next() does not count an attempt that options or headers made impossible", async () => {
  const ends = [new TypeError("no header"), new RpcError("unavailable", "no queue", { outcome: "not_executed" })];
  const { next } = new Attempts(anyProcedure("q", true), () => Promise.reject(ends.shift()));
  await assertRejects(() => next(CALL), TypeError);
  assertEquals(await outcomes(next, 1), ["unavailable not_executed"]);
});

Deno.test("Attempts.next() passes on the call and other errors as they are, and does not call again after them", async () => {
  const given: InterceptedCall[] = [];
  const fault = new TypeError("no option");
  const { next } = new Attempts(anyProcedure("q"), (call) => {
    given.push(call);
    return Promise.reject(fault);
  });
  assertStrictEquals(await next(CALL).catch((error: unknown) => error), fault);
  assertEquals(given, [CALL]);
  await assertRejects(() => next(CALL), RpcError, "it is not idempotent");
});

Deno.test("Attempts.outcome is that of all attempts together, and unknown while one is in flight", async () => {
  const ends: (RpcOutcome | "ok")[] = ["not_executed", "unknown", "not_executed", "executed", "not_executed"];
  const attempts = new Attempts(anyProcedure("q", true), () => {
    const outcome = ends.shift() ?? "ok";
    return outcome === "ok"
      ? Promise.resolve("reply")
      : Promise.reject(new RpcError("aborted", "attempt", { outcome }));
  });
  const seen: string[] = [attempts.outcome];
  for (let left = ends.length; left > 0; left--) {
    const made = attempts.next(CALL).catch(() => {});
    const during = attempts.outcome;
    assertEquals(attempts.inFlight, 1);
    await made;
    seen.push(`${during}, ${attempts.outcome}`);
  }
  assertEquals(seen, [
    "not_executed",
    "unknown, not_executed",
    "unknown, unknown",
    "unknown, unknown",
    "unknown, executed",
    "executed, executed",
  ]);
  assertEquals([attempts.made, attempts.inFlight], [5, 0]);
  const replied = new Attempts(anyProcedure("q"), () => Promise.resolve("reply"));
  await replied.next(CALL);
  assertEquals(replied.outcome, "executed");
});

Deno.test("Attempts.onIdle() is called when the last of those in flight has ended", async () => {
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const waits = [first.promise, second.promise];
  const attempts = new Attempts(anyProcedure("q", true), () => waits.shift() ?? Promise.resolve());
  let idle = 0;
  attempts.onIdle = () => idle++;
  const made = [attempts.next(CALL), attempts.next(CALL)];
  first.resolve();
  await made[0];
  assertEquals([idle, attempts.inFlight], [0, 1]);
  second.resolve();
  await made[1];
  assertEquals([idle, attempts.inFlight], [1, 0]);
});
