import { assert, assertEquals } from "@std/assert";
import { type Reply, ReplyPublisher } from "../../../lib/server/reply_publisher.ts";
import { toByteString } from "../../../lib/wire/byte_string.ts";
import { type FakeChannel, fakeLink } from "../../support/fake_link.ts";

/** A publisher over a broker that does only what the test says, and how its replies have ended, by their bodies. */
async function publisher() {
  const link = await fakeLink(() => replies.flush());
  const replies = await ReplyPublisher.open(link.connection);
  const ends: string[] = [];
  const send = (id: number, rest: Partial<Reply> = {}): void =>
    replies.send({
      replyTo: toByteString("amq.gen-1"),
      correlationId: toByteString(`${id}`),
      contentType: "text/plain",
      isError: false,
      headers: undefined,
      body: new Uint8Array([id]),
      deadline: performance.now() + 60_000,
      done: (fate) => ends.push(`${id} ${fate}`),
      ...rest,
    });
  const channel = (at: number): FakeChannel => {
    const found = link.channels[at];
    if (found === undefined) throw new Error(`There is no channel ${at}`);
    return found;
  };
  return { link, replies, ends, send, channel, [Symbol.asyncDispose]: () => link[Symbol.asyncDispose]() };
}

/** What was published on a channel. */
function sent({ published }: FakeChannel): (number | undefined)[] {
  return published.map(({ body }) => body[0]);
}

/** Waits until something is true; everything here takes a few turns of the event loop. */
async function until(what: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !what(); turn++) await new Promise((resolve) => setTimeout(resolve));
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
