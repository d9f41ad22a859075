import { assert, assertEquals } from "@std/assert";
import { type Reply, ReplyPublisher } from "../../../lib/server/reply_publisher.ts";
import { MAX_COUNT } from "../../../lib/server/waiting_replies.ts";
import { toByteString } from "../../../lib/wire/byte_string.ts";
import { type FakeChannel, fakeLink, reply } from "../../support/fake_link.ts";

/** A publisher over a broker that does only what the test says, and how its replies have ended, by their bodies. */
async function publisher() {
  const link = await fakeLink(() => replies.flush());
  const replies = await ReplyPublisher.open(link.connection);
  const ends: string[] = [];
  const send = (id: number, rest: Partial<Reply> = {}): void =>
    replies.send({
      ...reply(id),
      replyTo: toByteString("amq.gen-1"),
      done: (fate) => ends.push(`${id} ${fate}`),
      ...rest,
    });
  const channel = (at: number): FakeChannel => {
    const found = link.channels[at];
    if (found === undefined) throw new Error(`There is no channel ${at}`);
    return found;
  };
  const dispose = async (): Promise<void> => {
    replies.abandon();
    await link[Symbol.asyncDispose]();
  };
  return { link, replies, ends, send, channel, [Symbol.asyncDispose]: dispose };
}

/** What was published on a channel. */
function sent({ published }: FakeChannel): (number | undefined)[] {
  return published.map(({ body }) => body[0]);
}

