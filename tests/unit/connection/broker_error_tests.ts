import { assertEquals, assertStrictEquals } from "@std/assert";
import {
  deniedFeature,
  isChannelClosed,
  isExclusiveElsewhere,
  messageSizeLimit,
  toRpcError,
} from "../../../lib/connection/broker_error.ts";
import { type RpcCode, RpcError } from "../../../lib/contract/errors.ts";

/** An error with a code, as sockets, TLS and amqplib throw it. */
function coded(message: string, code: unknown): Error {
  return Object.assign(new Error(message), { code });
}

/** How amqplib tells of what the broker closed. */
function closed(what: string, code: number, text: string): Error {
  return coded(`${what} closed by server: ${code} (${text.split(" ")[0]}) with message "${text}"`, code);
}

const REFUSED = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN";

const DENIED = "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nIts use is not permitted";

const MEANINGS: readonly (readonly [string, unknown, RpcCode, string])[] = [
  ["a refused login", closed("Connection", 403, REFUSED), "permission_denied", REFUSED],
  ["a refused login without code", new Error(REFUSED), "unauthenticated", REFUSED],
  [
    "a refused authentication",
    new Error("ACCESS-REFUSED in authentication"),
    "unauthenticated",
    "ACCESS-REFUSED in authentication",
  ],
  [
    "a handshake that the broker ended",
    new Error("Handshake terminated by server: 403 (ACCESS-REFUSED)"),
    "unauthenticated",
    "Handshake terminated by server: 403 (ACCESS-REFUSED)",
  ],
  [
    "a missing mechanism",
    new Error("SASL mechanism EXTERNAL is not provided"),
    "unauthenticated",
    "SASL mechanism EXTERNAL is not provided",
  ],
  [
    "a certificate without code",
    new Error("invalid peer certificate: Expired"),
    "unauthenticated",
    "invalid peer certificate: Expired",
  ],
  ["an unknown issuer", new Error("unknownissuer"), "unauthenticated", "unknownissuer"],
  ["a failed handshake", new Error("Handshake Failure"), "unauthenticated", "Handshake Failure"],
  ["403 on a channel", closed("Channel", 403, "ACCESS_REFUSED - no"), "permission_denied", "ACCESS_REFUSED - no"],
  ["404 on a channel", closed("Channel", 404, "NOT_FOUND - no queue 'q'"), "not_found", "NOT_FOUND - no queue 'q'"],
  ["405 on a channel", closed("Channel", 405, "RESOURCE_LOCKED - q"), "permission_denied", "RESOURCE_LOCKED - q"],
  ["541 for a fault of the broker", closed("Connection", 541, "INTERNAL_ERROR"), "unavailable", "INTERNAL_ERROR"],
  ["541 for a denied feature", closed("Connection", 541, DENIED), "failed_precondition", DENIED],
  [
    "406 on a channel",
    closed("Channel", 406, "PRECONDITION_FAILED - q"),
    "failed_precondition",
    "PRECONDITION_FAILED - q",
  ],
  [
    "403 as text",
    new Error("Operation failed: 403 (ACCESS-REFUSED) no"),
    "permission_denied",
    "Operation failed: 403 (ACCESS-REFUSED) no",
  ],
  [
    "405 as text",
    new Error("Operation failed: 405 (RESOURCE_LOCKED)"),
    "permission_denied",
    "Operation failed: 405 (RESOURCE_LOCKED)",
  ],
  ["404 as text", new Error("Operation failed: 404 (NOT-FOUND)"), "not_found", "Operation failed: 404 (NOT-FOUND)"],
  [
    "406 as text",
    new Error("Operation failed: 406 (PRECONDITION_FAILED)"),
    "failed_precondition",
    "Operation failed: 406 (PRECONDITION_FAILED)",
  ],
  ["another code", closed("Connection", 541, "INTERNAL_ERROR"), "unavailable", "INTERNAL_ERROR"],
  ["a reason of several lines", coded('closed with message "a\nb"', 320), "unavailable", "a\nb"],
  ["an empty reason", coded('closed with message ""', 320), "unavailable", ""],
  ["a refused connection", coded("connect ECONNREFUSED", "ECONNREFUSED"), "unavailable", "no broker listens there"],
  ["an unknown host", coded("getaddrinfo", "ENOTFOUND"), "unavailable", "the host name is unknown"],
  ["a host that is silent", coded("connect", "ETIMEDOUT"), "unavailable", "the broker does not answer"],
  ["a host that is silent, to amqplib", new Error("connect ETIMEDOUT"), "unavailable", "the broker does not answer"],
  ["a reset", coded("read", "ECONNRESET"), "unavailable", "the broker closed the connection"],
  [
    "the end of the socket, to amqplib",
    new Error("Unexpected close"),
    "unavailable",
    "the broker closed the connection",
  ],
  ["a broken pipe", coded("write", "EPIPE"), "unavailable", "the broker closed the connection"],
  ["no route to a host", coded("connect", "EHOSTUNREACH"), "unavailable", "there is no route to the host"],
  ["no route to a network", coded("connect", "ENETUNREACH"), "unavailable", "there is no route to the host"],
  ...[
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_OSSL_BAD_DECRYPT",
    "CERT_HAS_EXPIRED",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "SELF_SIGNED_CERT_IN_CHAIN",
  ]
    .map((code) =>
      [
        code,
        coded("it is wrong", code),
        "unauthenticated",
        `TLS refused the connection (${code}: it is wrong), check certificates, key and host name`,
      ] as const
    ),
  ["a code that only looks like one of TLS", coded("odd", "AN_ERR_SSL_"), "unavailable", "odd"],
  ["a code that nobody knows", coded("odd", "EODD"), "unavailable", "odd"],
  ["an error that says nothing", coded("", "EODD"), "unavailable", "EODD"],
  ["an error without anything", new Error(""), "unavailable", "Error"],
  ["a text", "it is odd", "unavailable", "it is odd"],
  ["null", null, "unavailable", "null"],
  ["undefined", undefined, "unavailable", "undefined"],
];

