import { assertEquals } from "@std/assert";
import { bytes, type Codec, procedure, text } from "../../lib/rpc.ts";
import { live, waitFor } from "../support/live.ts";
import { relay } from "../support/relay.ts";
import { connectClient, failure, heard, startServer } from "../support/pair.ts";
import { plainServer } from "../support/plain_server.ts";
import { portOf, through } from "../support/relay.ts";

for (const size of [1, 100, 8_192, 200_000]) {
  live(`An array of ${size} bytes that is changed while its call waits is sent as it was`, async ({ url, queue }) => {
    const echo = procedure({ queue, queueType: "classic", request: bytes(), reply: bytes() });
    await using _server = await startServer(url, echo, (body) => body);
    await using link = relay(portOf(url));
    await using client = await connectClient(through(url, link.port), { heartbeat: 0 });
    link.stall();
    link.cut();
    await waitFor("the connection is lost", () => heard(client, "disconnected").length === 1);
    const body = new Uint8Array(size).fill(1);
    const calling = client.call(echo, body);
    body.fill(2);
    link.resume();
    assertEquals(await calling, new Uint8Array(size).fill(1));
  });

  live(
    `An array of ${size} bytes that a handler changes after it gave it is sent as it was`,
    async ({ url, queue }) => {
      const make = procedure({ queue, queueType: "classic", request: text(), reply: bytes() });
      await using _server = await startServer(url, make, () => {
        const body = new Uint8Array(size).fill(1);
        queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => body.fill(2))));
        return body;
      });
      await using client = await connectClient(url);
      assertEquals(await client.call(make, ""), new Uint8Array(size).fill(1));
    },
  );
}

live("A call that cannot be encoded when it is sent again does not end as not_executed", async ({ url, queue }) => {
  let sent = false;
  const odd: Codec<string> = {
    ...text(),
    get contentType() {
      return sent ? "x".repeat(300) : "text/plain";
    },
  };
  const called = procedure({ queue, queueType: "classic", request: odd, reply: text(), idempotent: true });
  await using server = await plainServer(url, queue, () => {});
  await using link = relay(portOf(url));
  await using client = await connectClient(through(url, link.port));
  const ended = failure(client.call(called, "Ada"));
  await waitFor("the request has arrived", () => server.received.length === 1);
  sent = true;
  link.cut();
  const { code, outcome } = await ended;
  assertEquals([code, outcome], ["invalid_argument", "unknown"]);
});
