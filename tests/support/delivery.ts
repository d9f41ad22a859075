import type { Delivery } from "../../lib/wire/message.ts";

/** A delivery with nothing in it, but for what is given. */
export function delivery(parts: Partial<Delivery> = {}): Delivery {
  return {
    consumerTag: "",
    deliveryTag: 1,
    redelivered: false,
    exchange: "",
    routingKey: "q",
    properties: {},
    body: new Uint8Array(),
    malformed: undefined,
    ...parts,
  };
}
