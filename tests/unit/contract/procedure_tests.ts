import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { integer } from "../../../lib/contract/decimal_codecs.ts";
import { MAX_BODY_BYTES } from "../../../lib/contract/codec.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { json } from "../../../lib/contract/json_codec.ts";
import { procedure, type ProcedureOptions } from "../../../lib/contract/procedure.ts";

const BASE = { queue: "q", request: integer(), reply: text() };

/** Defines a procedure with options that the type checker would refuse. */
function define(options: Readonly<Record<string, unknown>>): unknown {
  return procedure({ ...BASE, ...options } as unknown as ProcedureOptions<number, number, string, string>);
}

Deno.test("procedure() fills in what is not given", () => {
  assertEquals(procedure(BASE), {
    ...BASE,
    queueType: "quorum",
    maxLength: undefined,
    messageTtl: undefined,
    maxPriority: undefined,
    consumerTimeout: undefined,
    deadLetterExchange: undefined,
    deadLetterRoutingKey: undefined,
    method: undefined,
    errors: {},
    idempotent: undefined,
    maxDeliveries: 10,
  });
});

Deno.test("procedure() keeps what is given", () => {
  const options = {
    ...BASE,
    queueType: "classic",
    maxLength: 1,
    messageTtl: 2,
    maxPriority: 5,
    consumerTimeout: 4,
    deadLetterExchange: "dlx",
    deadLetterRoutingKey: "dead",
    idempotent: false,
    maxDeliveries: 3,
  } as const;
  const defined = procedure(options);
  assertEquals(defined, { ...options, method: undefined, errors: {} });
  assertStrictEquals(defined.request, options.request);
});

const TAKEN: readonly Readonly<Record<string, unknown>>[] = [
  { errors: { not_found: json(), aborted: json() } },
  { queueType: "quorum" },
  { queueType: "classic" },
  { queueType: "transient" },
  { idempotent: true },
  { idempotent: false },
  { idempotent: undefined },
  { maxDeliveries: 1 },
  { maxDeliveries: 1_000 },
  { maxLength: 1 },
  { maxLength: 4_294_967_295 },
  { maxLength: undefined },
  { messageTtl: 1 },
  { queueType: "classic", maxPriority: 1 },
  { queueType: "transient", maxPriority: 255 },
  { maxPriority: undefined },
  { consumerTimeout: 1 },
  { consumerTimeout: 4_294_967_295 },
  { messageTtl: 4_294_967_295 },
  { deadLetterExchange: "" },
  { deadLetterExchange: "x".repeat(255) },
  { deadLetterExchange: "", deadLetterRoutingKey: "" },
  { deadLetterExchange: "", deadLetterRoutingKey: "x".repeat(255) },
  { request: { ...integer(), maxBytes: 1 } },
  { reply: { ...text(), maxBytes: MAX_BODY_BYTES } },
  { reply: { ...text(), contentType: "" } },
  { reply: { ...text(), contentType: "x".repeat(255) } },
];

for (const options of TAKEN) {
  Deno.test(`procedure() takes ${Deno.inspect(options, { strAbbreviateSize: 20, depth: 1 })}`, () => {
    assertEquals(define(options), { ...procedure(BASE), ...options });
  });
}

