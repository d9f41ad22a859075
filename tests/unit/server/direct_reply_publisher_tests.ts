import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { DirectReplyPublisher } from "../../../lib/server/direct_reply_publisher.ts";
import type { Reply } from "../../../lib/server/reply_publisher.ts";
import { MAX_BYTES, MAX_COUNT } from "../../../lib/server/waiting_replies.ts";
import { toByteString } from "../../../lib/wire/byte_string.ts";
import { type FakeChannel, type FakeLink, fakeLink, reply } from "../../support/fake_link.ts";

/** The direct address of a caller. */
function address(caller: number): string {
  const pid = Buffer.concat([Buffer.from([131, 88, 119, 3]), Buffer.from("a@b"), Buffer.alloc(12, caller)]);
  return `amq.rabbitmq.reply-to.${pid.toString("base64")}.${Buffer.alloc(16, 1).toString("base64")}`;
}

/** A publisher over brokers that do only what the test says, and how its replies have ended, by their bodies. */
function publisher() {
  const links: FakeLink[] = [];
  const replies = new DirectReplyPublisher(async (flush) => {
    const link = await fakeLink(flush);
    links.push(link);
    return link.connection;
  });
  const ends: string[] = [];
  const send = (id: number, caller: number, rest: Partial<Reply> = {}): void =>
    replies.send({
      ...reply(id),
      replyTo: toByteString(address(caller)),
      done: (fate) => ends.push(`${id} ${fate}`),
      ...rest,
    });
  /** The channel of the first connection, which is for callers without a confirmed reply, or of the second one. */
  const channel = (at: number): FakeChannel => {
    const found = links[at]?.channels[0];
    if (found === undefined) throw new Error(`There is no connection ${at}`);
    return found;
  };
  const dispose = async (): Promise<void> => {
    replies.abandon();
    await replies.close();
  };
  return { links, replies, ends, send, channel, [Symbol.asyncDispose]: dispose };
}

function sent({ published }: FakeChannel): (number | undefined)[] {
  return published.map(({ body }) => body[0]);
}

/** Lets connections and channels be opened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve));
}

Deno.test("Callers get their first direct reply one at a time, and further ones beside them once it is confirmed", async () => {
  await using opened = publisher();
  const { links, ends, send, channel } = opened;
  for (const [id, caller] of [[1, 1], [2, 1], [3, 2], [4, 1]] as const) send(id, caller);
  await turns();
  assertEquals([links.length, sent(channel(0))], [1, [1]]);
  channel(0).confirm();
  await turns();
  assertEquals([sent(channel(0)), sent(channel(1))], [[1, 3], [2]]);
  channel(0).confirm();
  assertEquals([sent(channel(0)), sent(channel(1))], [[1, 3], [2, 4]]);
  channel(1).confirm();
  send(5, 2);
  assertEquals(sent(channel(1)), [2, 4, 5]);
  channel(1).confirm();
  assertEquals(ends, ["1 confirmed", "3 confirmed", "2 confirmed", "4 confirmed", "5 confirmed"]);
});

Deno.test("A direct reply that is dropped unwritten says nothing against its caller", async () => {
  await using opened = publisher();
  const { links, ends, send, channel } = opened;
  send(1, 1);
  await turns();
  channel(0).confirm();
  send(2, 1);
  await turns();
  links[1]?.block("memory");
  send(3, 1, { deadline: -Infinity });
  links[1]?.block(undefined);
  assertEquals(ends, ["1 confirmed", "3 dropped"]);
  send(4, 1);
  assertEquals([sent(channel(0)), sent(channel(1))], [[1], [2, 4]]);
  channel(1).refuse(undefined);
  await turns();
  assertEquals(ends, ["1 confirmed", "3 dropped", "2 dropped", "4 dropped"]);
  send(5, 1);
  assertEquals(sent(channel(0)), [1, 5]);
});

Deno.test("Replies to callers without a confirmed one are full while they cannot be sent, but not where a bad one may be the cause", async () => {
  await using opened = publisher();
  const { links, replies, ends, send, channel } = opened;
  const taken: number[] = [];
  send(1, 1);
  send(2, 1, { take: () => void taken.push(2) });
  for (let n = 1; n < MAX_COUNT; n++) {
    assertEquals(replies.isFull(0), false);
    send(3, 1);
  }
  assertEquals(replies.isFull(0), true);
  await turns();
  send(3, 1);
  assertEquals([replies.isFull(0), sent(channel(0))], [false, [1]]);
  links[0]?.block("memory");
  assertEquals(replies.isFull(0), true);
  links[0]?.block(undefined);
  assertEquals([replies.isFull(0), taken], [false, []]);
  channel(0).confirm();
  await turns();
  assertEquals([taken, ends.length, channel(1).published.length], [[2], 1, 1_000]);
});

Deno.test("Replies to other callers are full by their number or bytes, whatever they wait for", async () => {
  await using opened = publisher();
  const { replies, send, channel } = opened;
  send(1, 1);
  await turns();
  channel(0).confirm();
  send(2, 1);
  await turns();
  // They are large: no more than two of them are unconfirmed at once.
  const body = new Uint8Array(MAX_BYTES / 2);
  for (let n = 0; n < 3; n++) {
    assertEquals(replies.isFull(body.length), false);
    send(3, 1, { body });
  }
  assertEquals([replies.isFull(body.length), channel(1).published.length], [true, 3]);
  channel(1).confirm(2);
  assertEquals([replies.isFull(body.length), channel(1).published.length], [false, 4]);
  channel(1).confirm();
  for (let n = 0; n < 1_000 + MAX_COUNT; n++) {
    assertEquals(replies.isFull(0), false);
    send(4, 1);
  }
  assertEquals([replies.isFull(0), channel(1).published.length], [true, 1_004]);
});

Deno.test("The end of all direct replies is told once each has ended", async () => {
  await using opened = publisher();
  const { replies, send, channel } = opened;
  send(1, 1);
  send(2, 1, { take: () => {}, bodyIfLost: () => new Uint8Array([22]), isLost: () => true });
  const idle = replies.idle();
  await turns();
  channel(0).confirm();
  await turns();
  assertEquals(sent(channel(1)), [22]);
  channel(1).confirm();
  await idle;
  await replies.idle();
});

Deno.test("A request is taken off its queue once, also if the channel of its direct reply has just closed", async () => {
  await using opened = publisher();
  const { links, ends, send, channel } = opened;
  send(1, 1);
  await turns();
  channel(0).confirm();
  const gone = channel(0);
  // Closed already, and nobody has been told.
  gone.closed = true;
  let taken = 0;
  send(2, 2, {
    take: () => void taken++,
    bodyIfLost: () => new Uint8Array([22]),
    isLost: () => taken > 0,
  });
  gone.closed = false;
  gone.refuse(undefined);
  await turns();
  const again = links[0]?.channels[1];
  assertEquals([taken, again === undefined ? [] : sent(again)], [1, [22]]);
  again?.confirm();
  assertEquals(ends, ["1 confirmed", "2 confirmed"]);
});
