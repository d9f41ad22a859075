import { assertThrows } from "@std/assert";
import type { Channel as AmqplibChannel } from "amqplib";
import { EventEmitter } from "node:events";
import { AmqpChannel } from "../../../lib/connection/amqp_channel.ts";
import { ChannelClosedError } from "../../../lib/connection/channel.ts";
import type { FrameTransport } from "../../../lib/connection/frame_transport.ts";

Deno.test("Nothing is published after a write has failed: it would be lost, and nobody would know that it was not written", () => {
  const transport = { failed: false, take: () => {}, release: () => {}, publish: () => true };
  const amqplib = Object.assign(new EventEmitter(), { ch: 1 });
  const channel = new AmqpChannel(
    amqplib as unknown as AmqplibChannel,
    transport as unknown as FrameTransport,
    1_000,
  );
  const message = { exchange: "", routingKey: "q", mandatory: true, properties: {}, body: new Uint8Array() };
  channel.publish(message);
  transport.failed = true;
  assertThrows(() => channel.publish(message), ChannelClosedError);
});
