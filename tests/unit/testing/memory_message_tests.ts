import { assertEquals, assertThrows } from "@std/assert";
import { store, timeToLive, toDelivery, toReturned } from "../../../lib/testing/memory_message.ts";
import type { Publish, PublishProperties } from "../../../lib/wire/message.ts";
import { findHeader, readHeaders } from "../../../lib/wire/field_table.ts";

const FACTS = { consumerTag: "tag", deliveryTag: 3, redelivered: true, deliveryCount: undefined };

function publish(properties: PublishProperties, body: Uint8Array = new Uint8Array([1, 2])): Publish {
  return { exchange: "exchange", routingKey: "key", mandatory: true, properties, body };
}

Deno.test("store() keeps the properties as they arrive from a broker", () => {
  const properties = { contentType: "text/plain", correlationId: "\xff", replyTo: "r", messageId: "m", type: "t" };
  const stored = store(publish({ ...properties, expiration: "20", deliveryMode: 1, headers: [["tenant", "acme"]] }));
  const { headers, ...others } = toDelivery(stored, FACTS).properties;
  assertEquals(
    Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined)),
    { ...properties, expiration: "20", deliveryMode: 1 },
  );
  assertEquals(readHeaders(headers), new Map([["tenant", "acme"]]));
  assertEquals([timeToLive(stored), timeToLive(store(publish({})))], [20, Infinity]);
});

Deno.test("store() and toDelivery() copy the body each time", () => {
  const body = new Uint8Array([1, 2]);
  const stored = store(publish({}, body));
  body.fill(9);
  const first = toDelivery(stored, FACTS);
  first.body.fill(8);
  assertEquals(toDelivery(stored, FACTS).body, new Uint8Array([1, 2]));
});

Deno.test("store() refuses what cannot be written to a broker", () => {
  assertThrows(() => store(publish({ type: "t".repeat(256) })), RangeError, "'type' has 256 bytes");
  assertThrows(() => store({ ...publish({}), routingKey: "\u0100" }), TypeError);
});

Deno.test("toDelivery() counts in a header, beside those of the sender", () => {
  const counted = { ...FACTS, deliveryCount: 2 };
  const { headers } = toDelivery(store(publish({ headers: [["a", "b"]] })), counted).properties;
  assertEquals(readHeaders(headers), new Map<string, string | number>([["a", "b"], ["x-delivery-count", 2]]));
  assertEquals(findHeader(toDelivery(store(publish({})), counted).properties.headers, "x-delivery-count"), 2);
  assertEquals(toDelivery(store(publish({})), { ...FACTS, deliveryCount: 0 }).properties.headers, undefined);
});

Deno.test("toReturned() says that there is no route", () => {
  const { replyCode, replyText, exchange, routingKey, properties } = toReturned(store(publish({ correlationId: "c" })));
  assertEquals([replyCode, replyText, exchange, routingKey, properties.correlationId], [
    312,
    "NO_ROUTE",
    "exchange",
    "key",
    "c",
  ]);
});
