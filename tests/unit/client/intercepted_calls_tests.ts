import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { type CallOptions, checkCallOptions, type ReadyCallOptions } from "../../../lib/client/call_options.ts";
import { InterceptedCalls } from "../../../lib/client/intercepted_calls.ts";
import { isCallError, RpcError } from "../../../lib/contract/errors.ts";
import type { InterceptedCall, Interceptor } from "../../../lib/contract/interceptor.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { anyProcedure } from "../../support/pending.ts";
import { watchListeners } from "../../support/watch_listeners.ts";

/** Calls with interceptors, and what their client was asked for. */
class Site implements Disposable {
  readonly clock = new FakeClock();
  readonly attempts: { readonly request: unknown; readonly options: ReadyCallOptions }[] = [];
  readonly unsent: (readonly [number, RpcError | undefined])[] = [];
  /** Settles the attempts, in their order. */
  readonly settle: PromiseWithResolvers<unknown>[] = [];
  readonly calls = new InterceptedCalls({
    broker: "localhost:5672",
    call: (_, request, options) => {
      this.attempts.push({ request, options });
      const attempt = Promise.withResolvers<unknown>();
      this.settle.push(attempt);
      return attempt.promise;
    },
    endedUnsent: (_procedure, _messageId, duration, error) => this.unsent.push([duration, error]),
  });

  run(interceptor: Interceptor, options: CallOptions = {}): Promise<unknown> {
    const called = this.calls.run([interceptor], anyProcedure("q", true), 1, checkCallOptions(options, 1_000));
    called.catch(() => {});
    return called;
  }

  [Symbol.dispose](): void {
    this.calls.close();
    this.clock[Symbol.dispose]();
  }
}

async function errorOf(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  assert(error instanceof RpcError);
  return error;
}

