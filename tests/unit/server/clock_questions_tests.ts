import { assert, assertEquals } from "@std/assert";
import { CallerClocks } from "../../../lib/server/caller_clocks.ts";
import { ClockOffsets } from "../../../lib/server/clock_offsets.ts";
import { ClockQuestions } from "../../../lib/server/clock_questions.ts";
import type { Reply } from "../../../lib/server/reply_publisher.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import type { RequestMeta } from "../../../lib/wire/request_message.ts";

function questions(): { readonly clocks: ClockOffsets; readonly questions: ClockQuestions; readonly sent: string[][] } {
  const clocks = new ClockOffsets();
  const sent: string[][] = [];
  return { clocks, sent, questions: new ClockQuestions(clocks, (client, token) => sent.push([client, token]) > 0) };
}

Deno.test("ClockQuestions asks a client that has sent its clock, once in a second", () => {
  const { clocks, questions: asking, sent } = questions();
  asking.ask("stranger", 0);
  assertEquals(sent, []);
  clocks.measure("a", 0, 0, 1_000, false);
  for (const now of [0, 500, 999]) asking.ask("a", now);
  assertEquals(sent.length, 1);
  asking.ask("a", 1_000);
  assertEquals(sent.length, 2);
});

Deno.test("ClockQuestions asks at most a hundred clients in a second", () => {
  const { clocks, questions: asking, sent } = questions();
  for (let n = 0; n < 1_000; n++) {
    clocks.measure(`${n}`, 0, 0, 1_000, false);
    asking.ask(`${n}`, 0);
  }
  assertEquals(sent.length, 100);
  asking.ask("500", 1_000);
  assertEquals(sent.length, 101);
});

Deno.test("ClockQuestions takes a clock for known for ten seconds after the answer, which it takes once", () => {
  const { clocks, questions: asking, sent } = questions();
  clocks.measure("a", 0, 900, 1_000, false);
  assert(!asking.isConfirmed("a", 900));
  asking.ask("a", 1_000);
  const [[, token = ""] = []] = sent;
  asking.answered({ token, time: 1_001 }, 1_002);
  assert(asking.isConfirmed("a", 11_001));
  assert(!asking.isConfirmed("a", 11_002));
  assert(clocks.measure("a", 500, 1_500, 2_000, false).waited > 990);
  // Again, with another time.
  asking.answered({ token, time: 1_500 }, 1_600);
  assert(clocks.measure("a", 500, 1_500, 2_000, false).waited > 990);
});

Deno.test("ClockQuestions ignores answers that it did not ask for", () => {
  const { clocks, questions: asking, sent } = questions();
  clocks.measure("a", 0, 0, 1_000, false);
  asking.ask("a", 0);
  const [[, token = ""] = []] = sent;
  for (const other of ["", "x", token.slice(1), `${token}1`]) asking.answered({ token: other, time: 0 }, 1);
  assert(!asking.isConfirmed("a", 1));
});

Deno.test("ClockQuestions asks again when a question could not be sent", () => {
  const clocks = new ClockOffsets();
  let may = false;
  let sent = 0;
  const asking = new ClockQuestions(clocks, () => may && ++sent > 0);
  clocks.measure("a", 0, 0, 1_000, false);
  asking.ask("a", 0);
  may = true;
  asking.ask("a", 1);
  assertEquals(sent, 1);
});

const META: RequestMeta = {
  replyTo: "amq.gen-a",
  correlationId: undefined,
  messageId: undefined,
  expiration: 1_000,
  sentAt: 0,
  brokerTime: undefined,
  redelivered: false,
  deliveryCount: undefined,
};

Deno.test("CallerClocks sends the question to the reply queue, and over its own connection to a direct address", () => {
  const sent: Reply[] = [];
  const direct: Reply[] = [];
  const clocks = new CallerClocks({
    replies: { send: (reply) => sent.push(reply) },
    directReplies: { send: (reply) => direct.push(reply) },
    address: "amq.gen-server",
  });
  for (const replyTo of ["amq.gen-a", "amq.rabbitmq.reply-to.x.y"]) {
    clocks.waited({ ...META, replyTo }, 0, 0);
    clocks.ask(replyTo);
  }
  assertEquals(sent.map(({ replyTo, clockAddress }) => [replyTo, clockAddress]), [["amq.gen-a", "amq.gen-server"]]);
  assertEquals(direct.map(({ replyTo }) => replyTo), ["amq.rabbitmq.reply-to.x.y"]);
  sent[0]?.done("returned", "");
});

Deno.test("CallerClocks measures nothing without a deadline or a time, and takes the broker's time for want of another", () => {
  const clocks = new CallerClocks({
    replies: { send: () => {} },
    directReplies: { send: () => {} },
    address: undefined,
  });
  for (const meta of [{ ...META, expiration: undefined }, { ...META, sentAt: undefined }]) {
    assertEquals([clocks.waited(meta, 0, 0), clocks.waited(meta, 500, 500)], [0, 0]);
  }
  const byBroker = { ...META, sentAt: undefined, brokerTime: 0 };
  assertEquals(clocks.waited(byBroker, 10, 10), 0);
  assert(clocks.waited(byBroker, 300, 300) > 280);
  // No address, no question.
  clocks.ask(META.replyTo);
});

/** The clocks, and the questions that were sent. */
function asking(): { readonly clocks: CallerClocks; readonly sent: Reply[] } {
  const sent: Reply[] = [];
  const send = (reply: Reply): number => sent.push(reply);
  const clocks = new CallerClocks({ replies: { send }, directReplies: { send }, address: "amq.gen-server" });
  return { clocks, sent };
}

Deno.test("CallerClocks counts no wait before the client has confirmed its clock, and asks it if the wait is long", () => {
  using clock = new FakeClock();
  const { clocks, sent } = asking();
  const base = performance.now();
  const waited = (sentAt: number): number => {
    const now = performance.now();
    return clocks.waited({ ...META, sentAt }, now, now);
  };
  waited(0);
  clock.advance(200);
  assertEquals([waited(0), sent.length], [0, 0]);
  clock.advance(200);
  // Whoever has sent it, it may be right.
  for (let n = 0; n < 3; n++) assertEquals([waited(0), sent.length], [0, 1]);
  const token = sent[0]?.correlationId ?? "";
  clocks.answered({ token, time: performance.now() - base });
  assert(waited(0) > 398);
  // Somebody else tries to make the client's requests look old.
  waited(1_300);
  assertEquals(Math.round(waited(400)), 0);
  // And is noticed.
  clock.advance(2_000);
  waited(2_400);
  assertEquals(sent.length, 2);
  clock.advance(10_000);
  assertEquals(waited(12_000), 0);
});

Deno.test("CallerClocks believes in a longer wait of what was read after a stall", () => {
  using clock = new FakeClock();
  const { clocks, sent } = asking();
  const base = performance.now();
  clocks.waited(META, base, base);
  clocks.waited(META, base + 500, base + 500);
  clocks.answered({ token: sent[0]?.correlationId ?? "", time: 0 });
  clock.advance(5_000);
  assert(clocks.waited(META, base + 5_000, base + 100) > 4_990);
  assertEquals(clocks.waited(META, base + 5_000, base + 5_000), 0);
});
