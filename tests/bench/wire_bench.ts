/**
 * The wire codec beside amqplib's, and beside the encoder that it replaces: `deno bench tests/bench/wire_bench.ts`.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { findHeader } from "../../lib/wire/field_table.ts";
import { FrameDecoder } from "../../lib/wire/frame_decoder.ts";
import { encodeAck, encodePublish, sizeOfPublish } from "../../lib/wire/frame_encoder.ts";
import { AmqplibOracle, DELIVER, PUBLISH } from "../support/amqplib_oracle.ts";
import { entry, long } from "../support/wire.ts";

/** How many messages or confirms are in a chunk, as a socket gives it under load. */
const COUNT = 200;

const oracle = await AmqplibOracle.open();
const place = { channel: 1, frameMax: 131_072 };
const target = Buffer.alloc(64 * 1024);
const body = Buffer.from("42");
const properties = {
  contentType: "text/plain",
  deliveryMode: 1,
  correlationId: "0123456789abcdefABCDEF-12345",
  replyTo: "amq.gen-0123456789abcdefABCDEF",
  expiration: "30000",
  messageId: "0123456789abcdefABCDEF-12345",
};
const routing = { exchange: "", routingKey: "rpc_queue", mandatory: true };
const message = { ...routing, properties, body };
const traced = {
  ...message,
  properties: { ...properties, headers: [["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]] },
} as const;

Deno.bench("a request, by this encoder", { group: "publish", baseline: true }, () => {
  sizeOfPublish(message, place.frameMax);
  encodePublish(target, 0, place, message);
});

Deno.bench("a request with a header, by this encoder", { group: "publish" }, () => {
  sizeOfPublish(traced, place.frameMax);
  encodePublish(target, 0, place, traced);
});

Deno.bench("a request, by amqplib", { group: "publish" }, () => {
  oracle.message(place, PUBLISH, { fields: routing, properties, content: body });
});

Deno.bench("an ack", () => {
  encodeAck(target, 0, 1, 12_345, false);
});

const deliveries = Buffer.concat(
  Array.from({ length: COUNT }, (_, n) => {
    const id = `0123456789abcdefABCDEF-${n}`;
    const fields = {
      ...routing,
      consumerTag: "amq.ctag-0123456789abcdefABCDEF",
      deliveryTag: n + 1,
      redelivered: false,
    };
    return oracle.message(place, DELIVER, {
      fields,
      properties: { ...properties, correlationId: id, messageId: `m${id}` },
      content: body,
    });
  }),
);
const confirms = Buffer.concat(
  Array.from({ length: COUNT }, (_, n) => oracle.method(1, 0x003c_0050, { deliveryTag: n + 1, multiple: false })),
);

let seen = 0;
const decoder = new FrameDecoder({ maxFrameSize: 131_072, other: () => {} });
decoder.take(1, {
  delivered: ({ body, properties }) => seen += body.length + (properties.correlationId ?? "").length,
  returned: () => {},
  confirmed: ({ deliveryTag }) => seen += deliveryTag,
  violated: () => {},
});

Deno.bench(`${COUNT} deliveries, by this decoder`, { group: "deliver", baseline: true }, () => {
  decoder.push(deliveries);
});

Deno.bench(`${COUNT} deliveries, by this decoder, in 3 chunks`, { group: "deliver" }, () => {
  decoder.push(deliveries.subarray(0, 10_007));
  decoder.push(deliveries.subarray(10_007, 20_001));
  decoder.push(deliveries.subarray(20_001));
});

Deno.bench(`${COUNT} deliveries, by amqplib`, { group: "deliver" }, () => {
  oracle.decode(deliveries, { maxFrameSize: 131_072, open: [1] });
});

Deno.bench(`${COUNT} confirms, by this decoder`, { group: "confirm", baseline: true }, () => {
  decoder.push(confirms);
});

Deno.bench(`${COUNT} confirms, by amqplib`, { group: "confirm" }, () => {
  oracle.decode(confirms, { maxFrameSize: 131_072, open: [1] });
});

const large = { ...message, body: Buffer.alloc(1024 * 1024, 7) };
const room = Buffer.alloc(sizeOfPublish(large, place.frameMax));

Deno.bench("a body of 1 MiB, by this encoder", { group: "large", baseline: true }, () => {
  encodePublish(room, 0, place, large);
});

Deno.bench("a body of 1 MiB, by amqplib", { group: "large" }, () => {
  oracle.message(place, PUBLISH, { fields: routing, properties, content: large.body });
});

const table = Buffer.concat([
  entry("x-death", "A", long(Buffer.alloc(20_000))),
  entry("tenant", "S", long("acme")),
  entry("traceparent", "S", long("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
]);

Deno.bench("a header behind 20,000 bytes of another", () => {
  findHeader(table, "traceparent");
});
