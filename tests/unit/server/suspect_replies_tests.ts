import { assertEquals } from "@std/assert";
import { SuspectReplies } from "../../../lib/server/suspect_replies.ts";

function reply(id: string): { replyTo: string; correlationId: string } {
  return { replyTo: "caller", correlationId: id };
}

Deno.test("SuspectReplies counts the links that were lost with replies to a request", () => {
  const suspects = new SuspectReplies();
  assertEquals(suspects.lossesOf(reply("a")), 0);
  suspects.linkLost();
  suspects.add(reply("a"));
  suspects.add(reply("b"));
  suspects.linkLost();
  suspects.add(reply("a"));
  assertEquals([suspects.lossesOf(reply("a")), suspects.lossesOf(reply("b"))], [2, 1]);
});

Deno.test("SuspectReplies counts a link once, however many replies to a request were lost with it", () => {
  const suspects = new SuspectReplies();
  suspects.linkLost();
  for (let n = 0; n < 3; n++) suspects.add(reply("a"));
  assertEquals(suspects.lossesOf(reply("a")), 1);
});

Deno.test("SuspectReplies forgets a reply that has done no harm", () => {
  const suspects = new SuspectReplies();
  suspects.linkLost();
  suspects.add(reply("a"));
  suspects.delete(reply("a"));
  assertEquals(suspects.lossesOf(reply("a")), 0);
});

Deno.test("SuspectReplies remembers a thousand replies, and forgets the oldest first", () => {
  const suspects = new SuspectReplies();
  suspects.linkLost();
  for (let n = 0; n <= 1_000; n++) suspects.add(reply(`${n}`));
  assertEquals([0, 1, 1_000].map((n) => suspects.lossesOf(reply(`${n}`))), [0, 1, 1]);
});