for (const [what, error, code, why] of MEANINGS) {
  Deno.test(`toRpcError() takes ${what} for ${code}`, () => {
    const { outcome, cause, ...rest } = toRpcError(error, "open it");
    assertEquals([rest.code, toRpcError(error, "open it").message], [code, `Cannot open it: ${why}`]);
    assertEquals(outcome, "not_executed");
    assertStrictEquals(cause, error);
  });
}

Deno.test("toRpcError() gives an RpcError as it is", () => {
  const error = new RpcError("aborted", "Aborted");
  assertStrictEquals(toRpcError(error, "open it"), error);
});

for (const name of ["ChannelClosedError", "IllegalOperationError"]) {
  Deno.test(`isChannelClosed() knows ${name}`, () => {
    assertEquals(isChannelClosed(Object.assign(new Error("no"), { name })), true);
    assertEquals(isChannelClosed({ name }), false);
  });
}

Deno.test("isChannelClosed() takes no other error for a closed channel", () => {
  assertEquals(
    [new Error("IllegalOperationError"), undefined, null, "ChannelClosedError"].map(isChannelClosed),
    Array(4).fill(false),
  );
});

for (
  const [text, limit] of [
    ["PRECONDITION_FAILED - message size 9 is larger than max size 8", 8],
    ["PRECONDITION_FAILED - message size 9 is larger than configured max size 16777216", 16_777_216],
    ["PRECONDITION_FAILED - inequivalent arg 'max size 8'", undefined],
    ["PRECONDITION_FAILED - larger than max size", undefined],
  ] as const
) {
  Deno.test(`messageSizeLimit() of "${text}" is ${limit}`, () => {
    assertEquals(messageSizeLimit(new RpcError("failed_precondition", text)), limit);
  });
}

Deno.test("isExclusiveElsewhere() is true for what was refused with 405 alone", () => {
  const refused = (code: number) => new RpcError("permission_denied", "no", { cause: coded("no", code) });
  assertEquals([refused(405), refused(403)].map(isExclusiveElsewhere), [true, false]);
  const others = [new RpcError("permission_denied", "no"), coded("no", 405), undefined];
  assertEquals(others.map(isExclusiveElsewhere), [false, false, false]);
});

Deno.test("deniedFeature() names the feature that the broker does not permit, and nothing in other errors", () => {
  const denied = toRpcError(closed("Connection", 541, DENIED), "declare");
  assertEquals(deniedFeature(denied), "transient_nonexcl_queues");
  for (
    const other of [new Error(DENIED), new RpcError("unavailable", DENIED), new RpcError("failed_precondition", "x")]
  ) {
    assertEquals(deniedFeature(other), undefined);
  }
});
