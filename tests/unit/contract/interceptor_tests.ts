import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  anyEnabled,
  checkInterceptors,
  compose,
  type InterceptedCall,
  type Interceptor,
  type Next,
  provide,
} from "../../../lib/contract/interceptor.ts";

const CALL: InterceptedCall = {
  side: "server",
  queue: "q",
  method: undefined,
  request: 1,
  headers: {},
  signal: undefined,
  deadline: undefined,
  messageId: undefined,
  correlationId: undefined,
  broker: undefined,
  parent: undefined,
  context: undefined,
  arrivedAt: undefined,
  onAnswer: undefined,
};

Deno.test("compose() without interceptors is the answer itself", async () => {
  assertEquals(await compose([], ({ request }) => Promise.resolve(request))(CALL), 1);
});

Deno.test("compose() puts the first interceptor outermost, and each may change request and reply", async () => {
  const add = (text: string) => (next: (call: InterceptedCall) => Promise<unknown>) => async (call: InterceptedCall) =>
    `${await next({ ...call, request: `${call.request}${text}` })}${text}`;
  const next = compose([add("a"), add("b")], ({ request }) => Promise.resolve(`${request}|`));
  assertEquals(await next(CALL), "1ab|ba");
});

Deno.test("provide() adds to the context before it goes on, and does without one", async () => {
  const context = {} as unknown as NonNullable<InterceptedCall["context"]>;
  const next = provide(() => Promise.resolve({ user: "alice" }))((call) => Promise.resolve({ ...call.context }));
  assertEquals(await next({ ...CALL, context }), { user: "alice" });
  assertEquals(await next(CALL), {});
});

Deno.test("provide() that throws does not go on", async () => {
  let went = false;
  const next = provide(() => {
    throw new Error("no");
  })(() => Promise.resolve(went = true));
  await assertRejects(() => next(CALL), Error, "no");
  assertEquals(went, false);
});

Deno.test("anyEnabled() asks each interceptor; one without that function, or whose function throws, is", () => {
  const plain: Interceptor = (next) => next;
  const broken: Interceptor = Object.assign((next: Next) => next, {
    enabled: () => {
      throw new Error("no");
    },
  });
  const on: Interceptor = Object.assign((next: Next) => next, { enabled: () => true });
  const off: Interceptor = Object.assign((next: Next) => next, { enabled: () => false });
  const lists = [[], [off], [off, off], [plain], [on], [broken], [off, on], [off, plain]];
  assertEquals(lists.map(anyEnabled), [false, false, false, true, true, true, true, true]);
});

Deno.test("checkInterceptors() takes a list of functions, and nothing else", () => {
  checkInterceptors([]);
  checkInterceptors([(next: unknown) => next]);
  for (const wrong of [undefined, {}, () => {}, [1], [() => {}, undefined]]) {
    assertThrows(() => checkInterceptors(wrong), TypeError, "'interceptors' must be a list of functions");
  }
});
