import { assert, assertEquals, assertRejects } from "@std/assert";
import { RpcError, RpcServer, type ServerEvent } from "../../lib/rpc.ts";
import { deleteQueue, live, plainCall, waitFor } from "../support/live.ts";
import { connectClient, failure } from "../support/pair.ts";
import { aborted } from "../support/handlers.ts";
import { HANDLERS, maths } from "../support/maths.ts";

live("A nested call inherits deadline, signal and the headers that are propagated", async ({ url, queue }) => {
  const inner = `${queue}.inner`;
  await using _inner = { [Symbol.asyncDispose]: () => deleteQueue(url, inner) };
  await using client = await connectClient(url);
  const events: string[] = [];
  await using server = await RpcServer.connect(url, {
    propagate: ["tenant"],
    onEvent: ({ type }) => events.push(type),
  });
  const abortedBy: unknown[] = [];
  const deadlines: { outer?: number; inner?: number }[] = [];
  await server.serve(maths(inner), {
    ...HANDLERS,
    double: (n, { deadline, headers }) => {
      Object.assign(deadlines.at(-1) ?? {}, { inner: deadline?.getTime() });
      assertEquals({ ...headers }, { tenant: "acme" });
      return 2 * n;
    },
    half: async (_, { signal }) => {
      abort.abort();
      abortedBy.push(await aborted(signal));
      return 0;
    },
  });
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: async (n, context) => {
      deadlines.push({ outer: context.deadline?.getTime() ?? NaN });
      return await client.of(maths(inner)).double(n, { parent: context, timeout: 60_000 });
    },
    half: (n, context) => client.of(maths(inner)).half(n, { parent: context }),
  });
  const api = client.of(maths(queue));
  const headers = { tenant: "acme", secret: "no" };
  for (let call = 0; call < 10; call++) assertEquals(await api.double(4, { timeout: 5_000, headers }), 8);
  // The requests' way to the inner server is part of it, which takes long now and then on a loaded machine.
  const apart = deadlines.map(({ outer = NaN, inner = NaN }) => Math.abs(inner - outer));
  assert(Math.min(...apart) <= 5, apart.join(", "));

  const abort = new AbortController();
  assertEquals((await failure(api.half(4, { signal: abort.signal }))).code, "canceled");
  const [reason] = await waitFor("the inner handler's signal is aborted", () => abortedBy.length > 0 && abortedBy);
  assert(reason instanceof RpcError && reason.code === "canceled");
  await waitFor("the outer handler has ended", () => server.pending === 0);
  assertEquals(events.filter((type) => type === "handler_error"), []);
});

live("An error of a nested call reaches the outer caller as internal", async ({ url, queue }) => {
  const inner = `${queue}.inner`;
  await using _inner = { [Symbol.asyncDispose]: () => deleteQueue(url, inner) };
  const events: ServerEvent[] = [];
  await using client = await connectClient(url);
  await using server = await RpcServer.connect(url, { onEvent: (event) => events.push(event) });
  await server.serve(maths(inner), {
    ...HANDLERS,
    double: () => {
      throw new RpcError("permission_denied", "secret");
    },
  });
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: (n, context) => client.of(maths(inner)).double(n, { parent: context }),
  });
  const error = await failure(client.of(maths(queue)).double(4));
  assertEquals([error.code, error.outcome], ["internal", "executed"]);
  const told = events.find((event) => event.type === "handler_error");
  assert(told?.type === "handler_error" && told.error instanceof RpcError);
  assertEquals([told.error.code, told.messageId === undefined], ["permission_denied", false]);
});

live("A header that cannot be sent on is not propagated", async ({ url, queue }) => {
  await using server = await RpcServer.connect(url, { propagate: ["tenant", "other"] });
  const propagated: unknown[] = [];
  await server.serve(maths(queue), {
    ...HANDLERS,
    double: (n, context) => {
      propagated.push(context.propagated);
      return n;
    },
  });
  await plainCall(url, queue, "1", { headers: { tenant: "Zürich", other: "Bern" } });
  assertEquals(propagated, [{ other: "Bern" }]);
  await assertRejects(() => RpcServer.connect(url, { propagate: ["X-Id"] }), TypeError, "lower-case");
});
