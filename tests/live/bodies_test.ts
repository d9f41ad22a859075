import { assertEquals } from "@std/assert";
import { bytes, procedure } from "../../lib/rpc.ts";
import { deleteQueue, live } from "../support/live.ts";
import { heard, pair, told } from "../support/pair.ts";

/** On both sides of every size at which the way of a body changes: Buffers, frames, gathered writes, several frames. */
const SIZES = [
  ...[0, 1, 64, 65, 255, 256, 2_047, 2_048, 4_087, 4_088, 4_089, 5_000, 8_183, 8_184, 8_191, 8_192, 8_193],
  ...[16_383, 16_384, 65_527, 65_528, 65_535, 65_536, 65_537, 131_063, 131_064, 131_065, 200_000],
];

/** Different for every call, and in every place. */
function content(size: number, seed: number): Uint8Array {
  const body = new Uint8Array(size);
  for (let n = 0, x = seed + 1; n < size; n++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
    body[n] = x >>> 24;
  }
  return body;
}

function reversed(body: Uint8Array): Uint8Array {
  return body.slice().reverse();
}

for (const concurrent of [1, 2, 13, 40]) {
  live(`Bodies of every size arrive as they were sent, ${concurrent} at once`, async ({ url, queue }) => {
    const mirror = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
    await using both = await pair(url, mirror, reversed, { prefetch: 100 });
    for (const size of SIZES) {
      const bodies = Array.from({ length: concurrent }, (_, n) => content(size, 1_000 * size + n));
      const replies = await Promise.all(bodies.map((body) => both.client.call(mirror, body)));
      for (const [n, reply] of replies.entries()) assertEquals(reply, reversed(bodies[n] ?? reply), `${size} bytes`);
    }
    assertEquals([heard(both.client, "disconnected"), told(both.server, "disconnected")], [[], []]);
  });
}

live("Bodies of all sizes arrive as they were sent in one turn", async ({ url, queue }) => {
  const mirror = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
  await using both = await pair(url, mirror, reversed, { prefetch: 100 });
  for (let round = 0; round < 5; round++) {
    // Many that are copied, so that they are more than the gathered writes of one turn first have room for.
    const copied = Array.from({ length: 60 }, (_, n) => 4_089 + 68 * n);
    const sizes = [...SIZES, ...copied].sort(() => Math.random() - 0.5);
    const bodies = sizes.map((size, n) => content(size, 100 * round + n));
    const replies = await Promise.all(bodies.map((body) => both.client.call(mirror, body)));
    for (const [n, reply] of replies.entries()) assertEquals(reply, reversed(bodies[n] ?? reply));
  }
  assertEquals([heard(both.client, "disconnected"), told(both.server, "disconnected")], [[], []]);
});

for (const name of ["größe", "очередь", "行列🐇", "طابور"]) {
  live(`A queue may be named "${name}"`, async ({ url, queue }) => {
    const named = `${queue}.${name}`;
    await using _named = { [Symbol.asyncDispose]: () => deleteQueue(url, named) };
    const mirror = procedure({ queue: named, queueType: "classic", request: bytes(), reply: bytes() });
    await using both = await pair(url, mirror, reversed, { prefetch: 100 });
    const bodies = [100, 100, 5_000, 0, 40_000, 100].map(content);
    const replies = await Promise.all(bodies.map((body) => both.client.call(mirror, body)));
    for (const [n, reply] of replies.entries()) assertEquals(reply, reversed(bodies[n] ?? reply));
    assertEquals([heard(both.client, "disconnected"), told(both.server, "disconnected")], [[], []]);
  });
}