const REFUSED: readonly (readonly [Readonly<Record<string, unknown>>, typeof TypeError | typeof RangeError, string])[] =
  [
    [{ queue: "" }, RangeError, "'queue' must have 1 to 255 bytes"],
    [{ queue: 5 }, TypeError, "'queue' must be a string"],
    [{ queue: "amq.x" }, RangeError, "'queue' must not start with"],
    [{ queueType: "lazy" }, TypeError, "'queueType' must be one of quorum, classic, transient, got lazy"],
    [{ queueType: "toString" }, TypeError, "'queueType' must be one of"],
    [{ idempotent: "yes" }, TypeError, "'idempotent' must be true, false or absent, got yes"],
    [{ idempotent: null }, TypeError, "'idempotent' must be true, false or absent, got null"],
    [{ maxDeliveries: 0 }, RangeError, "'maxDeliveries' must be an integer between 1 and 1000, got 0"],
    [{ maxDeliveries: 1_001 }, RangeError, "'maxDeliveries' must be an integer between 1 and 1000, got 1001"],
    [{ maxDeliveries: "1" }, TypeError, "'maxDeliveries' must be a number"],
    [{ maxLength: 0 }, RangeError, "'maxLength' must be an integer between 1 and 4294967295, got 0"],
    [{ maxLength: 4_294_967_296 }, RangeError, "'maxLength' must be an integer between 1 and 4294967295"],
    [{ maxLength: 1.5 }, RangeError, "'maxLength'"],
    [{ maxLength: "1" }, TypeError, "'maxLength' must be a number"],
    [{ messageTtl: 0 }, RangeError, "'messageTtl' must be an integer between 1 and 4294967295, got 0"],
    [{ messageTtl: 4_294_967_296 }, RangeError, "'messageTtl'"],
    [{ messageTtl: NaN }, RangeError, "'messageTtl'"],
    [{ messageTtl: null }, TypeError, "'messageTtl' must be a number"],
    [{ queueType: "classic", maxPriority: 0 }, RangeError, "'maxPriority' must be an integer between 1 and 255, got 0"],
    [{ queueType: "classic", maxPriority: 256 }, RangeError, "'maxPriority'"],
    [{ maxPriority: 5 }, TypeError, "'maxPriority' needs the queueType classic or transient, got quorum"],
    [{ consumerTimeout: 0 }, RangeError, "'consumerTimeout' must be an integer between 1 and 4294967295, got 0"],
    [{ consumerTimeout: 4_294_967_296 }, RangeError, "'consumerTimeout'"],
    [{ deadLetterExchange: 5 }, TypeError, "'deadLetterExchange' must be a string, got number"],
    [{ deadLetterExchange: "x".repeat(256) }, RangeError, "'deadLetterExchange' must have at most 255 bytes"],
    [
      { deadLetterExchange: "", deadLetterRoutingKey: 5 },
      TypeError,
      "'deadLetterRoutingKey' must be a string, got number",
    ],
    [{ deadLetterExchange: "", deadLetterRoutingKey: "ü".repeat(128) }, RangeError, "'deadLetterRoutingKey'"],
    [{ errors: { exploded: json() } }, TypeError, "'errors' has \"exploded\", which is not a code of an RpcError"],
    [{ errors: { not_found: 5 } }, TypeError, "'errors.not_found' must be a codec such as"],
    [{ errors: { not_found: undefined } }, TypeError, "'errors.not_found' must be a codec such as"],
    [{ errors: { not_found: text() } }, TypeError, "'errors.not_found' must be a codec of JSON, such as json(schema)"],
    [{ deadLetterRoutingKey: "dead" }, TypeError, "'deadLetterRoutingKey' needs 'deadLetterExchange'"],
    ...(["request", "reply"] as const).flatMap((side) =>
      ([
        [undefined, "must be a codec such as text() or json(schema)"],
        [null, "must be a codec"],
        [{ ...text(), encode: undefined }, "must be a codec"],
        [{ ...text(), decode: "decode" }, "must be a codec"],
      ] as const).map(([codec, why]) => [{ [side]: codec }, TypeError, `'${side}' ${why}`] as const)
    ),
    ...(["request", "reply"] as const).flatMap((side) => [
      [
        { [side]: { ...text(), contentType: 5 } },
        TypeError,
        `'${side}.contentType' must be a string of at most 255 bytes`,
      ] as const,
      [{ [side]: { ...text(), contentType: "x".repeat(256) } }, TypeError, `'${side}.contentType' must be`] as const,
      [{ [side]: { ...text(), contentType: "ü".repeat(128) } }, TypeError, `'${side}.contentType' must be`] as const,
      [
        { [side]: { ...text(), maxBytes: 0 } },
        RangeError,
        `'${side}.maxBytes' must be an integer between 1 and`,
      ] as const,
      [{ [side]: { ...text(), maxBytes: MAX_BODY_BYTES + 1 } }, RangeError, `and ${MAX_BODY_BYTES}, got`] as const,
      [{ [side]: { ...text(), maxBytes: undefined } }, TypeError, `'${side}.maxBytes' must be a number`] as const,
    ]),
  ];

for (const [options, kind, text] of REFUSED) {
  Deno.test(`procedure() refuses ${Deno.inspect(options, { strAbbreviateSize: 20, depth: 2 })}`, () => {
    const { message } = assertThrows(() => define(options), kind, text);
    assertEquals(message.startsWith("Cannot define procedure: "), true, message);
  });
}
