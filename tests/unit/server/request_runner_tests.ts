import { assertEquals, assertRejects } from "@std/assert";
import { RpcError } from "../../../lib/contract/errors.ts";
import type { Interceptor } from "../../../lib/contract/interceptor.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { procedure } from "../../../lib/contract/procedure.ts";
import { RequestRunner, type RunnerHost } from "../../../lib/server/request_runner.ts";
import { delivery } from "../../support/delivery.ts";
import { runningRequest } from "../../support/running_request.ts";

/** A host that notes the replies. */
function hostOf(interceptors: readonly Interceptor[], replies: string[]): RunnerHost {
  const publisher = {
    isFull: () => false,
    send: ({ body }: { readonly body: Uint8Array }) => void replies.push(new TextDecoder().decode(body)),
  };
  return {
    interceptors,
    broker: undefined,
    isCanceled: () => false,
    replies: publisher as unknown as RunnerHost["replies"],
    directReplies: publisher as unknown as RunnerHost["directReplies"],
    stalls: { seen: () => {} },
    listens: false,
    handled: () => {},
    settle: () => {},
    replyReturned: () => {},
    emit: () => {},
  };
}

Deno.test("RequestRunner does not start the handler of a request that an interceptor has refused meanwhile", async () => {
  const authenticated = Promise.withResolvers<void>();
  const refused = Promise.withResolvers<never>();
  let inner: Promise<unknown> = Promise.resolve();
  const timeout: Interceptor = (next) => (call) => {
    inner = Promise.resolve(next(call));
    return Promise.race([inner, refused.promise]);
  };
  const auth: Interceptor = (next) => async (call) => {
    await authenticated.promise;
    return await next(call);
  };
  const replies: string[] = [];
  const replied = Promise.withResolvers<void>();
  const host = hostOf([timeout, auth], replies);
  let runs = 0;
  const runner = new RequestRunner(procedure({ queue: "q", request: text(), reply: text() }), () => `${++runs}`, {
    ...host,
    handled: () => replied.resolve(),
  });
  runner.run(runningRequest(delivery({ properties: { replyTo: "replies" } })));
  refused.reject(new RpcError("unavailable", "Too slow"));
  await replied.promise;
  await Promise.resolve();
  authenticated.resolve();
  await assertRejects(() => inner, RpcError, "answered before the handler started");
  assertEquals([runs, replies.length, replies[0]?.includes("not_executed")], [0, 1, true]);
});
