/** Calls that end in an error. */

import { z } from "zod";
import {
  bytes,
  type Codec,
  empty,
  integer,
  isRpcError,
  json,
  method,
  procedure,
  provide,
  RpcError,
  service,
  text,
} from "../../../lib/rpc.ts";
import { gated } from "../handlers.ts";
import { end, type Scenario, told } from "./scenario.ts";

const Missing = z.object({ id: z.number() });

const PLAIN =
  "must be a plain decimal integer such as 30, without plus sign, fraction, exponent, prefix or leading zeros";

/** Calls that end in an error. */
export const FAILURES: readonly Scenario[] = [
  {
    name: "What a handler throws reaches its caller",
    run: async ({ client, server, queue }) => {
      const fail = procedure({ queue, request: text(), reply: empty() });
      await server.serve(fail, async (how, { replyHeaders }) => {
        replyHeaders["how"] = how;
        await Promise.resolve();
        if (how === "rpc") throw new RpcError("not_found", "There is no user 7", { details: { id: 7 } });
        throw new TypeError("secret");
      });
      const received: unknown[] = [];
      const onReplyHeaders = (headers: unknown): void => void received.push({ ...(headers as object) });
      return [
        await end(client.call(fail, "rpc", { onReplyHeaders })),
        await end(client.call(fail, "other", { onReplyHeaders })),
        received,
      ];
    },
    expected: [
      { code: "not_found", outcome: "executed", message: "There is no user 7", details: { id: 7 } },
      {
        code: "internal",
        outcome: "executed",
        message: "The server failed; its log has the reason under id ID",
        id: "ID",
      },
      [{ how: "rpc" }, { how: "other" }],
    ],
  },
  {
    name: "A reply that cannot be encoded is internal",
    run: async ({ client, server, queue }) => {
      const half = procedure({ queue, request: integer(), reply: integer() });
      await server.serve(half, (n) => n / 2);
      return await end(client.call(half, 3));
    },
    expected: {
      code: "internal",
      outcome: "executed",
      message: "The server failed; its log has the reason under id ID",
      id: "ID",
    },
  },
  {
    name: "Declared errors have typed details, which are validated",
    run: async ({ client, server, queue }) => {
      const find = procedure({ queue, request: integer(), reply: text(), errors: { not_found: json(Missing) } });
      await server.serve(find, (id, { error }) => {
        if (id < 0) throw new RpcError("not_found", "Wrong details", { details: { name: "x" } });
        throw error("not_found", { id });
      });
      const error: unknown = await client.call(find, 7).catch((reason) => reason);
      const typed = isRpcError(error, find) && error.code === "not_found" && error.outcome === "executed"
        ? error.details.id
        : undefined;
      return [typed, told(error), await end(client.call(find, -1))];
    },
    expected: [
      7,
      { code: "not_found", outcome: "executed", message: "The request was refused: not_found", details: { id: 7 } },
      {
        code: "internal",
        outcome: "executed",
        message: "The server failed; its log has the reason under id ID",
        id: "ID",
      },
    ],
  },
  {
    name: "A method that the server does not know is unimplemented",
    run: async ({ client, server, queue }) => {
      const old = service({ queue, methods: { one: method({ request: empty(), reply: empty() }) } });
      const two = method({ request: empty(), reply: empty() });
      await server.serve(old, { one: () => {} });
      return await end(client.of(service({ queue, methods: { two } })).two(undefined));
    },
    expected: {
      code: "unimplemented",
      outcome: "not_executed",
      message: 'Cannot call "QUEUE": there is no method "two"; it has one',
    },
  },
  {
    name: "A request that does not decode, or is out of bounds, does not reach the handler",
    run: async ({ client, server, queue }) => {
      let runs = 0;
      await server.serve(procedure({ queue, request: integer({ min: 0, max: 10 }), reply: integer() }), () => ++runs);
      const loose = procedure({ queue, request: text(), reply: text() });
      return [await end(client.call(loose, "many")), await end(client.call(loose, "11")), runs];
    },
    expected: [
      { code: "invalid_argument", outcome: "not_executed", message: `Cannot decode integer "many": ${PLAIN}` },
      {
        code: "out_of_range",
        outcome: "not_executed",
        message: "Cannot decode integer 11: must be between 0 and 10",
        details: { min: 0, max: 10 },
      },
      0,
    ],
  },
  {
    name: "A request that cannot be encoded is not sent",
    run: async ({ client, queue }) => {
      return await end(client.call(procedure({ queue, request: integer({ min: 0, max: 10 }), reply: integer() }), 11));
    },
    expected: {
      code: "out_of_range",
      outcome: "not_executed",
      message: "Cannot encode integer 11: must be between 0 and 10",
      details: { min: 0, max: 10 },
    },
  },
  {
    name: "A reply that does not decode is data_loss",
    run: async ({ client, server, queue }) => {
      await server.serve(procedure({ queue, request: empty(), reply: text() }), () => "many");
      return await end(client.call(procedure({ queue, request: empty(), reply: integer() }), undefined));
    },
    expected: {
      code: "data_loss",
      outcome: "executed",
      message: `Cannot read the reply of "QUEUE": Cannot decode integer "many": ${PLAIN}`,
    },
  },
  {
    name: "A queue that does not exist is unavailable at once",
    run: async ({ client, queue }) => {
      const missing = procedure({ queue, request: empty(), reply: empty() });
      return [
        await end(client.call(missing, undefined)),
        await end(client.call(missing, undefined, { failFast: true })),
      ];
    },
    expected: [
      {
        code: "unavailable",
        outcome: "not_executed",
        message: 'Cannot call "QUEUE": the queue does not exist, so start a server for it',
      },
      {
        code: "unavailable",
        outcome: "not_executed",
        message: 'Call ID to "QUEUE" failed: the queue "QUEUE" does not exist, so start a server for it',
      },
    ],
  },
  {
    name: "With failFast, a queue without consumers is unavailable, and one with a consumer answers",
    run: async ({ client, server, queue }) => {
      const one = procedure({ queue, request: empty(), reply: integer() });
      const serving = await server.serve(one, () => 1);
      const served = await client.call(one, undefined, { failFast: true });
      await serving.stop();
      return [served, await end(client.call(one, undefined, { failFast: true }))];
    },
    expected: [1, {
      code: "unavailable",
      outcome: "not_executed",
      message: 'Call ID to "QUEUE" failed: the queue "QUEUE" has no consumer, so start a server for it',
    }],
  },
  {
    name: "An interceptor of the server refuses a request before the handler",
    server: {
      interceptors: [provide(({ headers }) => {
        if (headers["token"] === undefined) throw new RpcError("unauthenticated", "The token is missing");
        if (headers["token"] !== "secret") throw new Error("broken");
        return {};
      })],
    },
    run: async ({ client, server, queue }) => {
      const count = procedure({ queue, request: empty(), reply: integer() });
      let runs = 0;
      await server.serve(count, () => ++runs);
      return [
        await end(client.call(count, undefined)),
        await end(client.call(count, undefined, { headers: { token: "x" } })),
        await client.call(count, undefined, { headers: { token: "secret" } }),
      ];
    },
    expected: [
      { code: "unauthenticated", outcome: "not_executed", message: "The token is missing" },
      {
        code: "internal",
        outcome: "not_executed",
        message: "The server failed; its log has the reason under id ID",
        id: "ID",
      },
      1,
    ],
  },
  {
    name: "The error of a nested call is internal for the outer caller",
    run: async ({ client, server, queue, otherQueue }) => {
      const inner = procedure({ queue: otherQueue, request: empty(), reply: empty() });
      const outer = procedure({ queue, request: empty(), reply: text() });
      await server.serve(inner, () => {
        throw new RpcError("permission_denied", "Not for you");
      });
      let seen: unknown;
      await server.serve(outer, async (_, context) => {
        await client.call(inner, undefined, { parent: context }).catch((error) => {
          seen = told(error);
          throw error;
        });
        return "never";
      });
      return [await end(client.call(outer, undefined)), seen];
    },
    expected: [
      {
        code: "internal",
        outcome: "executed",
        message: "The server failed; its log has the reason under id ID",
        id: "ID",
      },
      { code: "permission_denied", outcome: "executed", message: "Not for you" },
    ],
  },
  {
    name: "A full queue refuses a call that is not idempotent, and a later attempt of one that is gets in",
    run: async ({ client, server, queue }) => {
      const gate = gated();
      const full = (idempotent?: boolean) =>
        procedure({ queue, queueType: "classic", maxLength: 1, request: integer(), reply: integer(), idempotent });
      await server.serve(full(), gate.handler, { prefetch: 1 });
      const running = client.call(full(), 1);
      await gate.started;
      const waiting = client.call(full(), 2);
      const refused = await end(client.call(full(), 3));
      const retried = client.call(full(true), 4);
      // The broker answers in order: when this one is refused, the one before it was refused too.
      await end(client.call(full(), 5));
      gate.release();
      return [refused, await Promise.all([running, waiting, retried])];
    },
    expected: [
      {
        code: "resource_exhausted",
        outcome: "unknown",
        message: 'Call ID to "QUEUE" failed: the broker refused the request; the queue may be full',
      },
      [2, 4, 8],
    ],
  },
  {
    name: "A codec that throws something else fails only its own call",
    run: async ({ client, server, queue }) => {
      const broken: Codec<string> = {
        contentType: "text/plain",
        maxBytes: 10,
        encode: (value) => new TextEncoder().encode(value),
        decode: () => {
          throw new Error("broken");
        },
      };
      await server.serve(procedure({ queue, request: broken, reply: bytes() }), () => new Uint8Array());
      return await end(client.call(procedure({ queue, request: text(), reply: bytes() }), ""));
    },
    expected: {
      code: "internal",
      outcome: "not_executed",
      message: "The server failed; its log has the reason under id ID",
      id: "ID",
    },
  },
];