/** Lets all promises go on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const pass: Interceptor = (next) => next;
const stuck: Interceptor = () => () => new Promise(() => {});

Deno.test("InterceptedCalls passes the call on, with what is left of its time, under one identity", async () => {
  using site = new Site();
  const seen: InterceptedCall[] = [];
  const twice: Interceptor = (next) => async (call) => {
    seen.push(call);
    site.clock.advance(300);
    await next(call).catch(() => {});
    return await next({ ...call, request: 2, headers: { ...call.headers, b: "2" } });
  };
  const called = site.run(twice, { timeout: 500, headers: { a: "1" } });
  await turns();
  site.settle[0]?.reject(new RpcError("unavailable", "lost"));
  await turns();
  site.settle[1]?.resolve("reply");
  assertEquals(await called, "reply");
  const [first, second] = site.attempts;
  assertEquals([first?.request, first?.options.timeout, first?.options.headers], [1, 200, [["a", "1"]]]);
  assertEquals([second?.request, second?.options.headers], [2, [["a", "1"], ["b", "2"]]]);
  assertEquals(first?.options.messageId, second?.options.messageId);
  const { side, queue, broker, messageId, deadline } = seen[0] ?? {};
  assertEquals([side, queue, broker, messageId], ["client", "q", "localhost:5672", first?.options.messageId]);
  assert(Math.abs((deadline?.getTime() ?? 0) - Date.now() - 500) < 300);
  assertEquals(site.unsent, []);
});

Deno.test("InterceptedCalls tells of a call that an interceptor answered or refused without any attempt", async () => {
  using site = new Site();
  const answer: Interceptor = () => () => {
    site.clock.advance(5);
    return Promise.resolve("cached");
  };
  assertEquals(await site.run(answer), "cached");
  const refusal = new RpcError("unauthenticated", "no token", { outcome: "not_executed" });
  assertStrictEquals(await errorOf(site.run(() => () => Promise.reject(refusal))), refusal);
  assert(isCallError(refusal));
  assertEquals(site.unsent, [[5, undefined], [0, refusal]]);
  assertEquals(site.clock.refs, 0);
});

for (const when of ["before its first wait", "later"] as const) {
  Deno.test(`InterceptedCalls makes an RpcError of what an interceptor throws ${when}`, async () => {
    using site = new Site();
    const fault = new TypeError("no token");
    const error = await errorOf(site.run(() => (_call) => {
      if (when === "later") return Promise.reject(fault);
      throw fault;
    }));
    assertEquals([error.code, error.outcome], ["internal", "not_executed"]);
    assertStrictEquals(error.cause, fault);
    assertStringIncludes(error.message, 'An interceptor of the client failed the call of "q": no token');
  });
}

Deno.test("InterceptedCalls says what an interceptor throws after an attempt is executed or unknown, as that was", async () => {
  for (const [settle, outcome] of [["resolve", "executed"], ["reject", "unknown"]] as const) {
    using site = new Site();
    const called = site.run((next) => async (call) => {
      await next(call).catch(() => {});
      throw "a text";
    });
    site.settle[0]?.[settle](new RpcError("unavailable", "lost"));
    const error = await errorOf(called);
    assertEquals([error.code, error.outcome, error.cause], ["internal", outcome, "a text"]);
  }
});

Deno.test("InterceptedCalls ends a call at its deadline, whatever its interceptor waits for", async () => {
  using site = new Site();
  const called = site.run(stuck, { timeout: 500 });
  site.clock.advance(499);
  await turns();
  assertEquals(site.unsent, []);
  site.clock.advance(1);
  const error = await errorOf(called);
  assertEquals([error.code, error.outcome], ["deadline_exceeded", "not_executed"]);
  assertEquals(error.message, 'The call of "q" did not end within 500 ms: its interceptors have not continued');
});

Deno.test("InterceptedCalls ends a call at its signal, and leaves the signal", async () => {
  using site = new Site();
  const controller = new AbortController();
  const listeners = watchListeners(controller.signal);
  const called = site.run(stuck, { signal: controller.signal });
  assertEquals(listeners(), 1);
  controller.abort("why");
  const error = await errorOf(called);
  assertEquals([error.code, error.outcome, error.cause, listeners()], ["canceled", "not_executed", "why", 0]);
});

Deno.test("InterceptedCalls leaves an attempt in flight its own error, and the interceptor 100 ms after that", async () => {
  for (const isStuck of [false, true]) {
    using site = new Site();
    const inner = new RpcError("deadline_exceeded", "with the queue", { outcome: "unknown" });
    const called = site.run((next) => async (call) => {
      try {
        return await next(call);
      } catch (error) {
        if (isStuck) await new Promise(() => {});
        throw error;
      }
    }, { timeout: 500 });
    let ended = false;
    called.catch(() => ended = true);
    site.clock.advance(600);
    await turns();
    assertEquals(ended, false);
    site.settle[0]?.reject(inner);
    await turns();
    assertEquals([ended, site.clock.refs], [!isStuck, isStuck ? 1 : 0]);
    site.clock.advance(100);
    const error = await errorOf(called);
    if (isStuck) assertEquals([error.code, error.outcome], ["deadline_exceeded", "unknown"]);
    else assertStrictEquals(error, inner);
    assertEquals(site.clock.refs, 0);
  }
});

Deno.test("InterceptedCalls makes no attempt after the deadline", async () => {
  using site = new Site();
  const late: Interceptor = (next) => (call) => {
    site.clock.stall(500);
    return next(call);
  };
  const error = await errorOf(site.run(late, { timeout: 500 }));
  assertEquals([error.code, error.outcome, site.attempts], ["deadline_exceeded", "not_executed", []]);
  assertStringIncludes(error.message, "the deadline passed before its interceptors continued");
});

Deno.test("InterceptedCalls waits for the interceptor once, also if it makes another attempt after the deadline", async () => {
  using site = new Site();
  const called = site.run((next) => async (call) => {
    await next(call).catch(() => {});
    await next(call).catch(() => {});
    return await new Promise(() => {});
  }, { timeout: 500 });
  site.clock.advance(500);
  site.settle[0]?.reject(new RpcError("deadline_exceeded", "first", { outcome: "unknown" }));
  await turns();
  assertEquals([site.attempts.length, site.clock.refs], [1, 1]);
  site.clock.advance(100);
  assertEquals((await errorOf(called)).outcome, "unknown");
});

Deno.test("InterceptedCalls waits for nothing more when an interceptor has answered after the deadline", async () => {
  using site = new Site();
  const answer = Promise.withResolvers<unknown>();
  const called = site.run((next) => (call) => {
    next(call).catch(() => {});
    return answer.promise;
  }, { timeout: 500 });
  site.clock.advance(500);
  answer.resolve("reply");
  assertEquals(await called, "reply");
  site.settle[0]?.reject(new RpcError("deadline_exceeded", "first"));
  await turns();
  assertEquals(site.clock.refs, 0);
});

Deno.test("InterceptedCalls.close() clears all timers", async () => {
  using site = new Site();
  const called = site.run(pass);
  site.settle[0]?.resolve("reply");
  await called;
  assertEquals(site.clock.timers, 1);
  site.calls.close();
  assertEquals(site.clock.timers, 0);
});

Deno.test("InterceptedCalls refuses headers of an interceptor that cannot be sent", async () => {
  using site = new Site();
  const error = await errorOf(site.run((next) => (call) => next({ ...call, headers: { Bad: "1" } })));
  assertEquals([error.code, error.outcome, site.attempts], ["internal", "not_executed", []]);
  assertStringIncludes(error.message, "lower-case");
});

Deno.test("InterceptedCalls rejects with a stack that shows who awaits the call", async () => {
  using site = new Site();
  async function caller(): Promise<unknown> {
    return await site.calls.run([pass], anyProcedure("q"), 1, checkCallOptions({}, 1_000));
  }
  const calling = errorOf(caller());
  await turns();
  // As PendingCalls does, in a reaction of a promise that the attempt waits for.
  site.settle[0]?.resolve((async () => {
    await turns();
    throw new RpcError("aborted", "no");
  })());
  assertStringIncludes((await calling).stack ?? "", "at async caller");
});

Deno.test("InterceptedCalls ends what is left when it is closed, whatever an interceptor waits for", async () => {
  using site = new Site();
  const left = site.run(stuck);
  const idle = site.calls.idle();
  assertEquals(site.calls.size, 1);
  site.calls.close();
  const { code, outcome } = await errorOf(left);
  assertEquals([code, outcome, site.calls.size], ["canceled", "not_executed", 0]);
  await idle;
});

Deno.test("InterceptedCalls waits for a call between two attempts, which may make the second", async () => {
  using site = new Site();
  const goOn = Promise.withResolvers<void>();
  const again: Interceptor = (next) => async (call) => {
    await next(call).catch(() => {});
    await goOn.promise;
    return await next(call);
  };
  const called = site.run(again);
  await turns();
  assertEquals(site.calls.size, 0, "an attempt is in flight, and counts where it is pending");
  site.settle[0]?.reject(new RpcError("unavailable", "lost"));
  await turns();
  assertEquals(site.calls.size, 1);
  let idle = false;
  const ended = site.calls.idle().then(() => idle = true);
  await turns();
  assertEquals(idle, false);
  goOn.resolve();
  await turns();
  site.settle[1]?.resolve("done");
  assertEquals(await called, "done");
  await ended;
});

Deno.test("InterceptedCalls ends a call at its deadline although an interceptor tries again and again", async () => {
  using site = new Site();
  const restless: Interceptor = (next) => async (call) => {
    for (;;) {
      try {
        return await next(call);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  const called = site.run(restless, { timeout: 300 });
  let ended = false;
  called.catch(() => ended = true);
  await turns();
  site.clock.advance(300);
  site.settle[0]?.reject(new RpcError("deadline_exceeded", "too late"));
  for (let step = 0; step < 6; step++) {
    await turns();
    site.clock.advance(25);
  }
  await turns();
  assertEquals(ended, true);
  assertEquals((await errorOf(called)).code, "deadline_exceeded");
});

Deno.test("InterceptedCalls makes no call whose signal is aborted", async () => {
  using site = new Site();
  const called = await errorOf(
    Promise.resolve().then(() => site.run(stuck, { signal: AbortSignal.abort("why not") })),
  );
  assertEquals([called.code, called.outcome, called.cause, site.attempts.length], [
    "canceled",
    "not_executed",
    "why not",
    0,
  ]);
});