/** Waits until something is true; most of it takes a few turns of the event loop. */
async function until(what: () => boolean): Promise<void> {
  for (const end = performance.now() + 5_000; !what() && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert(what());
}

async function isIdle(replies: ReplyPublisher): Promise<boolean> {
  let idle = false;
  replies.idle().then(() => idle = true);
  await new Promise((resolve) => setTimeout(resolve));
  return idle;
}

Deno.test("Replies end when the broker confirms them", async () => {
  await using opened = await publisher();
  const { replies, ends, send, channel } = opened;
  for (const id of [1, 2, 3]) send(id);
  assertEquals(sent(channel(0)), [1, 2, 3]);
  const idle = replies.idle();
  channel(0).confirm(2);
  assertEquals([ends, await isIdle(replies)], [["1 confirmed", "2 confirmed"], false]);
  channel(0).confirm();
  assertEquals([ends.at(-1), await isIdle(replies)], ["3 confirmed", true]);
  await idle;
});

Deno.test("Replies that wait for the end of an alarm are sent when it ends", async () => {
  await using opened = await publisher();
  const { link, replies, ends, send, channel } = opened;
  link.block("memory");
  for (const id of [1, 2]) send(id);
  send(3, { deadline: -Infinity });
  assertEquals([sent(channel(0)), await isIdle(replies)], [[], false]);
  link.block(undefined);
  assertEquals([sent(channel(0)), ends], [[1, 2], ["3 dropped"]]);
  channel(0).confirm();
  assertEquals(await isIdle(replies), true);
  link.block("memory");
  link.block(undefined);
  assertEquals(sent(channel(0)), [1, 2]);
});

Deno.test("A reply whose deadline passes during an alarm is dropped then, and not at the end of the alarm", async () => {
  await using opened = await publisher();
  const { link, replies, ends, send, channel } = opened;
  link.block("memory");
  send(1, { deadline: performance.now() + 50, done: (fate, why) => ends.push(`${fate}: ${why}`) });
  send(2);
  await until(() => ends.length > 0);
  link.block(undefined);
  channel(0).confirm();
  assertEquals([sent(channel(0)), ends, await isIdle(replies)], [
    [2],
    ["dropped: the broker was blocked until its deadline", "2 confirmed"],
    true,
  ]);
});

Deno.test("A refusal that waits while a connection is lost says afterwards what is true then", async () => {
  await using opened = await publisher();
  const { link, send, channel } = opened;
  link.block("memory");
  let lost = false;
  for (const id of [1, 2]) send(id, { bodyIfLost: () => new Uint8Array([10 + id]), isLost: () => lost && id === 1 });
  lost = true;
  channel(0).refuse(undefined);
  await until(() => link.channels.length > 1);
  link.block(undefined);
  assertEquals(sent(channel(1)), [11, 2]);
});

Deno.test("A request that is still on its queue is taken off it just before its reply is written, and once", async () => {
  await using opened = await publisher();
  const { link, ends, send, channel } = opened;
  const taken: string[] = [];
  const take = (id: number) => (): void => {
    taken.push(`${id} with ${link.channels.flatMap(sent).length} written`);
  };
  send(1, { take: take(1) });
  link.block("memory");
  send(2, { take: take(2), bodyIfLost: () => new Uint8Array([22]), isLost: () => true });
  send(3, { take: take(3), deadline: -Infinity });
  assertEquals(taken, ["1 with 0 written"]);
  link.block(undefined);
  assertEquals([sent(channel(0)), taken, ends], [[1, 22], ["1 with 0 written", "2 with 1 written"], ["3 dropped"]]);
  channel(0).refuse(new Error("PRECONDITION_FAILED"));
  for (const at of [2, 3]) {
    await until(() => link.channels[at]?.published.length === 1);
    channel(at).confirm();
  }
  await until(() => ends.length === 3);
  assertEquals([[2, 3].flatMap((at) => sent(channel(at))), taken.length], [[1, 22], 2]);
});

Deno.test("A publisher is full when too many replies wait, except those whose requests are on their queue", async () => {
  await using opened = await publisher();
  const { link, replies, send } = opened;
  link.block("memory");
  for (let id = 1; id < MAX_COUNT; id++) send(id);
  send(0, { take: () => undefined });
  assertEquals(replies.isFull(0), false);
  send(0);
  assertEquals(replies.isFull(0), true);
  link.block(undefined);
  assertEquals(replies.isFull(0), false);
});

Deno.test("A reply that the broker refuses is sent again, and that counts as one reply", async () => {
  await using opened = await publisher();
  const { replies, ends, send, channel } = opened;
  send(1);
  channel(0).confirm(1, true);
  replies.flush();
  assertEquals([sent(channel(0)), await isIdle(replies)], [[1], false]);
  await until(() => channel(0).published.length === 2);
  channel(0).confirm();
  assertEquals([ends, await isIdle(replies)], [["1 confirmed"], true]);
});

Deno.test("Replies that were unconfirmed on a lost channel are sent one by one, each on its own channel", async () => {
  await using opened = await publisher();
  const { link, replies, ends, send, channel } = opened;
  for (const id of [1, 2]) send(id);
  channel(0).refuse(new Error("PRECONDITION_FAILED"));
  // In the same turn: the channel is gone, and nobody has been told.
  send(3);
  await until(() => link.channels.length === 3);
  assertEquals([sent(channel(1)), sent(channel(2))], [[3], [1]]);
  channel(2).confirm();
  await until(() => link.channels.length === 4);
  assertEquals(sent(channel(3)), [2]);
  channel(3).confirm();
  channel(1).confirm();
  await until(() => ends.length === 3);
  assertEquals([ends.toSorted(), await isIdle(replies)], [["1 confirmed", "2 confirmed", "3 confirmed"], true]);
});

Deno.test("Abandoned replies end once, whatever they wait for, and none is sent afterwards", async () => {
  await using opened = await publisher();
  const { link, replies, ends, send, channel } = opened;
  for (const id of [1, 2]) send(id);
  channel(0).refuse(new Error("PRECONDITION_FAILED"));
  await until(() => link.channels.length === 3 && channel(2).published.length === 1);
  // On channels of their own: 1 is written, 2 is next. 3 waits for its retry, 4 for its confirm, 5 for the alarm's end.
  send(3);
  channel(1).confirm(1, true);
  send(4);
  link.block("memory");
  send(5);
  assertEquals([sent(channel(1)), sent(channel(2)), ends], [[3, 4], [1], []]);
  replies.abandon();
  const all = [1, 2, 3, 4, 5].map((id) => `${id} dropped`);
  assertEquals([ends.toSorted(), await isIdle(replies)], [all, true]);
  link.block(undefined);
  channel(1).confirm();
  channel(2).confirm();
  await until(() => link.channels.length === 4 && channel(3).closed);
  replies.flush();
  assertEquals([sent(channel(1)), sent(channel(3)), ends.length], [[3, 4], [], 5]);
  send(6);
  channel(1).confirm();
  assertEquals([ends.at(-1), await isIdle(replies)], ["6 confirmed", true]);
});
