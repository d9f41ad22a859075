import { assertAlmostEquals, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { type CallOptions, checkCallOptions, parentExpired } from "../../../lib/client/call_options.ts";

function parent(left: number | undefined, propagated: Record<string, string> = {}) {
  const { signal } = new AbortController();
  return { signal, deadline: left === undefined ? undefined : new Date(Date.now() + left), propagated };
}

Deno.test("checkCallOptions() fills in what is absent", () => {
  assertEquals(checkCallOptions({}, 30_000), {
    timeout: 30_000,
    signal: undefined,
    failFast: false,
    headers: undefined,
    priority: undefined,
    onReplyHeaders: undefined,
    parent: undefined,
  });
});

Deno.test("checkCallOptions() gives what it is given, and headers as a list", () => {
  const { signal } = new AbortController();
  const onReplyHeaders = (): void => {};
  const ready = checkCallOptions({ timeout: 5, signal, failFast: true, headers: { a: "1" }, onReplyHeaders }, 30_000);
  assertEquals([ready.timeout, ready.failFast, ready.headers], [5, true, [["a", "1"]]]);
  assertStrictEquals(ready.signal, signal);
  assertStrictEquals(ready.onReplyHeaders, onReplyHeaders);
});

Deno.test("checkCallOptions() with a parent takes the earlier of the two deadlines", () => {
  assertAlmostEquals(checkCallOptions({ parent: parent(500) }, 30_000).timeout, 500, 5);
  assertEquals(checkCallOptions({ parent: parent(60_000), timeout: 200 }, 30_000).timeout, 200);
  assertEquals(checkCallOptions({ parent: parent(undefined), timeout: 200 }, 30_000).timeout, 200);
  assertEquals(checkCallOptions({ parent: parent(-10) }, 30_000).timeout <= 0, true);
});

Deno.test("checkCallOptions() with a parent has its signal, and the caller's beside it", () => {
  const context = parent(500);
  assertStrictEquals(checkCallOptions({ parent: context }, 1).signal, context.signal);
  for (const which of ["parent", "own"] as const) {
    const [outer, own] = [new AbortController(), new AbortController()];
    const ready = checkCallOptions({ parent: { ...parent(500), signal: outer.signal }, signal: own.signal }, 1);
    assertFalse(ready.signal?.aborted);
    (which === "own" ? own : outer).abort("why");
    assertEquals([ready.signal?.aborted, ready.signal?.reason], [true, "why"]);
  }
});

Deno.test("checkCallOptions() with a parent sends its headers, and the call's own before them", () => {
  const context = parent(500, { tenant: "acme", page: "1" });
  const ready = checkCallOptions({ parent: context, headers: { page: "2" } }, 1);
  assertEquals(ready.headers, [["tenant", "acme"], ["page", "2"]]);
  assertStrictEquals(ready.parent, context);
});

const REFUSED: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ timeout: 0 }, "'timeout'"],
  [{ timeout: 1.5 }, "'timeout'"],
  [{ timeout: 2 ** 31 }, "'timeout'"],
  [{ signal: {} }, "'signal' must be an AbortSignal"],
  [{ signal: null }, "'signal' must be an AbortSignal"],
  [{ failFast: 1 }, "'failFast' must be true or false"],
  [{ onReplyHeaders: {} }, "'onReplyHeaders' must be a function"],
  [{ headers: "a" }, "'headers' must be an object"],
  [{ headers: { A: "1" } }, "lower-case"],
  [{ headers: { A: "1" }, parent: parent(500) }, "lower-case"],
];

for (const [options, why] of REFUSED) {
  Deno.test(`checkCallOptions() refuses ${Deno.inspect(options).slice(0, 60)}: ${why}`, () => {
    assertThrows(() => checkCallOptions(options as CallOptions, 30_000), Error, why);
  });
}

Deno.test("parentExpired() says that nothing ran, and of which queue", () => {
  const { code, outcome, message } = parentExpired("q");
  assertEquals([code, outcome], ["deadline_exceeded", "not_executed"]);
  assertEquals(message, 'Cannot call "q": the deadline of the request that it is made for has passed');
});
