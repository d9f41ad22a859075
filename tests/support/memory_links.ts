/** Links and channels to a broker in memory, and what they are told. */

import { parseHosts } from "../../lib/connection/broker_url.ts";
import type { Channel } from "../../lib/connection/channel.ts";
import { MemoryBroker } from "../../lib/testing/memory_broker.ts";
import { MemoryLink } from "../../lib/testing/memory_link.ts";
import { findHeader } from "../../lib/wire/field_table.ts";
import type { Delivery, Publish } from "../../lib/wire/message.ts";

const [host] = parseHosts("amqp://memory");

/** A link with one channel. */
export interface Opened extends AsyncDisposable {
  readonly broker: MemoryBroker;
  readonly link: MemoryLink;
  readonly channel: Channel;
  /** What the link's listener and the channel's have been told, in order. */
  readonly told: string[];
}

/** What a delivery is told as: the byte of its body, and that it comes again. */
export function textOf({ body, redelivered, properties: { headers } }: Delivery): string {
  const count = findHeader(headers, "x-delivery-count");
  return `${body[0]}${redelivered ? " again" : ""}${count === undefined ? "" : `, returned ${count} times`}`;
}

/** Opens a link and a channel with confirms. */
export async function open(broker = new MemoryBroker()): Promise<Opened> {
  const told: string[] = [];
  if (host === undefined) throw new Error("There is no host");
  const link = new MemoryLink(broker, host, {
    blocked: () => {},
    lost: (cause) => told.push(`lost ${cause?.message ?? ""}`),
  });
  const channel = await link.openChannel("test", true);
  channel.listen({
    delivered: (delivery) => told.push(`got ${textOf(delivery)}`),
    returned: ({ replyCode }) => told.push(`returned ${replyCode}`),
    confirmed: ({ deliveryTag, nack }) => told.push(`${nack ? "nacked" : "confirmed"} ${deliveryTag}`),
  });
  channel.onClosed((refusal) => told.push(`closed ${refusal?.message ?? ""}`));
  return { broker, link, channel, told, [Symbol.asyncDispose]: () => link.close() };
}

/** Waits until all that was written so far has taken effect. */
export function settled(broker: MemoryBroker): Promise<void> {
  return new Promise((resolve) => broker.post(() => broker.post(resolve)));
}

/** A mandatory message with one byte. */
export function to(routingKey: string, number = 0, exchange = ""): Publish {
  return { exchange, routingKey, mandatory: true, properties: {}, body: new Uint8Array([number]) };
}
