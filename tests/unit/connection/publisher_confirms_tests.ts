import { assertEquals } from "@std/assert";
import { PublisherConfirms } from "../../../lib/connection/publisher_confirms.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { Random } from "../../support/random.ts";

/** Confirms of `a`, `b`, `c` and so on, and what has been settled of them: `a`, or `!a` if the broker refused it. */
function publish(items = ""): { readonly confirms: PublisherConfirms<string>; readonly settled: string[] } {
  const settled: string[] = [];
  const confirms = new PublisherConfirms<string>((item, refused) => settled.push(refused ? `!${item}` : item));
  for (const item of items) confirms.add(item);
  return { confirms, settled };
}

const ack = (deliveryTag: number, multiple = false) => ({ deliveryTag, multiple, nack: false });
const nack = (deliveryTag: number, multiple = false) => ({ deliveryTag, multiple, nack: true });

Deno.test("PublisherConfirms settles what one tag names", () => {
  const { confirms, settled } = publish("abc");
  confirms.confirm(ack(2));
  confirms.confirm(nack(3));
  confirms.confirm(ack(1));
  assertEquals(settled, ["b", "!c", "a"]);
});

Deno.test("PublisherConfirms settles all up to a tag, oldest first, and nothing beyond", () => {
  const { confirms, settled } = publish("abcd");
  confirms.confirm(ack(2));
  confirms.confirm(ack(3, true));
  assertEquals(settled, ["b", "a", "c"]);
  confirms.confirm(nack(4, true));
  assertEquals(settled, ["b", "a", "c", "!d"]);
});

Deno.test("PublisherConfirms settles each item once, and ignores tags that it does not know", () => {
  const { confirms, settled } = publish("ab");
  confirms.confirm(ack(1));
  for (const tag of [0, 1, 3]) confirms.confirm(ack(tag));
  confirms.confirm(nack(1, true));
  confirms.confirm(nack(0, true));
  assertEquals(settled, ["a"]);
  confirms.confirm(ack(9, true));
  confirms.confirm(ack(9, true));
  assertEquals(settled, ["a", "b"]);
});

Deno.test("PublisherConfirms gives what a lost channel leaves, oldest first, and forgets it", () => {
  const { confirms, settled } = publish("abc");
  confirms.confirm(ack(2));
  assertEquals(confirms.takeAll(), ["a", "c"]);
  assertEquals(confirms.takeAll(), []);
  confirms.confirm(ack(3, true));
  assertEquals(settled, ["b"]);
});

Deno.test("PublisherConfirms counts tags from 1 again for a new channel, and forgets what was open", () => {
  const { confirms, settled } = publish("abc");
  confirms.confirm(ack(2, true));
  confirms.reset();
  confirms.add("d");
  confirms.add("e");
  confirms.confirm(ack(3, true));
  assertEquals(settled, ["a", "b", "d", "e"]);
});

Deno.test("PublisherConfirms goes on counting after takeAll(), on the same channel", () => {
  const { confirms, settled } = publish("ab");
  confirms.takeAll();
  confirms.add("c");
  confirms.confirm(ack(1));
  assertEquals(settled, []);
  confirms.confirm(ack(3));
  assertEquals(settled, ["c"]);
});

Deno.test("PublisherConfirms settles what is added while something is settled, if it is meant too", () => {
  const settled: string[] = [];
  const confirms = new PublisherConfirms<string>((item) => {
    settled.push(item);
    if (item === "a") confirms.add("c");
  });
  for (const item of "ab") confirms.add(item);
  confirms.confirm(ack(2, true));
  assertEquals(settled, ["a", "b"]);
  confirms.confirm(ack(3));
  assertEquals(settled, ["a", "b", "c"]);
});

Deno.test("PublisherConfirms survives that everything is taken while something is settled", () => {
  const settled: string[] = [];
  const taken: string[][] = [];
  const confirms = new PublisherConfirms<string>((item) => {
    settled.push(item);
    taken.push(confirms.takeAll());
  });
  for (const item of "abc") confirms.add(item);
  confirms.confirm(ack(3, true));
  assertEquals([settled, taken], [["a"], [["b", "c"]]]);
});

Deno.test("PublisherConfirms has no silence while there is nothing to confirm", () => {
  using clock = new FakeClock();
  const { confirms } = publish();
  clock.advance(500);
  assertEquals(confirms.silence, 0);
  confirms.add("a");
  confirms.confirm(ack(1));
  clock.advance(500);
  assertEquals(confirms.silence, 0);
});

Deno.test("PublisherConfirms is silent from the first item on, whatever is added later", () => {
  using clock = new FakeClock();
  const { confirms } = publish();
  clock.advance(500);
  confirms.add("a");
  clock.advance(30);
  confirms.add("b");
  clock.advance(20);
  assertEquals(confirms.silence, 50);
});

for (const [what, confirm] of [["one", ack(1)], ["several", ack(1, true)], ["a refused", nack(1)]] as const) {
  Deno.test(`PublisherConfirms is silent from the last confirm of ${what} on`, () => {
    using clock = new FakeClock();
    const { confirms } = publish("ab");
    clock.advance(50);
    confirms.confirm(confirm);
    clock.advance(20);
    assertEquals(confirms.silence, 20);
  });
}

Deno.test("PublisherConfirms is silent anew when it had nothing to confirm for a while", () => {
  using clock = new FakeClock();
  const { confirms } = publish("a");
  confirms.takeAll();
  clock.advance(500);
  confirms.add("b");
  clock.advance(20);
  assertEquals(confirms.silence, 20);
});

Deno.test("PublisherConfirms settles what a plain list of open tags would, whatever comes when", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const random = new Random(seed);
  const { confirms, settled } = publish();
  const expected: string[] = [];
  let open: { readonly tag: number; readonly item: string }[] = [];
  let tag = 0;
  for (let step = 0; step < 5_000; step++) {
    const item = `${step}`;
    const what = random.integer(1, 100);
    if (what <= 55) {
      confirms.add(item);
      open.push({ tag: ++tag, item });
    } else if (what <= 97) {
      const confirm = {
        deliveryTag: random.integer(Math.max(0, tag - 8), tag + 2),
        multiple: random.chance(40),
        nack: random.chance(20),
      };
      const meant = (one: number) => confirm.multiple ? one <= confirm.deliveryTag : one === confirm.deliveryTag;
      for (const { tag, item } of open) if (meant(tag)) expected.push(confirm.nack ? `!${item}` : item);
      open = open.filter(({ tag }) => !meant(tag));
      confirms.confirm(confirm);
    } else if (what <= 98) {
      assertEquals(confirms.takeAll(), open.map(({ item }) => item), `SEED=${seed}`);
      open = [];
    } else {
      confirms.reset();
      open = [];
      tag = 0;
    }
    assertEquals(settled.splice(0), expected.splice(0), `SEED=${seed}, step ${step}`);
  }
  assertEquals(confirms.takeAll(), open.map(({ item }) => item), `SEED=${seed}`);
});
