import { assertEquals } from "@std/assert";
import type { InterceptedCall } from "../../../lib/contract/interceptor.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import {
  brokerAttributes,
  endAttributes,
  failureAttributes,
  failureStatus,
  messageAttributes,
  methodAttributes,
  rpcMethod,
} from "../../../lib/telemetry/attributes.ts";

const CALL: InterceptedCall = {
  side: "client",
  queue: "users",
  method: "find",
  request: 1,
  headers: {},
  signal: undefined,
  deadline: undefined,
  messageId: "m-1",
  correlationId: undefined,
  broker: "localhost:5672",
  parent: undefined,
  context: undefined,
  arrivedAt: undefined,
  onAnswer: undefined,
};

Deno.test("rpc.method is the queue, and the method of a service after a slash", () => {
  assertEquals(rpcMethod({ queue: "rpc_queue", method: undefined }), "rpc_queue");
  assertEquals(rpcMethod(CALL), "users/find");
  assertEquals(methodAttributes("users/find"), { "rpc.system.name": "rabbitmq_rpc", "rpc.method": "users/find" });
});

Deno.test("server.address and server.port are those of the broker, also of an IPv6 address, and absent without one", () => {
  assertEquals(brokerAttributes(CALL), { "server.address": "localhost", "server.port": 5672 });
  assertEquals(brokerAttributes({ ...CALL, broker: "[::1]:5671" }), { "server.address": "::1", "server.port": 5671 });
  assertEquals(brokerAttributes({ ...CALL, broker: undefined }), {});
});

Deno.test("The message's attributes are without ids for clients that send none", () => {
  const attributes = { "messaging.system": "rabbitmq", "messaging.destination.name": "users" };
  assertEquals(messageAttributes(CALL), { ...attributes, "messaging.message.id": "m-1" });
  assertEquals(messageAttributes({ ...CALL, messageId: undefined }), attributes);
  assertEquals(messageAttributes({ ...CALL, messageId: undefined, correlationId: "c-1" }), {
    ...attributes,
    "messaging.message.conversation_id": "c-1",
  });
});

Deno.test("On a client every code but ok is an error, on a server only those for which it is to blame", () => {
  const codes = {
    ok: [false, false],
    canceled: [true, false],
    unknown: [true, true],
    invalid_argument: [true, false],
    deadline_exceeded: [true, true],
    not_found: [true, false],
    already_exists: [true, false],
    permission_denied: [true, false],
    resource_exhausted: [true, false],
    failed_precondition: [true, false],
    aborted: [true, false],
    out_of_range: [true, false],
    unimplemented: [true, true],
    internal: [true, true],
    unavailable: [true, true],
    data_loss: [true, true],
    unauthenticated: [true, false],
  } as const;
  for (const [code, [client, server]] of Object.entries(codes) as [keyof typeof codes, readonly [boolean, boolean]][]) {
    for (const [side, failed] of [["client", client], ["server", server]] as const) {
      const status = { "rpc.status_code": code };
      assertEquals(endAttributes(side, code), failed ? { ...status, "error.type": code } : status, `${side} ${code}`);
    }
  }
});

Deno.test("error.type is the code of an RpcError, else the exception's name", () => {
  assertEquals(failureAttributes(new RpcError("not_found", "no")), {
    "rpc.status_code": "not_found",
    "error.type": "not_found",
  });
  assertEquals(failureAttributes(new RangeError("no")), { "error.type": "RangeError" });
  assertEquals(failureAttributes("thrown"), { "error.type": "_OTHER" });
});

Deno.test("The text of a span's status is printable and bounded, because it may be a stranger's", () => {
  assertEquals(failureStatus(new Error("a\nb")), { code: 2, message: "a\\x0ab" });
  assertEquals(failureStatus(new Error("x".repeat(5_000))).message?.length, 1_001);
  assertEquals(failureStatus("thrown"), { code: 2 });
  assertEquals(failureStatus(Object.assign(new Error(), { message: 5 })), { code: 2, message: "5" });
  assertEquals(failureStatus(Object.assign(new Error(), { message: Object.create(null) })), { code: 2 });
});
