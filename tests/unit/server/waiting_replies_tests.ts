import { assertEquals } from "@std/assert";
import { MAX_BYTES, MAX_COUNT, WaitingReplies, type WaitingReply } from "../../../lib/server/waiting_replies.ts";
import { FakeClock } from "../../support/fake_clock.ts";

interface Item {
  reply: WaitingReply;
}

function item(size: number, rest: Partial<WaitingReply> = {}): Item {
  return { reply: { body: new Uint8Array(size), deadline: Infinity, ...rest } };
}

/** Replies that wait, and those whose deadline has passed. */
function waiting(): { replies: WaitingReplies<Item>; expired: Item[] } {
  const expired: Item[] = [];
  const replies = new WaitingReplies<Item>(({ reply }) => reply, (one) => {
    expired.push(one);
    replies.delete(one);
  });
  return { replies, expired };
}

Deno.test("Waiting replies are handed out once their deadline has passed, and no timer is left then", () => {
  using clock = new FakeClock();
  const { replies, expired } = waiting();
  const [late, never, soon] = [item(1, { deadline: clock.now + 5_000 }), item(1), item(1, { deadline: clock.now + 1 })];
  for (const one of [late, never, soon]) replies.add(one);
  assertEquals([clock.timers, clock.refs], [1, 0]);
  clock.advance(499);
  assertEquals(expired, []);
  clock.advance(1);
  assertEquals(expired, [soon]);
  clock.advance(4_499);
  assertEquals(expired, [soon]);
  clock.advance(1);
  assertEquals([expired, Array.from(replies)], [[soon, late], [never]]);
  replies.delete(never);
  clock.advance(500);
  assertEquals([clock.timers, replies.size], [0, 0]);
  replies.add(never);
  assertEquals(clock.timers, 1);
});

Deno.test("After WaitingReplies.close() there is no timer, even if it is called by the end of a reply", () => {
  using clock = new FakeClock();
  const { replies } = waiting();
  replies.add(item(1));
  replies.close();
  replies.add(item(1));
  assertEquals([clock.timers, replies.size], [0, 2]);
  const closing = new WaitingReplies<Item>(({ reply }) => reply, () => closing.close());
  closing.add(item(1, { deadline: 0 }));
  clock.advance(500);
  assertEquals(clock.timers, 0);
});

Deno.test("WaitingReplies are full by the number of replies or of bytes, and never while there is none", () => {
  using _clock = new FakeClock();
  const { replies } = waiting();
  assertEquals(replies.isFull(10 * MAX_BYTES), false);
  const large = item(MAX_BYTES / 2);
  replies.add(large);
  replies.add(large);
  assertEquals([replies.size, replies.bytes], [1, MAX_BYTES / 2 + 500]);
  assertEquals([replies.isFull(MAX_BYTES / 2 - 1_000), replies.isFull(MAX_BYTES / 2 - 999)], [false, true]);
  replies.delete(large);
  replies.delete(large);
  assertEquals([replies.size, replies.bytes, replies.isFull(10 * MAX_BYTES)], [0, 0, false]);
  const small = Array.from({ length: MAX_COUNT }, () => item(0));
  for (const one of small) {
    assertEquals(replies.isFull(0), false);
    replies.add(one);
  }
  assertEquals(replies.isFull(0), true);
  for (const one of small) replies.delete(one);
  assertEquals([replies.bytes, replies.isFull(0)], [0, false]);
});

Deno.test("Replies whose requests are still on the queue do not count until they are taken off", () => {
  using clock = new FakeClock();
  const { replies, expired } = waiting();
  const queued = item(1_000, { take: () => undefined, deadline: clock.now + 500 });
  const taken = item(1);
  replies.update(queued);
  assertEquals(replies.size, 0);
  replies.add(queued);
  replies.add(taken);
  assertEquals([replies.size, replies.bytes, Array.from(replies.taken())], [2, 501, [taken]]);
  queued.reply = { ...queued.reply, take: undefined };
  replies.update(queued);
  assertEquals([replies.bytes, Array.from(replies.taken())], [2_001, [queued, taken]]);
  replies.delete(taken);
  clock.advance(500);
  assertEquals([expired, replies.size, replies.bytes, replies.isFull(MAX_BYTES)], [[queued], 0, 0, false]);
});
