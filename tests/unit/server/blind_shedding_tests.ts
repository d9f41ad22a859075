import { assert, assertEquals } from "@std/assert";
import { BlindShedding } from "../../../lib/server/blind_shedding.ts";

Deno.test("BlindShedding refuses nothing before two requests in a row were in vain", () => {
  const blind = new BlindShedding();
  assert(!blind.refuses(0, "handler"));
  assert(!blind.inVain(0, 10));
  blind.answered(30);
  assert(!blind.inVain(40, 50));
  assert(!blind.refuses(51, "full"));
});

Deno.test("BlindShedding refuses a burst, then twice as many if that was too few", () => {
  const blind = new BlindShedding();
  const burst = (now: number): number => {
    let count = 0;
    while (blind.refuses(now, "full")) count++;
    return count;
  };
  blind.inVain(0, 10);
  assert(blind.inVain(11, 20));
  assertEquals(burst(21), 4);
  // One that was started before the burst tells nothing about it.
  assert(!blind.inVain(15, 25));
  blind.answered(45);
  blind.inVain(46, 60);
  assert(blind.inVain(61, 70));
  assertEquals(burst(71), 8);
});

Deno.test("BlindShedding refuses as many for each answer as it did before, and stops when the queue is empty", () => {
  const blind = new BlindShedding();
  blind.inVain(0, 10);
  blind.inVain(11, 20);
  for (let n = 0; n < 4; n++) assert(blind.refuses(21, "full"));
  for (let n = 0; n < 2; n++) blind.answered(40);
  blind.inVain(41, 50);
  blind.inVain(51, 60);
  while (blind.refuses(61, "full"));
  // Four for two answers, and a tenth more.
  blind.answered(80);
  assert(blind.refuses(81, "full") && blind.refuses(81, "full") && !blind.refuses(81, "full"));
  blind.answered(100);
  // A handler has been free for a while.
  assert(!blind.refuses(200, "handler"));
  blind.answered(220);
  assert(!blind.refuses(221, "full"));
});

Deno.test("BlindShedding gives up a burst after a while, and when a request has not waited", () => {
  for (const stop of [true, false]) {
    const blind = new BlindShedding();
    blind.inVain(0, 10);
    blind.inVain(11, 20);
    if (stop) blind.stop();
    assert(!blind.refuses(stop ? 21 : 1_021, "full"));
  }
});

Deno.test("BlindShedding refuses nothing while a handler is free or few requests wait, however many are canceled", () => {
  const blind = new BlindShedding();
  for (let n = 0; n < 100; n++) {
    blind.inVain(20 * n, 20 * n + 10);
    for (const place of ["handler", "room"] as const) assert(!blind.refuses(20 * n + 11, place));
  }
  assert(blind.refuses(1_992, "full"));
});

Deno.test("BlindShedding refuses as many as before no more once few requests wait", () => {
  const blind = new BlindShedding();
  blind.inVain(0, 10);
  blind.inVain(11, 20);
  for (let n = 0; n < 4; n++) assert(blind.refuses(21, "full"));
  blind.answered(40);
  blind.inVain(41, 50);
  blind.inVain(51, 60);
  while (blind.refuses(61, "full"));
  blind.answered(80);
  assert(!blind.refuses(81, "room"));
  assert(!blind.refuses(82, "full"));
  blind.answered(100);
  assert(!blind.refuses(101, "full"));
});
