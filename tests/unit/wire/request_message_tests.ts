import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import type { Delivery, Properties } from "../../../lib/wire/message.ts";
import { messageIdOf, readRequest, requestMessage } from "../../../lib/wire/request_message.ts";
import { delivery } from "../../support/delivery.ts";
import { entry, long, uint } from "../../support/wire.ts";

const PARTS = {
  queue: "größe",
  method: undefined,
  headers: undefined,
  id: "some-id",
  messageId: "one-call",
  replyTo: "amq.gen-ü",
  contentType: "text/plain; ü",
  expiration: 30_000,
  sentAt: undefined,
  priority: undefined,
  body: Uint8Array.of(1, 2),
};

Deno.test("requestMessage() has the properties of the wire protocol, as bytes", () => {
  assertEquals(requestMessage(PARTS), {
    exchange: "",
    routingKey: "gr\xc3\xb6\xc3\x9fe",
    mandatory: true,
    properties: {
      contentType: "text/plain; \xc3\xbc",
      deliveryMode: 1,
      priority: undefined,
      correlationId: "some-id",
      replyTo: "amq.gen-\xc3\xbc",
      expiration: "30000",
      messageId: "one-call",
      type: undefined,
      headers: undefined,
    },
    body: PARTS.body,
  });
});

Deno.test("requestMessage() has the headers, and no table where there are none", () => {
  const headers = [["a", "1"]] as const;
  assertEquals(requestMessage({ ...PARTS, headers }).properties.headers, headers);
  assertEquals(requestMessage({ ...PARTS, headers: [] }).properties.headers, undefined);
});

Deno.test("requestMessage() has the priority of the call", () => {
  for (const priority of [0, 255]) assertEquals(requestMessage({ ...PARTS, priority }).properties.priority, priority);
});

/** What a server reads of a request. */
function read(properties: Properties, redelivered = false): ReturnType<typeof readRequest> {
  return readRequest(delivery({ properties, redelivered }));
}

Deno.test("readRequest() reads a plain request", () => {
  assertEquals(read({ replyTo: "amq.gen-x", correlationId: "c" }), {
    replyTo: "amq.gen-x",
    correlationId: "c",
    messageId: undefined,
    expiration: undefined,
    sentAt: undefined,
    brokerTime: undefined,
    redelivered: false,
    deliveryCount: undefined,
  });
});

Deno.test("readRequest() reads what requestMessage() wrote", () => {
  const { routingKey, exchange, properties, body } = requestMessage(PARTS);
  const { headers: _none, ...rest } = properties;
  const { replyTo, correlationId, messageId, expiration } = readRequest(
    delivery({ routingKey, exchange, properties: rest, body }),
  );
  assertEquals({ replyTo, correlationId, messageId, expiration }, {
    replyTo: "amq.gen-\xc3\xbc",
    correlationId: "some-id",
    messageId: "one-call",
    expiration: 30_000,
  });
});

Deno.test("readRequest() takes what is absent or empty for absent", () => {
  const absent = read({});
  assertEquals([absent.replyTo, absent.correlationId, absent.messageId], ["", undefined, undefined]);
  assertEquals(read({ replyTo: "", correlationId: "", messageId: "" }), absent);
});

for (const [expiration, ms] of [["1", 1], ["30000", 30_000], ["999999999999999", 999_999_999_999_999]] as const) {
  Deno.test(`readRequest() reads the expiration "${expiration}"`, () => {
    assertEquals(read({ expiration }).expiration, ms);
  });
}

for (const expiration of ["", "0", "007", "-1", "+1", "1.5", "1e3", " 1", "1 ", "1\n", "x", "1000000000000000"]) {
  Deno.test(`readRequest() takes the expiration ${JSON.stringify(expiration)} for none`, () => {
    assertEquals(read({ expiration }).expiration, undefined);
  });
}

const COUNT = entry("x-delivery-count", "l", uint(8, 3));

Deno.test("readRequest() believes a count of deliveries of a redelivered request alone", () => {
  assertEquals(read({ headers: COUNT }, true).deliveryCount, 3);
  assertEquals(read({ headers: COUNT }, false).deliveryCount, undefined);
  assertEquals(read({}, true).deliveryCount, undefined);
});

const acquired = (count: number): Uint8Array => entry("x-acquired-count", "l", uint(8, count));

Deno.test("readRequest() takes the larger of the counts of RabbitMQ 4.3, or the one that there is", () => {
  const countIn = (...entries: Uint8Array[]) => read({ headers: Buffer.concat(entries) }, true).deliveryCount;
  assertEquals(countIn(COUNT, acquired(5)), 5);
  assertEquals(countIn(COUNT, acquired(2)), 3);
  assertEquals(countIn(acquired(2), COUNT), 3);
  assertEquals(countIn(acquired(5)), 5);
  assertEquals(countIn(acquired(0)), 0);
});

Deno.test("readRequest() does not let a count that is the sender's own hide that of the broker", () => {
  const double = Buffer.alloc(8);
  const forged = [NaN, Infinity, -1, 0.5].map((value) => {
    double.writeDoubleBE(value);
    return entry("x-acquired-count", "d", Buffer.from(double));
  });
  for (const one of [...forged, entry("x-acquired-count", "S", long("many"))]) {
    assertEquals(read({ headers: Buffer.concat([COUNT, one]) }, true).deliveryCount, 3);
    assertEquals(read({ headers: Buffer.concat([one, COUNT]) }, true).deliveryCount, 3);
    assertEquals(read({ headers: one }, true).deliveryCount, undefined);
  }
});

Deno.test("readRequest() takes a count of deliveries that is no number for none", () => {
  assertEquals(read({ headers: entry("x-delivery-count", "S", long("many")) }, true).deliveryCount, undefined);
});

Deno.test("readRequest() takes for redelivered what the broker says is, and what was dead-lettered", () => {
  const dead = entry("x-death", "A", long(new Uint8Array()));
  assertEquals(read({}, true).redelivered, true);
  assertEquals(read({ headers: dead }, false).redelivered, true);
  assertEquals(read({ headers: Buffer.concat([COUNT]) }, false).redelivered, false);
});

Deno.test("messageIdOf() is text to show, where there is one", () => {
  const of = (messageId?: string) => messageIdOf(read(messageId === undefined ? {} : { messageId }));
  assertEquals([of("gr\xc3\xb6\xc3\x9fe"), of("a\xff"), of()], ["größe", "a\ufffd", undefined]);
});

Deno.test("readRequest() reads a malformed delivery as one without properties", () => {
  const malformed: Delivery = delivery({ malformed: "it is broken" });
  assertEquals(readRequest(malformed), read({}));
});
