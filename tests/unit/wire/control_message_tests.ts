import { assertEquals } from "@std/assert";
import { cancelMessage, CONTROL_EXCHANGE, readCancel } from "../../../lib/wire/control_message.ts";
import { delivery } from "../../support/delivery.ts";

const PROPERTIES = { correlationId: "c", type: "cancel", expiration: "5000" };

/** What a server reads of a control message that has these properties. */
function read(properties: Readonly<Record<string, string | undefined>>): ReturnType<typeof readCancel> {
  return readCancel(
    delivery({ exchange: CONTROL_EXCHANGE, routingKey: "q", properties: { ...PROPERTIES, ...properties } }),
  );
}

Deno.test("cancelMessage() goes over the control exchange to the queue, and has no body", () => {
  assertEquals(cancelMessage("größe", "c", 5_000), {
    exchange: "rpc.control",
    routingKey: "gr\xc3\xb6\xc3\x9fe",
    mandatory: false,
    properties: { correlationId: "c", type: "cancel", expiration: "5000", deliveryMode: 1 },
    body: new Uint8Array(),
  });
});

Deno.test("readCancel() reads which call of which queue is taken back, and for how long to remember it", () => {
  assertEquals(read({}), { queue: "q", id: "c", rememberMs: 5_000 });
});

Deno.test("readCancel() reads nothing that did not come over the control exchange", () => {
  assertEquals(readCancel(delivery({ exchange: "", routingKey: "q", properties: PROPERTIES })), undefined);
});

for (
  const [name, value] of [["type", "pause"], ["type", undefined], ["correlationId", ""], [
    "correlationId",
    undefined,
  ]] as const
) {
  Deno.test(`readCancel() takes a message with the ${name} ${Deno.inspect(value)} for no cancel`, () => {
    assertEquals(read({ [name]: value }), undefined);
  });
}

for (
  const [expiration, ms] of [
    ["1", 1],
    ["2147483647", 2_147_483_647],
    ["2147483648", 2_147_483_647],
    ["999999999999999", 2_147_483_647],
    ["1000000000000000", 0],
    ["0", 0],
    ["", 0],
    [undefined, 0],
    ["soon", 0],
    ["-5", 0],
    ["5 ", 0],
    [" 5", 0],
  ] as const
) {
  Deno.test(`readCancel() remembers a cancel with the expiration ${Deno.inspect(expiration)} for ${ms} ms`, () => {
    assertEquals(read({ expiration })?.rememberMs, ms);
  });
}
