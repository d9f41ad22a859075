import { assertEquals } from "@std/assert";
import { errorJson, failureText, serverCommand } from "../../../lib/cli/call_report.ts";
import { type RpcCode, RpcError, type RpcOutcome } from "../../../lib/contract/errors.ts";

for (
  const [values, command] of [
    [{}, "deno task server"],
    [{ timeout: "5s" }, "deno task server"],
    [{ queue: "nosuch" }, "deno task server --queue nosuch"],
    [{ queue: "it's mine" }, "deno task server --queue 'it'\\''s mine'"],
    [{ queue: "" }, "deno task server --queue ''"],
    [{ url: "amqp://broker:5673/x" }, "deno task server --url amqp://broker:5673/x"],
    [{ url: "amqp://me@broker" }, "deno task server --url amqp://me@broker"],
    [{ url: "amqp://me:secret@broker" }, "deno task server --url URL"],
    [{ url: "secret" }, "deno task server --url URL"],
    [{ "url-file": "/run/url", queue: "a" }, "deno task server --queue a --url-file /run/url"],
  ] as const
) {
  Deno.test(`serverCommand() of ${JSON.stringify(values)} is ${command}`, () => {
    assertEquals(serverCommand(values), command);
  });
}

/** The second line, on what to do. */
function advice(code: RpcCode, outcome: RpcOutcome, message = "No"): string | undefined {
  return failureText("fib(30)", new RpcError(code, message, { outcome }), "SERVER").split("\n")[1]?.trim();
}

for (
  const [code, outcome, text] of [
    ["unavailable", "not_executed", "the work was not done; start a server with: SERVER"],
    [
      "deadline_exceeded",
      "unknown",
      "it is unknown whether the work was done; check that broker and server are running, or allow more with --timeout",
    ],
    ["resource_exhausted", "not_executed", "the work was not done; try again when the broker has room"],
    ["internal", "executed", "the server ran it; see the server's log"],
    ["canceled", "unknown", "it is unknown whether the work was done"],
    ["invalid_argument", "executed", "the server ran it; calling again will likely give the same"],
    ["aborted", "unknown", "it is unknown whether the work was done; call again"],
  ] as const
) {
  Deno.test(`failureText() of ${code}, ${outcome} says what is known, and what to do`, () => {
    assertEquals(advice(code, outcome), text);
  });
}

Deno.test("failureText() of a timeout without a consumer says how to start a server", () => {
  const message = 'Call 1 to "q" was not answered within 5 s: the queue has 0 consumers and 1 request waiting';
  const text = "no server takes requests from this queue now; start one with: SERVER";
  assertEquals(advice("deadline_exceeded", "unknown", message), text);
  // Only then.
  assertEquals(advice("aborted", "unknown", message), "it is unknown whether the work was done; call again");
});

Deno.test("failureText() names the call and the code, and escapes what a terminal obeys", () => {
  const error = new RpcError("not_found", "No \x1b[2J", { outcome: "executed" });
  const [first] = failureText("fib(30)", error, "SERVER").split("\n");
  assertEquals(first, " [!] fib(30) failed: not_found: No \\x1b[2J");
  const [second] = failureText("fib(30)", new RpcError("canceled", "by its signal"), "SERVER").split("\n");
  assertEquals(second, " [!] fib(30) was interrupted");
});

Deno.test("errorJson() is one line, with what it is about first", () => {
  const error = new RpcError("not_found", "No\n", { outcome: "executed", details: { id: 1 } });
  const text = errorJson(error, { n: 30 });
  assertEquals(text, '{"n":30,"error":{"code":"not_found","outcome":"executed","message":"No\\n","details":{"id":1}}}');
});
