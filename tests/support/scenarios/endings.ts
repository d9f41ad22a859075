/** Deadlines, cancels, drains, losses and redeliveries. */

import { bytes, empty, integer, json, procedure, RpcError } from "../../../lib/rpc.ts";
import { aborted, gated, sleep } from "../handlers.ts";
import { end, type Scenario, type Scene, told } from "./scenario.ts";

/** Says by which request of a redelivery it runs: the first one never ends. */
function stuckOnce() {
  const started = Promise.withResolvers<void>();
  let runs = 0;
  return {
    started: started.promise,
    get runs() {
      return runs;
    },
    async run<T>(signal: AbortSignal, again: () => T): Promise<T> {
      if (++runs > 1) return again();
      started.resolve();
      throw await aborted(signal);
    },
  };
}

/** Asks the broker something, so that it has what was published before. */
async function roundTrip({ client, otherQueue }: Pick<Scene, "client" | "otherQueue">): Promise<void> {
  const missing = procedure({ queue: otherQueue, request: empty(), reply: empty() });
  await end(client.call(missing, undefined, { failFast: true }));
}

/** Deadlines, cancels, drains, losses and redeliveries. */
export const ENDINGS: readonly Scenario[] = [
  {
    name: "A deadline ends the call and aborts the signal of its handler",
    run: async ({ client, server, queue }) => {
      const slow = procedure({ queue, request: empty(), reply: empty() });
      const reason = Promise.withResolvers<unknown>();
      await server.serve(slow, async (_, { signal }) => {
        await aborted(signal);
        reason.resolve(signal.reason instanceof RpcError);
      });
      return [await end(client.call(slow, undefined, { timeout: 300 })), await reason.promise];
    },
    expected: [{
      code: "deadline_exceeded",
      outcome: "unknown",
      message: 'Call ID to "QUEUE" did not end within 300 ms',
    }, true],
  },
  {
    name: "A call waits in a queue without consumers, until its deadline",
    run: async ({ client, server, queue, otherQueue }) => {
      const late = procedure({ queue, request: integer(), reply: integer() });
      const runs: number[] = [];
      const handler = (n: number): number => (runs.push(n), n);
      await (await server.serve(late, handler)).stop();
      const tooLate = await end(client.call(late, 1, { timeout: 50 }));
      // The broker counts the 50 ms from when it has the request, which on a busy machine is later than the call.
      await roundTrip({ client, otherQueue });
      await sleep(100);
      const inTime = client.call(late, 2);
      await server.serve(late, handler);
      return [tooLate, await inTime, runs];
    },
    expected: [
      {
        code: "deadline_exceeded",
        outcome: "unknown",
        message: 'Call ID to "QUEUE" did not end within 50 ms',
      },
      2,
      [2],
    ],
  },
  {
    name: "The message TTL of a queue drops a request",
    run: async ({ client, server, queue, otherQueue }) => {
      const soon = procedure({ queue, queueType: "classic", messageTtl: 50, request: integer(), reply: integer() });
      const gate = gated();
      const runs: number[] = [];
      await server.serve(soon, (n) => {
        runs.push(n);
        return gate.handler(n);
      }, { prefetch: 1 });
      const first = client.call(soon, 1);
      await gate.started;
      const second = end(client.call(soon, 2, { timeout: 400 })) as Promise<{ code: string }>;
      // The TTL counts from when the broker has the request.
      await roundTrip({ client, otherQueue });
      await sleep(100);
      gate.release();
      return [await first, (await second).code, runs];
    },
    expected: [2, "deadline_exceeded", [1]],
  },
  {
    name: "An aborted call ends at once, and reaches the signal of its handler",
    run: async ({ client, server, queue }) => {
      const slow = procedure({ queue, request: empty(), reply: empty() });
      const started = Promise.withResolvers<void>();
      const reason = Promise.withResolvers<unknown>();
      await server.serve(slow, async (_, { signal }) => {
        started.resolve();
        reason.resolve(told(await aborted(signal)));
      });
      const controller = new AbortController();
      const call = end(client.call(slow, undefined, { signal: controller.signal }));
      await started.promise;
      controller.abort(new Error("not needed"));
      return [await call, await reason.promise];
    },
    expected: [
      {
        code: "canceled",
        outcome: "unknown",
        message: 'Call ID to "QUEUE" was canceled by its signal',
        cause: "Error: not needed",
      },
      { code: "canceled", outcome: "unknown", message: "The caller has canceled the call" },
    ],
  },
  {
    name: "A call with an aborted signal is not sent, and one that is canceled in the queue does not run",
    run: async ({ client, server, queue, otherQueue }) => {
      const double = procedure({ queue, request: integer(), reply: integer() });
      const slow = procedure({ queue: otherQueue, request: empty(), reply: empty() });
      const gate = gated();
      const runs: number[] = [];
      const started = Promise.withResolvers<void>();
      const canceled = Promise.withResolvers<unknown>();
      await server.serve(slow, async (_, { signal }) => {
        started.resolve();
        canceled.resolve(await aborted(signal));
      });
      await server.serve(double, (n) => {
        runs.push(n);
        return gate.handler(n);
      }, { prefetch: 1 });
      const first = client.call(double, 1);
      await gate.started;
      const controller = new AbortController();
      const second = end(client.call(double, 2, { signal: controller.signal })) as Promise<{ code: string }>;
      controller.abort();
      const third = end(client.call(double, 3, { signal: controller.signal }));
      // Cancels arrive in order: with this one, the one before it has arrived too.
      const other = new AbortController();
      const last = end(client.call(slow, undefined, { signal: other.signal }));
      await started.promise;
      other.abort();
      await Promise.all([last, canceled.promise]);
      gate.release();
      return [
        await first,
        (await second).code,
        (await third as { outcome: string }).outcome,
        await client.call(double, 4),
        runs,
      ];
    },
    expected: [2, "canceled", "not_executed", 8, [1, 4]],
  },
  {
    name: "A nested call is canceled with its parent",
    run: async ({ client, server, queue, otherQueue }) => {
      const inner = procedure({ queue: otherQueue, request: empty(), reply: empty() });
      const outer = procedure({ queue, request: empty(), reply: empty() });
      const started = Promise.withResolvers<void>();
      const stopped = Promise.withResolvers<unknown>();
      await server.serve(inner, async (_, { signal }) => {
        started.resolve();
        stopped.resolve((await aborted(signal) as RpcError).code);
      });
      await server.serve(outer, (_, context) => client.call(inner, undefined, { parent: context }));
      const controller = new AbortController();
      const call = end(client.call(outer, undefined, { signal: controller.signal })) as Promise<{ code: string }>;
      await started.promise;
      controller.abort();
      return [(await call).code, await stopped.promise];
    },
    expected: ["canceled", "canceled"],
  },
  {
    name: "A server that closes answers what it has, and serves no more",
    run: async ({ client, server, queue }) => {
      const double = procedure({ queue, request: integer(), reply: integer() });
      const gate = gated();
      await server.serve(double, gate.handler);
      const call = client.call(double, 1);
      await gate.started;
      const closing = server.close();
      gate.release();
      await closing;
      return [await call, await end(server.serve(double, gate.handler))];
    },
    expected: [2, { code: "unavailable", outcome: "unknown", message: 'Cannot serve "QUEUE": the server is closed' }],
  },
  {
    name: "A client that closes waits for its calls, and makes no more",
    run: async ({ client, server, queue }) => {
      const double = procedure({ queue, request: integer(), reply: integer() });
      const gate = gated();
      await server.serve(double, gate.handler);
      const call = client.call(double, 1);
      await gate.started;
      const closing = client.close();
      const refused = await end(client.call(double, 2));
      gate.release();
      await closing;
      return [await call, refused];
    },
    expected: [2, {
      code: "unavailable",
      outcome: "not_executed",
      message: 'Cannot call "QUEUE": the client is closed',
    }],
  },
  {
    name: "A call that outlasts the close of its client is canceled, and the server sees that its caller has left",
    client: { drainTimeout: 20 },
    run: async ({ client, server, queue }) => {
      const slow = procedure({ queue, request: empty(), reply: empty() });
      const started = Promise.withResolvers<boolean>();
      const closed = Promise.withResolvers<void>();
      const alive = Promise.withResolvers<boolean>();
      await server.serve(slow, async (_, { callerAlive, signal }) => {
        started.resolve(await callerAlive());
        await closed.promise;
        alive.resolve(await callerAlive());
        await aborted(signal);
      });
      const call = end(client.call(slow, undefined));
      const before = await started.promise;
      await client.close();
      closed.resolve();
      return [await call, before, await alive.promise];
    },
    expected: [
      {
        code: "canceled",
        outcome: "unknown",
        message: 'Call ID to "QUEUE" failed: the client was closed before the call ended',
      },
      true,
      false,
    ],
  },
  {
    name: "One queue is served once by a server, until that is stopped",
    run: async ({ client, server, queue }) => {
      const one = procedure({ queue, request: empty(), reply: integer() });
      const serving = await server.serve(one, () => 1);
      const refused = await end(server.serve(one, () => 2));
      const first = await client.call(one, undefined);
      await serving.stop();
      await server.serve(one, () => 3);
      return [refused, first, await client.call(one, undefined)];
    },
    expected: [
      {
        code: "already_exists",
        outcome: "not_executed",
        message: 'Cannot serve "QUEUE": this server already serves it; stop that first, or make both one service',
      },
      1,
      3,
    ],
  },
  {
    name: "A queue that exists with other settings is used as it is",
    run: async ({ client, server, queue }) => {
      const one = procedure({ queue, request: empty(), reply: integer() });
      await (await server.serve(one, () => 1)).stop();
      await server.serve(procedure({ queue, queueType: "classic", request: empty(), reply: integer() }), () => 2);
      return await client.call(one, undefined);
    },
    expected: 2,
  },
  ...[undefined, false].map((idempotent): Scenario => ({
    name: `A request that a stopped server leaves is ${idempotent === false ? "refused" : "run"} by the next one`,
    // At-most-once requests delay a stop by 250 ms.
    server: { drainTimeout: idempotent === false ? 300 : 20 },
    run: async ({ client, server, queue }) => {
      const stuck = procedure({ queue, request: bytes(), reply: json(), idempotent });
      const once = stuckOnce();
      const serve = () =>
        server.serve(stuck, (body, { signal, redelivered, deliveryCount }) => {
          const seen = [body[0], redelivered, deliveryCount];
          body.fill(0);
          return once.run(signal, () => seen);
        });
      const serving = await serve();
      const call = end(client.call(stuck, new Uint8Array([206])));
      await once.started;
      await serving.stop();
      await serve();
      return [await call, once.runs];
    },
    expected: idempotent === undefined ? [[206, true, 1], 2] : [{
      code: "aborted",
      outcome: "unknown",
      message:
        'Cannot run the request of "QUEUE" again: the procedure is at-most-once, and this request may have run before',
    }, 1],
  })),
  {
    name: "A request that was delivered too often is not run again",
    server: { drainTimeout: 20 },
    run: async ({ client, server, queue }) => {
      const poison = procedure({ queue, request: empty(), reply: empty(), maxDeliveries: 1 });
      const once = stuckOnce();
      const serve = () => server.serve(poison, (_, { signal }) => once.run(signal, () => undefined));
      const serving = await serve();
      const call = end(client.call(poison, undefined));
      await once.started;
      await serving.stop();
      await serve();
      return [await call, once.runs];
    },
    expected: [{
      code: "aborted",
      outcome: "unknown",
      message: 'Cannot run the request of "QUEUE" again: it was delivered 1 times without an answer; the limit is 1',
    }, 1],
  },
  ...[true, undefined].map((idempotent): Scenario => ({
    name: `A call ${idempotent === true ? "that is idempotent survives" : "ends with"} the loss of its connection`,
    disconnects: true,
    run: async ({ client, server, queue, disconnect }) => {
      const double = procedure({ queue, request: integer(), reply: integer(), idempotent });
      const started = Promise.withResolvers<void>();
      const answer = Promise.withResolvers<void>();
      await server.serve(double, async (n) => {
        started.resolve();
        await answer.promise;
        return 2 * n;
      });
      const call = end(client.call(double, 1));
      await started.promise;
      disconnect();
      const ended = idempotent === true ? undefined : await call;
      answer.resolve();
      return [ended ?? await call, await client.call(double, 2)];
    },
    expected: [
      idempotent === true ? 2 : {
        code: "unavailable",
        outcome: "unknown",
        message: 'Call ID to "QUEUE" failed: Lost the connection to BROKER, after the request was sent',
      },
      4,
    ],
  })),
];
