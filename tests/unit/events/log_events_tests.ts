import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type ClientEvent,
  logEvents,
  type LogLevel,
  type LogOptions,
  RpcError,
  type ServerEvent,
} from "../../../lib/rpc.ts";
import { logWarnings } from "../../../lib/events/log_events.ts";
import { recordOf } from "../../../lib/events/log_record.ts";
import { consoleErrors } from "../../support/console_errors.ts";
import { FakeClock } from "../../support/fake_clock.ts";

type AnyEvent = ClientEvent | ServerEvent;
type Types = { readonly [Type in AnyEvent["type"]]: Extract<AnyEvent, { readonly type: Type }> };

const HOST = "rabbit-1:5672";
const error = new RpcError("unavailable", `Lost the connection to ${HOST}: the broker closed it`);
const request = { queue: "users", messageId: "call-1" } as const;

/** One event of each type, and what it says. */
const EVENTS: { readonly [Type in keyof Types]: readonly [Types[Type], LogLevel, string] } = {
  connected: [{ type: "connected", host: HOST }, "info", `Connected host=${HOST}`],
  disconnected: [{ type: "disconnected", host: HOST, error }, "warn", `${error.message} host=${HOST}`],
  channel_lost: [
    { type: "channel_lost", host: HOST, error: new RpcError("not_found", 'Cannot serve "users": no queue') },
    "warn",
    `The broker closed a channel: Cannot serve "users": no queue host=${HOST}`,
  ],
  retrying: [
    { type: "retrying", attempt: 3, delay: 1_234.5678, error: new RpcError("unavailable", "no broker listens there") },
    "warn",
    "Retrying in 1.2 s: no broker listens there code=unavailable attempt=3 delay_ms=1234.6",
  ],
  blocked: [
    { type: "blocked", host: HOST, reason: "low on memory" },
    "warn",
    `The broker accepts no messages: low on memory host=${HOST}`,
  ],
  unblocked: [
    { type: "unblocked", host: HOST, duration: 5_000 },
    "warn",
    `The broker accepts messages again host=${HOST} duration_ms=5000`,
  ],
  late_reply: [
    { type: "late_reply", correlationId: "call-1" },
    "debug",
    "A reply came that no call waits for correlation_id=call-1",
  ],
  called: [
    {
      type: "called",
      ...request,
      method: "find",
      id: "call-1",
      code: "unavailable",
      outcome: "unknown",
      error: new RpcError("unavailable", "the broker went away", { id: "e-7" }),
      duration: 12.345,
      attempts: 2,
    },
    "warn",
    "Call failed: the broker went away queue=users method=find message_id=call-1 code=unavailable outcome=unknown " +
    "error_id=e-7 attempts=2 duration_ms=12.3",
  ],
  handled: [
    {
      type: "handled",
      ...request,
      method: "find",
      code: "not_found",
      error: new RpcError("not_found", "no user 7", { outcome: "executed" }),
      duration: 1,
      executed: true,
      redelivered: true,
    },
    "info",
    "Request failed: no user 7 queue=users method=find message_id=call-1 code=not_found outcome=executed " +
    "redelivered=true duration_ms=1",
  ],
  adopted_queue: [
    { type: "adopted_queue", queue: "users", reason: "inequivalent arg 'durable'" },
    "warn",
    "The queue already exists with other settings; using it unchanged (inequivalent arg 'durable') queue=users",
  ],
  consumer_canceled: [
    { type: "consumer_canceled", queue: "users" },
    "warn",
    "The queue was deleted, or its consumer ended; declaring it again queue=users",
  ],
  priority_ignored: [
    { type: "priority_ignored", queue: "users", reason: "its queueType is classic, and it has no maxPriority" },
    "warn",
    "The priority of calls has no effect: its queueType is classic, and it has no maxPriority queue=users",
  ],
  consumer_timeout: [
    { type: "consumer_timeout", ...request, method: "find", duration: 1_800_049 },
    "warn",
    "The broker took a request back that was not answered within its consumer timeout; the longest one has been in " +
    "progress for 1800.0 s. For longer work, set consumerTimeout " +
    "queue=users method=find message_id=call-1 duration_ms=1800049",
  ],
  rejected_request: [
    { type: "rejected_request", queue: "users", reason: "it has no reply_to" },
    "warn",
    "Rejected a request: it has no reply_to queue=users",
  ],
  overloaded: [
    { type: "overloaded", queue: "users", refused: 3, reason: "of its 1000 ms, the request has 9 ms left" },
    "warn",
    "Overloaded, refused 3 requests: of its 1000 ms, the request has 9 ms left queue=users",
  ],
  expired_request: [
    { type: "expired_request", ...request },
    "debug",
    "The request expired before it was answered queue=users message_id=call-1",
  ],
  returned_request: [
    { type: "returned_request", ...request },
    "warn",
    "The process was stalled, and the request may have expired: returned it to the queue queue=users message_id=call-1",
  ],
  redelivered_request: [
    { type: "redelivered_request", ...request, state: "running" },
    "info",
    "The request was delivered again; it is still running, and is not run again queue=users message_id=call-1",
  ],
  loop_blocked: [
    { type: "loop_blocked", ...request, method: "find", duration: 734.26 },
    "warn",
    "The event loop stood still while a handler ran; it must not compute for so long without a pause queue=users " +
    "method=find message_id=call-1 duration_ms=734.3",
  ],
  worker_lost: [
    { type: "worker_lost", queue: "users", error: new Error("The worker process exited with code 1") },
    "warn",
    "Lost a worker: The worker process exited with code 1 queue=users",
  ],
  canceled_request: [
    { type: "canceled_request", ...request },
    "debug",
    "The caller canceled the request queue=users message_id=call-1",
  ],
  handler_error: [
    { type: "handler_error", ...request, method: undefined, id: "e-7", error: "text" },
    "error",
    "Handler threw text queue=users message_id=call-1 error_id=e-7",
  ],
  caller_left: [
    { type: "caller_left", ...request },
    "info",
    "The caller left before the reply queue=users message_id=call-1",
  ],
  reply_dropped: [
    { type: "reply_dropped", ...request, reason: "the server is closing" },
    "warn",
    "Dropped a reply: the server is closing queue=users message_id=call-1",
  ],
};

