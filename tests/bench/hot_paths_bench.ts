/**
 * What profiles of the bench named, each beside the plain way: `deno bench tests/bench/hot_paths_bench.ts`.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { DeadlineTimers } from "../../lib/contract/deadline_timers.ts";
import { encodePublish } from "../../lib/wire/frame_encoder.ts";
import { requestMessage } from "../../lib/wire/request_message.ts";
import { callId, CallIds, numberOfCall } from "../../lib/client/call_ids.ts";
import { text } from "../../lib/rpc.ts";

const codec = text();
const body = Buffer.from("42");
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

Deno.bench("a short text, by our codec", { group: "text", baseline: true }, () => {
  codec.decode(codec.encode("42"));
});

Deno.bench("a short text, by TextEncoder and TextDecoder", { group: "text" }, () => {
  decoder.decode(encoder.encode("42"));
});

const ids = new CallIds();
const byNumber = new Map<number, string>();
const byId = new Map<string, string>();

Deno.bench("a call found by the number in its id", { group: "ids", baseline: true }, () => {
  const number = ids.next();
  byNumber.set(number, "");
  byNumber.delete(numberOfCall(callId(ids.prefixOf("rpc_queue"), number)));
});

Deno.bench("a call found by a UUID", { group: "ids" }, () => {
  const id = crypto.randomUUID();
  byId.set(id, "");
  byId.delete(Buffer.from(id).toString());
});

const deadlines = new DeadlineTimers(() => {});
const TIMEOUT = 30_000;

Deno.bench("a deadline, on a timer for all", { group: "deadline", baseline: true }, () => {
  const item = { deadline: performance.now() + TIMEOUT };
  deadlines.add(item, TIMEOUT);
  deadlines.delete(item, TIMEOUT);
});

Deno.bench("a deadline, on a timer of its own", { group: "deadline" }, () => {
  clearTimeout(setTimeout(() => {}, TIMEOUT));
});

const frames = Buffer.alloc(1024);
const place = { channel: 1, frameMax: 131_072 };
const request = {
  queue: "rpc_queue",
  method: undefined,
  headers: undefined,
  id: callId(ids.prefixOf("rpc_queue"), 1),
  messageId: callId(ids.prefixOf("rpc_queue"), 1),
  replyTo: "amq.gen-0123456789abcdefABCDEF",
  contentType: "text/plain",
  expiration: TIMEOUT,
  sentAt: 123_456.7,
  priority: undefined,
  body,
};

Deno.bench("the frames of a request", () => {
  encodePublish(frames, 0, place, requestMessage(request));
});
