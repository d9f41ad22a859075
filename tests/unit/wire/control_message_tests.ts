import { assertEquals } from "@std/assert";
import {
  cancelMessage,
  CONTROL_EXCHANGE,
  infoMessage,
  readCancel,
  readInfoQuestion,
} from "../../../lib/wire/control_message.ts";
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

Deno.test("infoMessage() goes over the control exchange to the queue, and says where answers go", () => {
  assertEquals(infoMessage("größe", "antwörten", "c", 900), {
    exchange: "rpc.control",
    routingKey: "gr\xc3\xb6\xc3\x9fe",
    mandatory: false,
    properties: {
      type: "info",
      replyTo: "antw\xc3\xb6rten",
      correlationId: "c",
      expiration: "900",
      deliveryMode: 1,
    },
    body: new Uint8Array(),
  });
});

Deno.test("readInfoQuestion() reads which queue is asked for, and where the answer goes", () => {
  const properties = { type: "info", replyTo: "r", correlationId: "\xff" };
  assertEquals(readInfoQuestion(delivery({ exchange: CONTROL_EXCHANGE, routingKey: "q", properties })), {
    queue: "q",
    replyTo: "r",
    correlationId: "\xff",
  });
});

Deno.test("readInfoQuestion() of a question without an address says so", () => {
  const asked = readInfoQuestion(
    delivery({ exchange: CONTROL_EXCHANGE, routingKey: "q", properties: { type: "info" } }),
  );
  assertEquals(asked, { queue: "q", replyTo: "", correlationId: undefined });
});

Deno.test("readInfoQuestion() reads nothing of another type, or that did not come over the control exchange", () => {
  const asked = { type: "info", replyTo: "r" };
  assertEquals(readInfoQuestion(delivery({ exchange: "", routingKey: "q", properties: asked })), undefined);
  const cancel = { ...asked, type: "cancel" };
  assertEquals(
    readInfoQuestion(delivery({ exchange: CONTROL_EXCHANGE, routingKey: "q", properties: cancel })),
    undefined,
  );
});