const ALL: readonly (readonly [AnyEvent, LogLevel, string])[] = Object.values(EVENTS);

const HOSTILE = [
  "\x1b[2K\x1b[1A",
  "a\nb\r\nc",
  "a\u2028b\u2029c",
  "\u009b31m",
  "\u202egnp",
  "\ud800",
  "x".repeat(1_000_000),
];
/** What a terminal or a reader of lines acts on. */
// deno-lint-ignore no-control-regex -- these are the characters that must not get through
const OBEYED = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\ufeff]|\p{Surrogate}/u;

function lines(options: LogOptions, ...events: readonly AnyEvent[]): string[] {
  const written: string[] = [];
  const log = logEvents({ ...options, write: (line) => written.push(line) });
  for (const event of events) log(event);
  return written;
}

for (const [event, level, text] of ALL) {
  Deno.test(`logEvents() writes ${event.type} as a line for people: time, level, what happened, where`, () => {
    const [line = "", ...more] = lines({ level: "debug" }, event);
    assertEquals(more, []);
    const [, time = "", shown, rest] = /^(\S+) (\S+) +(.*)$/.exec(line) ?? [];
    assertEquals(new Date(time).toISOString(), time);
    assertEquals([shown, rest], [level.toUpperCase(), text]);
  });

  Deno.test(`logEvents() writes ${event.type} as one object, with the same content`, () => {
    const [line = "", ...more] = lines({ level: "debug", format: "json" }, event);
    assertEquals(more, []);
    const { time, level: said, event: name, message, ...fields } = JSON.parse(line);
    assertEquals(new Date(time).toISOString(), time);
    assertEquals([said, name], [level, event.type]);
    const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`);
    assertEquals(message + pairs.join(""), text);
  });

  Deno.test(`logEvents() writes ${event.type} with what a stranger may put into it on one line, escaped, and short`, () => {
    for (const hostile of HOSTILE) {
      const spoilt = Object.fromEntries(
        Object.entries(event).map(([key, value]) => {
          if (key === "type" || key === "code" || key === "outcome") return [key, value];
          if (value instanceof Error) return [key, new RpcError("internal", hostile, { id: hostile })];
          return [key, typeof value === "string" ? hostile : value];
        }),
      ) as AnyEvent;
      for (const format of ["text", "json"] as const) {
        const [line = "", ...more] = lines({ level: "debug", format }, spoilt);
        assertEquals(more, []);
        assertEquals(line.match(OBEYED), null);
        assertLess(line.length, 50_000);
        if (format === "json") {
          assertEquals(Object.values(JSON.parse(line)).find((text) => OBEYED.test(`${text}`)), undefined);
        }
      }
    }
  });

  for (const lowest of ["debug", "info", "warn", "error"] as const) {
    const order = ["debug", "info", "warn", "error"];
    const written = order.indexOf(level) >= order.indexOf(lowest);
    Deno.test(`logEvents() with the level ${lowest} ${written ? "writes" : "leaves out"} ${event.type}`, () => {
      assertEquals(lines({ level: lowest }, event).length, written ? 1 : 0);
    });
  }
}

Deno.test("logEvents() says that the connection is back, how long it was gone, and with the level of the loss", () => {
  const back = { type: "connected", host: HOST, downtime: 1_234 } as const;
  assertMatch(lines({ level: "warn" }, back)[0] ?? "", / WARN {2}Reconnected after 1\.2 s host=\S+ duration_ms=1234$/);
  const { event, level } = JSON.parse(lines({ format: "json" }, back)[0] ?? "");
  assertEquals([event, level], ["reconnected", "warn"]);
});

Deno.test("logEvents() shows calls and requests that ended well with the level debug alone", () => {
  const called = { ...EVENTS.called[0], code: "ok", outcome: undefined, error: undefined } as const;
  const handled = { ...EVENTS.handled[0], code: "ok", error: undefined, redelivered: false } as const;
  assertEquals(lines({}, called, handled), []);
  const [first = "", second = ""] = lines({ level: "debug" }, called, handled);
  assertMatch(
    first,
    / DEBUG Call answered queue=users method=find message_id=call-1 code=ok attempts=2 duration_ms=12.3$/,
  );
  assertMatch(second, / DEBUG Request answered queue=users method=find message_id=call-1 code=ok duration_ms=1$/);
});

Deno.test("logEvents() shows the stack of a handler's error: below the line for people, in a field for machines", () => {
  const cause = new Error("why\n    at forged (x.ts:1:1)");
  const event = { ...EVENTS.handler_error[0], error: new Error("broken", { cause }) };
  const [text = ""] = lines({}, event);
  const [head = "", ...frames] = text.split("\n");
  assertMatch(head, / ERROR Handler threw Error: broken queue=users message_id=call-1 error_id=e-7$/);
  assert(frames.length > 1);
  for (const frame of frames) assertMatch(frame, /^ {4}at |^ {2}Caused by: Error: why\\x0a/);
  const { message, stack } = JSON.parse(lines({ format: "json" }, event)[0] ?? "");
  assertEquals([message, stack], ["Handler threw Error: broken", frames.join("\n")]);
});

for (const frames of [10_000, 1_000_000]) {
  Deno.test(`logEvents() shows some of the ${frames} frames that a stack has`, () => {
    const broken = new Error("broken");
    broken.stack = `Error: broken${"\n    at nowhere".repeat(frames)}`;
    const [line = ""] = lines({}, { ...EVENTS.handler_error[0], error: broken });
    assertStringIncludes(line, "at nowhere");
    assertLess(line.length, 1_000);
  });
}

Deno.test("logEvents() quotes a value that could pass for more fields", () => {
  const event = { type: "caller_left", queue: "users", messageId: 'x code=ok "' } as const;
  assertMatch(lines({}, event)[0] ?? "", / queue=users message_id="x code=ok \\""$/);
});

Deno.test("logEvents() writes five lines that are alike in ten seconds, and then how many were left out", () => {
  using clock = new FakeClock();
  const written: string[] = [];
  const log = logEvents({ write: (line) => written.push(line) });
  for (let n = 0; n < 1_000; n++) {
    log({ type: "rejected_request", queue: "users", reason: `its reply_to "${n}" is bad` });
  }
  assertEquals(written.length, 5);
  log({ type: "rejected_request", queue: "others", reason: "" });
  assertEquals(written.length, 6);
  clock.advance(10_000);
  // Any event will do.
  log({ type: "connected", host: HOST });
  assertEquals(written.length, 8);
  assertMatch(written[6] ?? "", / WARN {2}Left out 995 more like this: rejected_request queue=users left_out=995$/);
  log({ type: "rejected_request", queue: "users", reason: "" });
  assertEquals(written.length, 9);
});

Deno.test("logEvents() says how many lines were left out when the next one like them comes", () => {
  using clock = new FakeClock();
  const written: string[] = [];
  const log = logEvents({ format: "json", write: (line) => written.push(line) });
  for (let n = 0; n < 7; n++) log({ ...EVENTS.called[0] });
  clock.advance(9_999);
  log({ ...EVENTS.called[0] });
  assertEquals(written.length, 5);
  clock.advance(1);
  log({ ...EVENTS.called[0] });
  const { event, code, left_out } = JSON.parse(written[5] ?? "");
  assertEquals([written.length, event, code, left_out], [7, "called", "unavailable", 3]);
});

Deno.test("logEvents() with the level debug leaves out no call and no request, but what strangers can cause", () => {
  const events = Array.from({ length: 100 }, () => [EVENTS.called[0], EVENTS.handled[0], EVENTS.rejected_request[0]]);
  assertEquals(lines({ level: "debug" }, ...events.flat()).length, 205);
  assertEquals(lines({}, ...events.flat()).length, 15);
});

Deno.test("logEvents() writes one line about a flood of late replies, whatever the level", () => {
  using clock = new FakeClock();
  const late = Array.from({ length: 100_000 }, () => EVENTS.late_reply[0]);
  const flood = "WARN  1000 replies came within 10 s that no call waits for";
  for (const level of ["info", "warn"] as const) {
    const [line = "", ...more] = lines({ level }, ...late);
    assertEquals([line.slice(25), more], [flood, []]);
  }
  assertEquals(lines({ level: "error" }, ...late), []);
  assertEquals(lines({ level: "debug" }, ...late).length, 6);
  const written: string[] = [];
  const log = logEvents({ write: (line) => written.push(line) });
  for (let n = 0; n < 1_998; n++) {
    if (n === 999) clock.advance(10_000);
    log(EVENTS.late_reply[0]);
  }
  assertEquals(written, []);
  log(EVENTS.late_reply[0]);
  assertEquals(written.length, 1);
});

Deno.test("logEvents() counts a thousand kinds of lines, and forgets the oldest beyond that", () => {
  using _clock = new FakeClock();
  const written: string[] = [];
  const log = logEvents({ write: (line) => written.push(line) });
  for (let n = 0; n < 6; n++) log({ type: "blocked", host: HOST, reason: "first" });
  for (let n = 0; n < 999; n++) log({ type: "blocked", host: HOST, reason: `${n}` });
  assertEquals(written.length, 5 + 999);
  log({ type: "blocked", host: HOST, reason: "last" });
  assertMatch(written.at(-2) ?? "", /Left out 1 more like this: blocked/);
  assertEquals(written.length, 5 + 999 + 2);
});

Deno.test("logEvents() writes a changed reason at once, and the same one once a minute", () => {
  using clock = new FakeClock();
  const written: string[] = [];
  const log = logEvents({ write: (line) => written.push(line) });
  function retry(attempt: number, reason: string): void {
    log({ type: "retrying", attempt, delay: 100, error: new RpcError("unavailable", reason) });
    clock.advance(1_000);
  }
  log({ type: "disconnected", host: HOST, error });
  log({ type: "retrying", attempt: 1, delay: 100, error });
  assertEquals(written.length, 1, "The first attempt has the reason of the loss, which is written already");
  for (let n = 2; n < 32; n++) retry(n, "no broker listens there");
  assertEquals(written.length, 2);
  retry(32, "the password is wrong");
  assertEquals(written.length, 3);
  assertStringIncludes(written[2] ?? "", "the password is wrong");
  for (let n = 33; n < 63; n++) retry(n, "no broker listens there");
  assertEquals(written.length, 5);
  assertMatch(written[3] ?? "", /Left out 58 more like this: retrying/);
});

Deno.test("logEvents() writes to stderr by default", () => {
  using log = consoleErrors();
  logEvents()({ type: "connected", host: HOST });
  assertMatch(log.lines.join(), /^\S+ INFO {2}Connected host=rabbit-1:5672$/);
});

Deno.test("logWarnings() writes what an operator should know, and nothing of single calls", () => {
  using log = consoleErrors();
  for (const [event] of ALL) logWarnings(event);
  const wanted = ALL.filter(([{ type }, level]) => /warn|error/.test(level) && type !== "called");
  assertEquals(log.lines.length, wanted.length);
});

Deno.test("logEvents() refuses options that are not valid, and says what is wanted", () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [{ format: "xml" }, `'format' must be "text" or "json", got xml`],
    [{ format: null }, `'format' must be "text" or "json", got null`],
    [{ level: "warning" }, "'level' must be one of debug, info, warn, error, got warning"],
    [{ write: "stderr" }, "'write' must be a function of the line"],
  ];
  for (const [options, text] of cases) {
    assertThrows(() => logEvents(options as LogOptions), TypeError, `Cannot log events: ${text}`);
  }
});

Deno.test("A short wait is told in milliseconds, not as 0.0 s", () => {
  const retrying = (delay: number) => ({ type: "retrying", attempt: 1, delay, error } as const);
  const told = [12.4, 99.9, 100, 1_234].map((delay) => /in (.+?):/.exec(recordOf(retrying(delay)).message)?.[1]);
  assertEquals(told, ["12 ms", "100 ms", "0.1 s", "1.2 s"]);
});
