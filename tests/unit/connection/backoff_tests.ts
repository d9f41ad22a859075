import { assertEquals } from "@std/assert";
import { backoffDelay } from "../../../lib/connection/backoff.ts";
import { dice } from "../../support/dice.ts";

/** The delay where the dice show `share`. */
function delayAt(share: number, attempt: number, min: number, max: number): number {
  using _dice = dice(share);
  return backoffDelay(attempt, { min, max });
}

Deno.test("backoffDelay() doubles its bound from attempt to attempt, up to the largest", () => {
  assertEquals([0, 1, 2, 3, 4, 5, 100].map((attempt) => delayAt(1, attempt, 100, 3_000)), [
    100,
    200,
    400,
    800,
    1_600,
    3_000,
    3_000,
  ]);
});

Deno.test("backoffDelay() is drawn evenly below its bound", () => {
  assertEquals([0, 0.25, 0.5].map((share) => delayAt(share, 2, 100, 3_000)), [0, 100, 200]);
});

Deno.test("backoffDelay() is finite after however many attempts", () => {
  assertEquals(delayAt(1, 30, 1, Number.MAX_VALUE), 2 ** 30);
  assertEquals(delayAt(1, 31, 1, Number.MAX_VALUE), 2 ** 30);
  assertEquals(delayAt(1, 1e9, 1, Number.MAX_VALUE), 2 ** 30);
});
