import { assertEquals } from "@std/assert";
import { bigint, bytes, type Codec, integer, json, procedure, text } from "../../lib/rpc.ts";
import { live } from "../support/live.ts";
import { pair } from "../support/pair.ts";

live("Values of every codec arrive as they were sent", async ({ url, queue }) => {
  async function echo<Value>(codec: Codec<Value>, values: readonly Value[]): Promise<void> {
    const called = procedure({ queue, queueType: "classic", request: codec, reply: codec });
    await using p = await pair(url, called, (value) => value);
    assertEquals(await Promise.all(values.map((value) => p.client.call(called, value))), values);
  }
  await echo(bytes(), [new Uint8Array(), Uint8Array.from([0, 255]), new Uint8Array(300_000).fill(7)]);
  await echo(text(), ["", "é€😀", "\ufeff", "x".repeat(300_000)]);
  await echo(integer(), [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);
  await echo(bigint(), [0n, -1n, 10n ** 1_000n]);
  await echo(json(), [null, [], { a: [1, "é", { b: false }] }]);
});

live("A view of a larger buffer arrives as the view", async ({ url, queue }) => {
  const called = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
  await using p = await pair(url, called, (value) => value.subarray(1, 3));
  assertEquals(await p.client.call(called, Uint8Array.from([9, 1, 2, 3, 9]).subarray(1, 4)), Uint8Array.from([2, 3]));
});
