import { assert, assertEquals } from "@std/assert";
import { ServiceTime } from "../../../lib/server/service_time.ts";

Deno.test("ServiceTime knows the shortest and the longest duration, and forgets them slowly", () => {
  const service = new ServiceTime();
  assertEquals([service.least, service.most], [0, 0]);
  service.ended(20);
  assertEquals([service.least, service.most], [20, 20]);
  service.ended(4);
  assertEquals(service.least, 4);
  assert(service.most > 19);
  service.ended(40);
  assert(service.most > 29 && service.least < 5);
  for (let n = 0; n < 500; n++) service.ended(10);
  assert(Math.abs(service.least - 10) < 0.1 && Math.abs(service.most - 10) < 0.1);
});

Deno.test("ServiceTime learns from aborted handlers that they would have taken longer", () => {
  const service = new ServiceTime();
  service.aborted(30);
  assertEquals([service.least, service.most], [0, 30]);
  service.aborted(10);
  assertEquals(service.most, 30);
  service.ended(100);
  assertEquals([service.least, service.most], [100, 100]);
});
