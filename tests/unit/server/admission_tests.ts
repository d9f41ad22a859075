import { assert, assertEquals } from "@std/assert";
import { Admission, type Candidate } from "../../../lib/server/admission.ts";
import { ServiceTime } from "../../../lib/server/service_time.ts";

/** An admission whose one method takes 20 ms. */
function learned(): { readonly admission: Admission; readonly service: ServiceTime } {
  const service = new ServiceTime();
  service.ended(20);
  return { service, admission: new Admission([service]) };
}

/** A request with a deadline of one second, of which so much is left at the time 10,000. */
function request(left: number, more: Partial<Candidate> = {}): Candidate {
  return { expiration: 1_000, clocked: false, known: false, likelyEndsAt: 10_000 + left, startedAt: 10_000, ...more };
}

const NOW = 10_000;

Deno.test("Admission starts a request without a deadline, whatever else", () => {
  const { admission, service } = learned();
  admission.judge(request(1), service, NOW, "handler");
  assertEquals(
    admission.judge(request(0, { expiration: undefined, likelyEndsAt: Infinity }), service, NOW, "handler"),
    undefined,
  );
});

Deno.test("Admission refuses what has waited for long and has less time left than the shortest work takes", () => {
  const service = new ServiceTime();
  service.ended(620);
  const admission = new Admission([service]);
  assertEquals(admission.judge(request(630), service, NOW, "handler"), undefined);
  assert(!admission.isPressed(NOW));
  assertEquals(admission.judge(request(610), service, NOW, "handler"), { left: 610, needed: 620 });
  assert(admission.isPressed(NOW));
});

Deno.test("Admission takes it for a sign of overload that a request has waited for half of its time", () => {
  const { admission, service } = learned();
  assertEquals(admission.judge(request(501), service, NOW, "handler"), undefined);
  assert(!admission.isPressed(NOW));
  assertEquals(admission.judge(request(500), service, NOW, "handler"), undefined);
  assert(admission.isPressed(NOW));
});

Deno.test("Admission never refuses what has waited for less than a quarter of its time", () => {
  const service = new ServiceTime();
  // The first one took long, because something had to be loaded.
  service.ended(5_000);
  const admission = new Admission([service]);
  assertEquals(admission.judge(request(760), service, NOW, "handler"), undefined);
  assert(admission.judge(request(740), service, NOW, "handler") !== undefined);
  // Also under overload.
  assertEquals(admission.judge(request(760), service, NOW, "room"), undefined);
});

Deno.test("Admission leaves a margin while the servers are overloaded, and a larger one for what would wait", () => {
  const { admission, service } = learned();
  admission.judge(request(1), service, NOW, "handler");
  assert(admission.judge(request(31), service, NOW, "handler") !== undefined);
  assertEquals(admission.judge(request(33), service, NOW, "handler"), undefined);
  assert(admission.judge(request(59), service, NOW, "room") !== undefined);
  assertEquals(admission.judge(request(61), service, NOW, "room"), undefined);
});

Deno.test("Admission needs no margin any more a second after the last sign of overload", () => {
  const { admission, service } = learned();
  admission.judge(request(1), service, NOW, "handler");
  const later = NOW + 1_000;
  assert(!admission.isPressed(later));
  assertEquals(admission.judge(request(25, { likelyEndsAt: later + 25 }), service, later, "handler"), undefined);
});

Deno.test("Admission lets all methods wait alike, so that slow ones are not starved", () => {
  const quick = new ServiceTime();
  const slow = new ServiceTime();
  quick.ended(5);
  slow.ended(80);
  const admission = new Admission([quick, slow]);
  admission.judge(request(1), quick, NOW, "handler");
  assert(admission.judge(request(170), quick, NOW, "room") !== undefined);
  assertEquals(admission.judge(request(190), quick, NOW, "room"), undefined);
  // But not for more than half of their deadline.
  slow.ended(5_000);
  assertEquals(admission.judge(request(501), quick, NOW, "room"), undefined);
});

