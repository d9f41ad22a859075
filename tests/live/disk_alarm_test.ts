/**
 * A broker whose disk is full: it raises its disk alarm when less is free than its limit, and then reads no publisher.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { type ClientEvent, RpcClient, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import type { Broker } from "../support/broker.ts";
import { double, lab, listen } from "../support/lab.ts";
import { waitFor } from "../support/live.ts";
import { failure } from "../support/pair.ts";
import { gated } from "../support/handlers.ts";

const test = lab();

/** What no disk has, in bytes, and RabbitMQ's default. */
const LIMIT = { full: 1e16, free: 50_000_000 } as const;

/** Makes the disk full, or not, as the broker sees it. */
async function disk(broker: Broker, state: keyof typeof LIMIT): Promise<void> {
  await broker.eval(`rabbit_disk_monitor:set_disk_free_limit(${LIMIT[state]})`);
  await waitFor(`the disk is ${state}`, async () => {
    const alarms = await broker.eval("rabbit_alarm:get_alarms()");
    return alarms.includes("disk") === (state === "full");
  });
}

for (const queueType of ["classic", "quorum"] as const) {
  test(`While the broker's disk is full, calls wait or end in time, and nothing is lost (${queueType})`, async (use) => {
    const { broker, url, queue } = use;
    const called = double(queue, { queueType });
    const told = listen<ServerEvent>();
    const heard = listen<ClientEvent>();
    const gate = gated();
    await using server = await RpcServer.connect(url, { onEvent: told.onEvent });
    await server.serve(called, gate.handler);
    await using client = await RpcClient.connect(url, { onEvent: heard.onEvent, drainTimeout: 1_000 });
    const running = client.call(called, 1);
    await gate.started;
    await using _disk = { [Symbol.asyncDispose]: () => disk(broker, "free") };
    await disk(broker, "full");
    // Its reply waits for the end of the alarm.
    gate.release();
    // A connection learns of the alarm by what it publishes next.
    const { code, message } = await failure(client.call(called, 2, { timeout: 500 }));
    assertEquals(code, "resource_exhausted");
    assertStringIncludes(message, "disk");
    await waitFor("the server is told", () => told.of("blocked").length === 1);
    const short = await failure(client.call(called, 3, { timeout: 200 }));
    assertEquals([short.code, short.outcome], ["resource_exhausted", "not_executed"]);
    const waiting = client.call(called, 4, { timeout: 20_000 });
    await disk(broker, "free");
    assertEquals(await Promise.all([running, waiting]), [2, 8]);
    await waitFor("both are told", () => told.of("unblocked").length + heard.of("unblocked").length === 2);
    assertEquals([told.losses, heard.losses], [0, 0]);
  });
}
