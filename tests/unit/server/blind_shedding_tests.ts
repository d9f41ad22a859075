import { assert, assertEquals } from "@std/assert";
import { BlindShedding } from "../../../lib/server/blind_shedding.ts";

Deno.test("BlindShedding refuses nothing before two requests in a row were in vain", () => {
  const blind = new BlindShedding();
  assert(!blind.refuses(0, true));
  assert(!blind.inVain(0, 10));
  blind.answered(30);
  assert(!blind.inVain(40, 50));
  assert(!blind.refuses(51, false));
});

Deno.test("BlindShedding refuses a burst, then twice as many if that was too few", () => {
  const blind = new BlindShedding();
  const burst = (now: number): number => {
    let count = 0;
    while (blind.refuses(now, false)) count++;
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
  for (let n = 0; n < 4; n++) assert(blind.refuses(21, false));
  for (let n = 0; n < 2; n++) blind.answered(40);
  blind.inVain(41, 50);
  blind.inVain(51, 60);
  while (blind.refuses(61, false));
  // Four for two answers, and a tenth more.
  blind.answered(80);
  assert(blind.refuses(81, false) && blind.refuses(81, false) && !blind.refuses(81, false));
  blind.answered(100);
  // A handler has been free for a while.
  assert(!blind.refuses(200, true));
  blind.answered(220);
  assert(!blind.refuses(221, false));
});

Deno.test("BlindShedding gives up a burst after a while, and when a request has not waited", () => {
  for (const stop of [true, false]) {
    const blind = new BlindShedding();
    blind.inVain(0, 10);
    blind.inVain(11, 20);
    if (stop) blind.stop();
    assert(!blind.refuses(stop ? 21 : 271, false));
  }
});