Deno.test("Admission counts the time for which a request has waited at the server", () => {
  const { admission, service } = learned();
  // It had not waited when it came.
  const held = request(1_000);
  assertEquals(admission.judge(held, service, NOW, "room"), undefined);
  assert(admission.judge(held, service, NOW + 985, "handler") !== undefined);
});

Deno.test("Admission takes it for a sign of overload that what had waited for long was started in vain", () => {
  const { admission, service } = learned();
  assert(!admission.ended(request(30), service, NOW + 25, false));
  assert(admission.isPressed(NOW + 25));
});

Deno.test("Admission learns by how much waits are longer than is known, and forgets it", () => {
  const { admission, service } = learned();
  // It seemed to have 100 ms left, but its caller stopped waiting after 15.
  assert(admission.ended(request(100), service, NOW + 15, false));
  assert(admission.judge(request(100), service, NOW, "handler") !== undefined);
  for (let n = 0; n < 300; n++) admission.ended(request(500), service, NOW + 20, true);
  assertEquals(admission.judge(request(50), service, NOW, "handler"), undefined);
});

Deno.test("Admission takes a handler that outlasts a deadline for no sign of overload", () => {
  const { admission, service } = learned();
  assert(!admission.ended(request(1_000), service, NOW + 1_001, false));
  assert(!admission.isPressed(NOW + 1_001));
});

Deno.test("Admission wants to know the clock of a caller that has left early, and ignores it where it is known", () => {
  const { admission, service } = learned();
  assert(admission.ended(request(1_000), service, NOW + 15, false));
  assert(!admission.ended(request(1_000, { known: true }), service, NOW + 15, false));
  assert(!admission.isPressed(NOW + 15));
});

Deno.test("Admission refuses blindly after work in vain whose wait is not known, and not what is known to be fresh", () => {
  const { admission, service } = learned();
  const fresh = request(1_000);
  for (const startedAt of [NOW, NOW + 20]) {
    assert(admission.ended({ ...fresh, startedAt }, service, startedAt + 15, false));
  }
  const now = NOW + 40;
  assert(admission.isPressed(now));
  assertEquals(admission.judge(fresh, service, now, "full"), { left: undefined, needed: 20 });
  assertEquals(admission.judge(request(1_000, { clocked: true, known: true }), service, now, "full"), undefined);
  // What is known of one is true of those behind it.
  assertEquals(admission.judge(fresh, service, now, "full"), undefined);
});

Deno.test("Admission refuses nothing blindly because of requests whose clients can be asked for their clocks", () => {
  const { admission, service } = learned();
  const clocked = request(1_000, { clocked: true });
  const cancel = (what: Candidate, startedAt: number): boolean =>
    admission.ended({ ...what, startedAt }, service, startedAt + 15, false);
  for (const startedAt of [NOW, NOW + 20, NOW + 40]) assert(cancel(clocked, startedAt));
  assert(!admission.isPressed(NOW + 60));
  assertEquals(admission.judge(request(1_000), service, NOW + 60, "full"), undefined);
  // And does not refuse them itself.
  for (const startedAt of [NOW + 60, NOW + 80]) cancel(request(1_000), startedAt);
  assertEquals(admission.judge(clocked, service, NOW + 100, "full"), undefined);
  assert(admission.judge(request(1_000), service, NOW + 100, "full") !== undefined);
});

Deno.test("Admission takes requests without a deadline for no sign of anything", () => {
  const { admission, service } = learned();
  const plain = request(0, { expiration: undefined, likelyEndsAt: Infinity });
  assert(!admission.ended(plain, service, NOW + 30, false));
  assert(!admission.ended(plain, service, NOW + 30, true));
  assert(service.most > 20);
  assert(!admission.isPressed(NOW + 30));
});

Deno.test("Admission ignores a cancel that comes much too early after a wait that is known", () => {
  const { admission, service } = learned();
  assert(!admission.ended(request(700), service, NOW + 15, false));
  admission.judge(request(1), service, NOW, "handler");
  assertEquals(admission.judge(request(33), service, NOW, "handler"), undefined);
});
