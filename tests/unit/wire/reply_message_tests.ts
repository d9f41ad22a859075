import { assertEquals, assertStrictEquals } from "@std/assert";
import { isErrorReply, replyMessage } from "../../../lib/wire/reply_message.ts";

const PARTS = {
  replyTo: "amq.gen-\xff",
  correlationId: "c\xff",
  contentType: "text/plain; ü",
  isError: false,
  headers: undefined,
  body: Uint8Array.of(1, 2),
};

Deno.test("replyMessage() of a result has no type, and echoes the bytes that came", () => {
  const message = replyMessage(PARTS);
  assertEquals(message, {
    exchange: "",
    routingKey: "amq.gen-\xff",
    mandatory: true,
    properties: {
      contentType: "text/plain; \xc3\xbc",
      deliveryMode: 1,
      correlationId: "c\xff",
      replyTo: undefined,
      type: undefined,
      headers: undefined,
    },
    body: PARTS.body,
  });
  assertStrictEquals(message.body, PARTS.body);
});

Deno.test("replyMessage() has the headers, and no table where there are none", () => {
  const headers = [["a", "1"]] as const;
  assertStrictEquals(replyMessage({ ...PARTS, headers }).properties.headers, headers);
  assertEquals(replyMessage({ ...PARTS, headers: [] }).properties.headers, undefined);
});

Deno.test("replyMessage() of an error has the type rpc.error", () => {
  assertEquals(replyMessage({ ...PARTS, isError: true }).properties.type, "rpc.error");
});

Deno.test("replyMessage() without a correlation id has none", () => {
  assertEquals(replyMessage({ ...PARTS, correlationId: undefined }).properties.correlationId, undefined);
});

Deno.test("replyMessage() to a direct address is not mandatory", () => {
  assertEquals(replyMessage({ ...PARTS, replyTo: "amq.rabbitmq.reply-to.x.y" }).mandatory, false);
});

for (const [type, isError] of [["rpc.error", true], ["rpc.errors", false], ["", false], [undefined, false]] as const) {
  Deno.test(`A reply of the type ${Deno.inspect(type)} is ${isError ? "an error" : "a result"}`, () => {
    assertEquals(isErrorReply({ type }), isError);
  });
}
