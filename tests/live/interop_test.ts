import { assertEquals, assertStringIncludes } from "@std/assert";
import { fib, fibonacci } from "../../lib/tutorial/fib.ts";
import { method, RpcClient, RpcServer, service } from "../../lib/rpc.ts";
import { isAtLeast, waitFor } from "../support/live.ts";
import { interop, PIKA_PEER } from "../support/pika.ts";
import { type Script, start } from "../support/script.ts";

/** The queue of a plain server: as older tutorials declare it, or as today's one where the broker refuses that. */
async function queueTypeAt(url: string): Promise<"transient" | "quorum"> {
  return await isAtLeast(url, "4.3") ? "quorum" : "transient";
}

/** Starts the plain server, whose replies have these headers. */
async function startPlain(python: string, url: string, queue: string, ...headers: string[]): Promise<Script> {
  const queueType = await queueTypeAt(url);
  const args = queueType === "quorum" ? [queueType] : [];
  const plain = start([python, PIKA_PEER, "server", queue, ...args, ...headers], { AMQP_URL: url });
  await plain.printed(" [x] Awaiting RPC requests");
  return plain;
}

interop("A plain tutorial client gets its number from our server", async ({ url, queue, python }) => {
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n) => fib(n), { prefetch: 1 });
  await using client = start([python, PIKA_PEER, "client", queue, "30"], { AMQP_URL: url });
  const { code, stdout, stderr } = await client.ended();
  assertEquals([code, stdout], [0, " [.] Got 832040\n"], stderr);
});

interop("Our client gets its number from a plain tutorial server", async ({ url, queue, python }) => {
  await using _server = await startPlain(python, url, queue);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call({ ...fibonacci, queue }, 30), 832040n);
  const numbers = [1, 2, 3, 50, 100];
  assertEquals(await Promise.all(numbers.map((n) => client.call({ ...fibonacci, queue }, n))), numbers.map(fib));
});

interop("Our server and a plain tutorial server share one queue", async ({ url, queue, python }) => {
  await using _plain = await startPlain(python, url, queue);
  let served = 0;
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue, queueType: await queueTypeAt(url) }, (n) => {
    served++;
    return fib(n);
  }, { prefetch: 1 });
  await using client = await RpcClient.connect(url);
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  assertEquals(await Promise.all(numbers.map((n) => client.call({ ...fibonacci, queue }, n))), numbers.map(fib));
  assertEquals(served > 0 && served < 200, true, `our server answered ${served} of 200`);
});

interop(
  "A plain tutorial server joins a queue that our server declared with the same type",
  async ({ url, queue, python }) => {
    await using server = await RpcServer.connect(url);
    await server.serve({ ...fibonacci, queue, queueType: await queueTypeAt(url) }, (n) => fib(n));
    await using plain = await startPlain(python, url, queue);
    await waitFor("the plain server runs", () => plain.stderr === "");
    assertStringIncludes(plain.stdout, "Awaiting");
  },
);

interop("A plain tutorial client reaches the default method of a service", async ({ url, queue, python }) => {
  const { request, reply } = fibonacci;
  const maths = service({
    queue,
    methods: { other: method({ request, reply }), fib: method({ request, reply }) },
    default: "fib",
  });
  await using server = await RpcServer.connect(url);
  await server.serve(maths, { fib: (n) => fib(n), other: () => 0n });
  await using client = start([python, PIKA_PEER, "client", queue, "30"], { AMQP_URL: url });
  const { code, stdout, stderr } = await client.ended();
  assertEquals([code, stdout], [0, " [.] Got 832040\n"], stderr);
});

interop("A handler reads the headers of a Python client, which reads those of the reply", async ({
  url,
  queue,
  python,
}) => {
  const seen: unknown[] = [];
  await using server = await RpcServer.connect(url);
  await server.serve({ ...fibonacci, queue }, (n, { headers, replyHeaders }) => {
    seen.push({ ...headers });
    replyHeaders["took"] = "1 ms";
    replyHeaders["empty"] = "";
    return fib(n);
  });
  const sent = ["tenant=acme", "authorization=Bearer a=b", "empty="];
  await using client = start([python, PIKA_PEER, "client", queue, "30", ...sent], { AMQP_URL: url });
  const { code, stdout, stderr } = await client.ended();
  assertEquals([code, stdout], [0, ' [.] Got 832040\n{"empty": "", "took": "1 ms"}\n'], stderr);
  assertEquals(seen, [{ tenant: "acme", authorization: "Bearer a=b", empty: "" }]);
});

interop("A Python server reads the headers of our client, which gets those of the reply", async ({
  url,
  queue,
  python,
}) => {
  await using server = await startPlain(python, url, queue, "took=1 ms", "served-by=pika");
  await using client = await RpcClient.connect(url);
  const got: unknown[] = [];
  const onReplyHeaders = (headers: unknown): void => void got.push(headers);
  const headers = { tenant: "acme", traceparent: "00-1-2-01" };
  assertEquals(await client.call({ ...fibonacci, queue }, 30, { headers, onReplyHeaders }), 832040n);
  // After the time of sending, which the library adds.
  const printed = '"tenant": "acme", "traceparent": "00-1-2-01"}';
  await waitFor("the headers are printed", () => server.stdout.includes(printed));
  assertEquals(got.map((headers) => ({ ...headers as object })), [{ took: "1 ms", "served-by": "pika" }]);
});
