import { assertEquals, assertRejects } from "@std/assert";
import { fib, fibonacci, MAX_N } from "../../lib/tutorial/fib.ts";
import { RpcClient, RpcError, RpcServer } from "../../lib/rpc.ts";
import { live, plainCall } from "../support/live.ts";

const REFUSED: readonly (readonly [string, string, string, string])[] = [
  ["above the bound", "100001", "out_of_range", "100001: must be between 0 and 100000"],
  ["far above the bound", "9".repeat(30), "out_of_range", "must be between 0 and 100000"],
  ["a fraction", "3.5", "invalid_argument", '"3.5"'],
  ["a minus sign", "-5", "out_of_range", "-5: must be between 0 and 100000"],
  ["minus zero", "-0", "invalid_argument", '"-0"'],
  ["a plus sign", "+5", "invalid_argument", '"+5"'],
  ["a blank within", "5 5", "invalid_argument", '"5 5"'],
  ["blanks alone", "  ", "invalid_argument", '"  "'],
  ["hex", "0x1e", "invalid_argument", '"0x1e"'],
  ["an exponent", "1e3", "invalid_argument", '"1e3"'],
  ["a word", "thirty", "invalid_argument", '"thirty"'],
  ["digits of another script", "٣٠", "invalid_argument", '"٣٠"'],
  ["an empty body", "", "invalid_argument", '""'],
  ["1 MB of digits", "9".repeat(1_000_000), "out_of_range", "1000000 bytes, at most 32 are allowed"],
];

for (const [what, body, code, part] of REFUSED) {
  live(`A request of ${what} is refused with ${code} by name, before the handler runs`, async ({ url, queue }) => {
    await using server = await RpcServer.connect(url);
    let runs = 0;
    await server.serve({ ...fibonacci, queue }, (n) => {
      runs++;
      return fib(n);
    });
    const reply = await plainCall(url, queue, body);
    assertEquals(reply.properties.type, "rpc.error");
    const error = JSON.parse(reply.content.toString());
    assertEquals([error.code, error.outcome, runs], [code, "not_executed", 0]);
    assertEquals(error.message.includes(part), true, error.message);
  });
}

live("A request that is not UTF-8 is refused with invalid_argument", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n) => fib(n));
  const reply = await plainCall(url, queue, Uint8Array.from([0xff, 0x33]));
  assertEquals(JSON.parse(reply.content.toString()).code, "invalid_argument");
});

live("RpcClient.call(fibonacci) gives every digit of fib(0), fib(100) and fib(100000)", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n) => fib(n));
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call({ ...fibonacci, queue }, 0), 0n);
  assertEquals(await client.call({ ...fibonacci, queue }, 100), 354224848179261915075n);
  assertEquals(await client.call({ ...fibonacci, queue }, MAX_N), fib(MAX_N));
});

live("RpcClient.call(fibonacci) refuses what is out of bounds before it publishes", async ({ url, queue }) => {
  await using client = await RpcClient.connect(url);
  const error = await assertRejects(() => client.call({ ...fibonacci, queue }, -1), RpcError, "-1: must be between");
  assertEquals([error.code, error.outcome], ["out_of_range", "not_executed"]);
});

live("Blanks and line ends around a request are left out, as the tutorial's servers do", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n) => fib(n));
  for (const body of ["30\n", " 30", "30\r\n"]) {
    assertEquals((await plainCall(url, queue, body)).content.toString(), "832040");
  }
});
