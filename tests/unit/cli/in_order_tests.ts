import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { inOrder, paced } from "../../../lib/cli/in_order.ts";
import { runs } from "../../support/runs.ts";

/** Calls that a test ends one by one. */
function manual() {
  const open = new Map<number, (result: string) => void>();
  let most = 0;
  return {
    open,
    get most() {
      return most;
    },
    run: (input: number): Promise<string> => {
      const { promise, resolve } = Promise.withResolvers<string>();
      open.set(input, (result) => {
        open.delete(input);
        resolve(result);
      });
      most = Math.max(most, open.size);
      return promise;
    },
  };
}

/** Lets all that is ready go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

Deno.test("Results come in the order of the inputs, whatever order the calls end in", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      fc.boolean(),
      async (delays, concurrency, asynchronous) => {
        const inputs = Array.from(delays.keys());
        let running = 0;
        let most = 0;
        const run = async (input: number): Promise<number> => {
          most = Math.max(most, ++running);
          for (let n = 0; n < (delays[input] ?? 0); n++) await settle();
          running--;
          return input;
        };
        const source = asynchronous ? ReadableStream.from(inputs) : inputs;
        assertEquals(await Array.fromAsync(inOrder(source, run, { concurrency })), inputs);
        assert(most <= concurrency);
      },
    ),
    runs(300),
  );
});

Deno.test("As many calls run at once as are allowed, and results that wait do not count", async () => {
  const calls = manual();
  const results = inOrder(Array(100).keys(), calls.run, { concurrency: 3 });
  const first = results.next();
  await settle();
  assertEquals(Array.from(calls.open.keys()), [0, 1, 2]);
  for (const n of [1, 2, 3]) {
    calls.open.get(n)?.(`${n}`);
    await settle();
  }
  assertEquals(Array.from(calls.open.keys()), [0, 4, 5]);
  calls.open.get(0)?.("0");
  assertEquals(await first, { value: "0", done: false });
  await results.return(undefined);
});

Deno.test("No more inputs are read than may wait for the first, by number and by size", async () => {
  for (const sizeOf of [undefined, () => 1024 * 1024]) {
    let read = 0;
    const inputs = (function* () {
      for (;;) yield read++;
    })();
    const results = inOrder(inputs, (n) => n === 0 ? new Promise<number>(() => {}) : Promise.resolve(n), {
      concurrency: 2,
      ...(sizeOf === undefined ? {} : { sizeOf }),
    });
    results.next();
    for (let n = 0; n < 20; n++) await settle();
    assertEquals(read, sizeOf === undefined ? 32 : 17);
  }
});

Deno.test("Nothing is read or run before the results are asked for", async () => {
  const calls = manual();
  inOrder([1, 2], calls.run, { concurrency: 2 });
  await settle();
  assertEquals(calls.open.size, 0);
});

Deno.test("What reading throws comes after the results of what was read before", async () => {
  const inputs = (function* () {
    yield 1;
    yield 2;
    throw new Error("broken");
  })();
  const results: number[] = [];
  await assertRejects(
    async () => {
      for await (const result of inOrder(inputs, (n) => settle().then(() => n), { concurrency: 5 })) {
        results.push(result);
      }
    },
    Error,
    "broken",
  );
  assertEquals(results, [1, 2]);
});

Deno.test("No inputs, no results", async () => {
  assertEquals(await Array.fromAsync(inOrder([], () => Promise.resolve(1), { concurrency: 1 })), []);
});

Deno.test("paced() keeps the rate, and ends its wait when its signal is aborted", async () => {
  const began = performance.now();
  const signal = new AbortController().signal;
  assertEquals(await Array.fromAsync(paced([1, 2, 3, 4, 5, 6], 100, signal)), [1, 2, 3, 4, 5, 6]);
  const took = performance.now() - began;
  assert(took >= 45, `five waits of 10 ms took ${took} ms`);
  const stop = new AbortController();
  const waiting = Array.fromAsync(paced([1, 2], 0.001, stop.signal));
  await settle();
  stop.abort();
  assertEquals(await waiting, [1, 2]);
});

Deno.test("paced() catches up what timers cannot do, and little more after a pause", async () => {
  const inputs = paced(Array(10_000).keys(), 10_000, new AbortController().signal);
  const began = performance.now();
  for (let n = 0; n < 500; n++) await inputs.next();
  const took = performance.now() - began;
  assert(took >= 45, `500 at 10,000/s took ${took} ms`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const resumed = performance.now();
  for (let n = 0; n < 1_500; n++) await inputs.next();
  assert(performance.now() - resumed >= 40, "a tenth of a second is caught up, not three");
});
