import { assertEquals } from "@std/assert";
import { RpcError } from "../../../lib/contract/errors.ts";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { type AnyProcedure, procedure } from "../../../lib/contract/procedure.ts";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import { type Reply, taken } from "../../../lib/server/reply_publisher.ts";
import { type AnswerHost, RequestAnswers } from "../../../lib/server/request_answers.ts";
import type { RunningRequest } from "../../../lib/server/running_request.ts";
import { delivery } from "../../support/delivery.ts";
import { runningRequest } from "../../support/running_request.ts";

const DIRECT = "amq.rabbitmq.reply-to.x.y";

/** Answers of a procedure whose publishers are full or not, and what they do, in order. */
function answering(full: boolean) {
  const log: string[] = [];
  const sent: Reply[] = [];
  const publisher = (name: string) => ({
    isFull: () => full,
    send: (reply: Reply) => {
      sent.push(reply);
      log.push(name);
    },
  });
  const host = {
    replies: publisher("queue"),
    directReplies: publisher("direct"),
    stalls: { seen: () => {} },
    listens: true,
    handled: () => {},
    settle: (running: RunningRequest, settlement: string) => {
      running.settled = true;
      log.push(settlement);
    },
    replyReturned: () => {},
    emit: (event: { readonly type: string; readonly code?: string }) => log.push(event.code ?? event.type),
  };
  const called = procedure({ queue: "q", request: text(), reply: text() }) as unknown as AnyProcedure;
  const answers = new RequestAnswers(called, host as unknown as AnswerHost);
  const channel = { closed: false, ack: () => {}, nack: () => {} };
  const request = (replyTo: string): RunningRequest =>
    runningRequest(delivery({ properties: { replyTo, correlationId: "1" } }), { acks: new AckBatcher(channel) });
  const only = (): Reply => {
    const [reply] = sent;
    if (reply === undefined || sent.length > 1) throw new Error(`There are ${sent.length} replies`);
    return reply;
  };
  return { log, only, answers, request, channel };
}

const OK = { body: new Uint8Array([1]), headers: undefined };
const REFUSED = new RpcError("resource_exhausted", "Too busy", { outcome: "not_executed" });

function outcomeOf({ body }: Reply): unknown {
  return JSON.parse(new TextDecoder().decode(body)).outcome;
}

Deno.test("A refusal and a direct reply are sent after their request is acknowledged, if there is room for them", () => {
  const refusal = answering(false);
  refusal.answers.finish(refusal.request("r"), REFUSED);
  assertEquals([refusal.log, refusal.only().take], [["ack now", "resource_exhausted", "queue"], undefined]);
  const direct = answering(false);
  direct.answers.finish(direct.request(DIRECT), OK);
  assertEquals(direct.log, ["ack", "ok", "direct"]);
  direct.only().done("dropped", "");
  assertEquals(direct.log, ["ack", "ok", "direct", "reply_dropped"]);
});

Deno.test("If there is no room, their request is acknowledged just before the reply is written", () => {
  const refusal = answering(true);
  refusal.answers.finish(refusal.request("r"), REFUSED);
  assertEquals(refusal.log, ["queue"]);
  refusal.only().take?.();
  refusal.only().done("confirmed", "");
  assertEquals(refusal.log, ["queue", "ack now", "resource_exhausted"]);
  const direct = answering(true);
  direct.answers.finish(direct.request(DIRECT), OK);
  direct.only().take?.();
  direct.only().done("dropped", "");
  assertEquals(direct.log, ["direct", "ack", "ok", "reply_dropped"]);
});

Deno.test("If there is no room, a request whose reply is dropped unwritten is acknowledged then", () => {
  const { log, only, answers, request } = answering(true);
  answers.finish(request(DIRECT), OK);
  only().done("dropped", "");
  assertEquals(log, ["direct", "reply_dropped", "ack", "ok"]);
});

Deno.test("If the channel is lost before a refusal is written, it does not claim that nobody runs the request", () => {
  for (const full of [true, false]) {
    for (const replyTo of ["r", DIRECT]) {
      const { only, answers, request, channel } = answering(full);
      answers.finish(request(replyTo), REFUSED);
      assertEquals(outcomeOf(taken(only())), "not_executed");
      channel.closed = true;
      assertEquals(outcomeOf(taken(only())), "unknown");
    }
  }
});

Deno.test("Any other request is acknowledged when its reply has ended, whether there is room or not", () => {
  for (const full of [false, true]) {
    const { log, only, answers, request } = answering(full);
    answers.finish(request("r"), OK);
    assertEquals([log, only().take], [["queue"], undefined]);
    only().done("confirmed", "");
    assertEquals(log, ["queue", "ack", "ok"]);
  }
});
