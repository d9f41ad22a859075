import { Buffer } from "node:buffer";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { FrameDecoder } from "../../../lib/wire/frame_decoder.ts";
import type { Delivery, Properties } from "../../../lib/wire/message.ts";
import {
  bodies,
  body,
  confirm,
  cut,
  deliver,
  frame,
  header,
  type Heard,
  long,
  method,
  rawHeader,
  Recorder,
  returnOf,
  short,
  uint,
} from "../../support/wire.ts";

const GET_OK = method(1, 0x003c_0047, uint(8, 1), uint(1, 0), short(""), short("q"), uint(4, 0));
const CHANNEL_CLOSE = method(1, 0x0014_0028, uint(2, 404), short("gone"), uint(4, 0));
const CLOSE_OK = method(1, 0x0014_0029);
const DECLARE_OK = method(1, 0x0032_000b, short("q"), uint(4, 0), uint(4, 0));

/** What was heard, in short: the kind, and for a message its body or why it has none. */
function inShort(heard: readonly Heard[]): string[] {
  return heard.map((event) => {
    switch (event.kind) {
      case "delivery":
      case "return":
        return event.message.malformed ?? `${event.kind} ${event.message.body}`;
      case "violation":
      case "fault":
        return `${event.kind}: ${event.reason}`;
      default:
        return event.kind;
    }
  });
}

function heardOf(...frames: readonly Uint8Array[]): string[] {
  return inShort(new Recorder([1]).push(Buffer.concat(frames)));
}

function deliveryOf(...frames: readonly Uint8Array[]): Delivery {
  const [event] = new Recorder([1]).push(Buffer.concat(frames));
  if (event?.kind !== "delivery") throw new Error(`Not a delivery: ${Deno.inspect(event)}`);
  return event.message;
}

const PROPERTIES: Properties = {
  contentType: "a",
  contentEncoding: "b",
  headers: Buffer.from("\x01kV", "latin1"),
  deliveryMode: 2,
  priority: 255,
  correlationId: "\xff\0\x80",
  replyTo: "r".repeat(255),
  expiration: "",
  messageId: "f",
  timestamp: Number.MAX_SAFE_INTEGER,
  type: "g",
  userId: "h",
  appId: "i",
  clusterId: "j",
};

Deno.test("a delivery has all that its frames say, byte for byte", () => {
  const fields = {
    consumerTag: "\xffc",
    deliveryTag: 2 ** 53 - 1,
    redelivered: true,
    exchange: "\x80",
    routingKey: "",
  };
  const message = deliveryOf(deliver(1, fields), header(1, 5, PROPERTIES), body(1, "hello"));
  assertEquals(message, {
    ...fields,
    properties: PROPERTIES,
    body: Buffer.from("hello"),
    malformed: undefined,
  });
});

Deno.test("a returned message has all that its frames say", () => {
  const fields = { replyCode: 312, replyText: "NO_ROUTE\xff", exchange: "e", routingKey: "\xfe" };
  const [event] = new Recorder([1]).push(Buffer.concat([returnOf(1, fields), header(1, 2, PROPERTIES), body(1, "hi")]));
  const message = { ...fields, properties: PROPERTIES, body: Buffer.from("hi"), malformed: undefined };
  assertEquals(event, { kind: "return", channel: 1, message });
});

Deno.test("each property is read without the others", () => {
  for (const [name, value] of Object.entries(PROPERTIES)) {
    const { properties } = deliveryOf(deliver(1), header(1, 0, { [name]: value }));
    const present = Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
    assertEquals(present, { [name]: value });
  }
});

Deno.test("what one message has does not show in the next", () => {
  const heard = new Recorder([1]).push(
    Buffer.concat([
      deliver(1, { consumerTag: "a", routingKey: "b" }),
      header(1, 0, { correlationId: "c", type: "d" }),
      deliver(1, { consumerTag: "", routingKey: "bb" }),
      header(1, 0),
    ]),
  );
  const second = heard[1];
  assertEquals(second?.kind === "delivery" && second.message.routingKey, "bb");
  assertEquals(second?.kind === "delivery" && second.message.consumerTag, "");
  assertEquals(
    second?.kind === "delivery" && Object.values(second.message.properties).every((v) => v === undefined),
    true,
  );
});

Deno.test("confirms are told as they came", () => {
  const confirms = [
    { deliveryTag: 1, multiple: false, nack: false },
    { deliveryTag: 0, multiple: true, nack: false },
    { deliveryTag: 2 ** 53 - 1, multiple: true, nack: true },
    { deliveryTag: 0x1_0000_0000, multiple: false, nack: true },
  ];
  const heard = new Recorder([9]).push(Buffer.concat(confirms.map((each) => confirm(9, each))));
  assertEquals(heard, confirms.map((each) => ({ kind: "confirm", channel: 9, confirm: each })));
});

Deno.test("a body in one frame is a view of the chunk, one in several is copied", () => {
  const chunk = new Uint8Array(Buffer.concat([deliver(1), header(1, 3), body(1, "abc")]));
  const recorder = new Recorder([1]);
  const [one, two] = recorder.push(chunk, Buffer.concat([deliver(1), header(1, 3), body(1, "ab"), body(1, "c")]));
  assertStrictEquals(one?.kind === "delivery" && one.message.body.buffer, chunk.buffer);
  assertEquals(two?.kind === "delivery" && two.message.body, Buffer.from("abc"));
});

Deno.test("contents of several channels may be interleaved", () => {
  const one = [deliver(1), header(1, 4), body(1, "ab"), body(1, "cd")];
  const two = [returnOf(2), header(2, 4), body(2, "12"), body(2, "34")];
  const frames = one.flatMap((frame, n) => [frame, two[n] ?? frame]);
  assertEquals(inShort(new Recorder([1, 2]).push(Buffer.concat(frames))), ["delivery abcd", "return 1234"]);
});

Deno.test("empty body frames are taken, before and after the others", () => {
  const frames = [deliver(1), header(1, 2), body(1, ""), body(1, "a"), body(1, ""), body(1, "b")];
  assertEquals(heardOf(...frames, deliver(1), header(1, 0)), ["delivery ab", "delivery "]);
});

Deno.test("messages that follow each other have their own bodies and their own kind", () => {
  const parts = (channel: number, text: string): Buffer[] => [
    header(channel, 4),
    body(channel, text.slice(0, 2)),
    body(channel, text.slice(2)),
  ];
  const frames = [returnOf(1), ...parts(1, "abcd"), deliver(1), ...parts(1, "efgh"), returnOf(1), ...parts(1, "ijkl")];
  const heard = new Recorder([1]).push(Buffer.concat(frames));
  assertEquals(inShort(heard), ["return abcd", "delivery efgh", "return ijkl"]);
});

Deno.test("large bodies are put together, on both sides of every threshold", () => {
  for (const length of [1, 2047, 2048, 4088, 4089, 8191, 8192, 131_064, 131_065, 1_000_000]) {
    const content = Buffer.alloc(length).map((_, n) => n * 7);
    for (const size of [4088, 131_064]) {
      if (length / size > 40) continue;
      const frames = Buffer.concat([deliver(1), header(1, length), ...bodies(1, content, size)]);
      const chunks = cut(frames, Array.from({ length: Math.ceil(frames.length / 65_536) }, (_, n) => n * 65_536));
      const [event] = new Recorder([1]).push(...chunks);
      assertEquals(event?.kind === "delivery" && Buffer.from(event.message.body).equals(content), true);
    }
  }
});

Deno.test("a header that cannot be read makes its message malformed, and no other", () => {
  const next = [deliver(1), header(1, 2), body(1, "ok")];
  const malformed = [
    rawHeader(1, 2, 0x8000, Buffer.alloc(0)),
    rawHeader(1, 2, 0x8000, Buffer.from([5, 1, 2])),
    rawHeader(1, 2, 0x8400, Buffer.concat([short("text"), Buffer.from([255])])),
    rawHeader(1, 2, 0x2000, Buffer.from([0, 0])),
    rawHeader(1, 2, 0x2000, Buffer.from([0, 0, 0, 1])),
    rawHeader(1, 2, 0x2000, Buffer.from([0xff, 0xff, 0xff, 0xff, 1])),
    rawHeader(1, 2, 0x1000, Buffer.alloc(0)),
    rawHeader(1, 2, 0x1800, Buffer.from([1])),
    rawHeader(1, 2, 0x0040, Buffer.alloc(7)),
    rawHeader(1, 2, 0xfffc, Buffer.from([1, 2, 3])),
    // Bytes that are left over, and flags that mean nothing.
    rawHeader(1, 2, 0, Buffer.from([0])),
    rawHeader(1, 2, 0x8000, Buffer.concat([short("text"), Buffer.from([0])])),
    rawHeader(1, 2, 0x0001, Buffer.alloc(2)),
    rawHeader(1, 2, 0x8001, Buffer.concat([uint(2, 0), short("text")])),
    rawHeader(1, 2, 0x0002, Buffer.alloc(0)),
    // No flags at all.
    frame(2, 1, Buffer.concat([uint(2, 60), uint(2, 0), uint(8, 2)])),
    frame(2, 1, Buffer.concat([uint(2, 60), uint(2, 0), uint(8, 2), uint(1, 0)])),
  ];
  for (const bad of malformed) {
    const frames = [deliver(1, { deliveryTag: 42 }), bad, body(1, "xy"), ...next];
    const [event, ...others] = new Recorder([1]).push(Buffer.concat(frames));
    assertEquals(event?.kind === "delivery" && event.message.malformed, "its properties cannot be read");
    assertEquals(event?.kind === "delivery" && event.message.deliveryTag, 42);
    assertEquals(event?.kind === "delivery" && event.message.properties, {});
    assertEquals(event?.kind === "delivery" && event.message.body.length, 0);
    assertEquals(inShort(others), ["delivery ok"]);
  }
});

Deno.test("a body over the limit is not kept, and its message is malformed", () => {
  const recorder = new Recorder([1], { maxBodySize: 4 });
  const frames = [
    ...[deliver(1), header(1, 4), body(1, "abcd")],
    ...[deliver(1), header(1, 5), body(1, "abcd"), body(1, "e")],
    ...[deliver(1), header(1, 2 ** 53 - 1), body(1, "abcd")],
  ];
  assertEquals(inShort(recorder.push(Buffer.concat(frames))), [
    "delivery abcd",
    "its body has 5 bytes, at most 4 are allowed",
  ]);
});

Deno.test("a body of more than 128 MiB is not kept where no other limit is given", () => {
  const size = 134_217_729;
  const part = 131_064;
  const recorder = new Recorder([1]);
  recorder.push(deliver(1), header(1, size));
  const whole = frame(3, 1, Buffer.alloc(part));
  for (let n = 0; n < Math.floor(size / part); n++) recorder.push(whole);
  assertEquals(inShort(recorder.push(frame(3, 1, Buffer.alloc(size % part)))), [
    `its body has ${size} bytes, at most 134217728 are allowed`,
  ]);
});

Deno.test("frames in an impossible order are a violation, said once; the channel's end is still handed on", () => {
  const cases: [string, Uint8Array[]][] = [
    ["A content header without a method before it", [header(1, 2)]],
    ["A content body without a method before it", [body(1, "x")]],
    ["A content body without a method before it", [deliver(1), header(1, 0), body(1, "")]],
    ["A content body without a method before it", [
      confirm(1, { deliveryTag: 1, multiple: false, nack: false }),
      body(1, ""),
    ]],
    ["Expected a content header, got a body", [deliver(1), body(1, "x")]],
    ["Expected a content header, got a method", [deliver(1), deliver(1)]],
    ["Expected a content header, got a method", [returnOf(1), DECLARE_OK]],
    ["Expected a content header, got a method", [deliver(1), GET_OK]],
    ["Expected a content body, got a method", [deliver(1), header(1, 2), body(1, "a"), returnOf(1)]],
    ["Expected a content body, got a header", [deliver(1), header(1, 2), header(1, 2)]],
    ["Too much content sent", [deliver(1), header(1, 2), body(1, "abc")]],
    ["Too much content sent", [deliver(1), header(1, 2), body(1, "a"), body(1, "bc")]],
    ["Too much content sent", [deliver(1), rawHeader(1, 2, 1, Buffer.alloc(0)), body(1, "abc")]],
    ["Content header of class 50, not 60", [deliver(1), frame(2, 1, Buffer.concat([uint(2, 50), Buffer.alloc(12)]))]],
    ["Cannot read the size in a content header", [
      deliver(1),
      frame(2, 1, Buffer.concat([uint(2, 60), Buffer.alloc(9)])),
    ]],
    ["Content of 2^53 bytes or more", [deliver(1), header(1, 2n ** 53n)]],
    ["Content of 2^53 bytes or more", [deliver(1), header(1, -1n)]],
    ["Delivery tag of 2^53 or more", [deliver(1, { tag: 2n ** 53n })]],
    ["Delivery tag of 2^53 or more", [method(1, 0x003c_0050, uint(8, -1n), uint(1, 0))]],
    ["Cannot read basic.deliver", [
      method(1, 0x003c_003c, short("c"), uint(8, 1), uint(1, 0), short(""), Buffer.from([9, 1])),
    ]],
    ["Cannot read basic.deliver", [method(1, 0x003c_003c)]],
    ["Cannot read basic.return", [method(1, 0x003c_0032, uint(2, 312), Buffer.from([9]))]],
    ["Cannot read basic.ack", [method(1, 0x003c_0050, uint(8, 1))]],
    ["Cannot read basic.nack", [method(1, 0x003c_0078, uint(4, 1))]],
    ["A method frame without a method", [frame(1, 1, Buffer.from([0, 60, 0]))]],
  ];
  const more = [
    ...[deliver(1), header(1, 1), body(1, "x"), confirm(1, { deliveryTag: 1, multiple: false, nack: true }), GET_OK],
    ...[DECLARE_OK, CHANNEL_CLOSE],
  ];
  for (const [reason, frames] of cases) {
    const heard = new Recorder([1, 2]).push(
      Buffer.concat([...frames, ...more, deliver(2), header(2, 1), body(2, "y")]),
    );
    const after = heard.slice(heard.findIndex(({ kind }) => kind === "violation"));
    assertEquals(inShort(after), [`violation: ${reason}`, "other", "other", "delivery y"]);
    const others = after.flatMap((event) => event.kind === "other" ? [event.frame] : []);
    assertEquals(
      others.map((frame) => Buffer.from(frame)),
      [DECLARE_OK, CHANNEL_CLOSE].map((frame) => Buffer.from(frame)),
    );
  }
});

Deno.test("the end of a channel is handed on in the midst of a content, which may then be forgotten", () => {
  const recorder = new Recorder([1]);
  const heard = recorder.push(Buffer.concat([deliver(1), header(1, 9), body(1, "abc"), CHANNEL_CLOSE, CLOSE_OK]));
  assertEquals(inShort(heard), ["other", "other"]);
  recorder.take(1);
  recorder.push(Buffer.concat([deliver(1), header(1, 2), body(1, "ok")]));
  assertEquals(inShort(heard.slice(2)), ["delivery ok"]);
});

Deno.test("the content of basic.get-ok is handed on, frame by frame", () => {
  const get = [GET_OK, header(1, 4), body(1, "ab"), body(1, "cd")];
  const empty = [GET_OK, header(1, 0)];
  const ours = [deliver(1), header(1, 2), body(1, "ok")];
  const recorder = new Recorder([1]);
  const heard = recorder.push(Buffer.concat([...get, ...ours, ...empty, ...ours]));
  assertEquals(inShort(heard), [
    ...["other", "other", "other", "other", "delivery ok"],
    ...["other", "other", "delivery ok"],
  ]);
  const handed = heard.flatMap((event) => event.kind === "other" ? [Buffer.from(event.frame)] : []);
  assertEquals(handed, [...get, ...empty]);
});

Deno.test("a content of basic.get-ok that is interrupted is not ours to judge", () => {
  const ours = [deliver(1), header(1, 2), body(1, "ok")];
  for (
    const broken of [[GET_OK], [GET_OK, body(1, "x")], [GET_OK, header(1, 9)], [GET_OK, header(1, 9), header(1, 9)]]
  ) {
    assertEquals(heardOf(...broken, ...ours), [...broken.map(() => "other"), "delivery ok"]);
  }
});

Deno.test("all else is handed on whole and in order, channels that nobody took too", () => {
  const frames = [
    frame(8, 0, Buffer.alloc(0)),
    frame(8, 1, Buffer.alloc(0)),
    method(0, 0x000a_003c, short("low on memory")),
    DECLARE_OK,
    ...[deliver(2), header(2, 1), body(2, "x"), confirm(2, { deliveryTag: 1, multiple: false, nack: false })],
    deliver(0),
  ];
  const bytes = Buffer.concat(frames);
  for (const places of [[], [3], [bytes.length - 3, 12, 40]]) {
    const heard = new Recorder([1]).push(...cut(bytes, places));
    const handed = heard.map((event) => event.kind === "other" ? Buffer.from(event.frame) : undefined);
    assertEquals<unknown>(handed, frames);
  }
});

Deno.test("a channel that was released is handed on, and what was incomplete is forgotten", () => {
  const recorder = new Recorder([1]);
  recorder.push(Buffer.concat([deliver(1), header(1, 9)]));
  recorder.decoder.release(1);
  assertEquals(inShort(recorder.push(body(1, "abc"))), ["other"]);
});

Deno.test("an unknown type of frame, and what the splitter finds, break the connection for good", () => {
  const good = [deliver(1), header(1, 2), body(1, "ok")];
  for (const type of [0, 4, 5, 7, 9, 255]) {
    const recorder = new Recorder([1]);
    recorder.push(Buffer.concat([...good, frame(type, 1, Buffer.alloc(3)), ...good]));
    assertEquals(inShort(recorder.push(Buffer.concat(good))), ["delivery ok", `fault: Unknown frame type ${type}`]);
  }
  const recorder = new Recorder([1]);
  recorder.push(Buffer.concat([...good, Buffer.from([1, 0, 1, 0, 0, 0, 0, 0]), ...good]));
  assertEquals(inShort(recorder.push(Buffer.concat(good))), ["delivery ok", "fault: Invalid frame"]);
  assertEquals(recorder.decoder.push(Buffer.alloc(0)), "Invalid frame");
});

Deno.test("what a sink throws is thrown by push, and nothing is lost", () => {
  const bodies: string[] = [];
  const decoder = new FrameDecoder({ maxFrameSize: 0, other: () => {} });
  decoder.take(1, {
    delivered({ body }) {
      bodies.push(String(body));
      if (bodies.length % 2 === 1) throw new Error("from the sink");
    },
    returned() {},
    confirmed() {},
    violated() {},
  });
  const message = (text: string): Buffer[] => [deliver(1), header(1, 1), body(1, text)];
  const bytes = Buffer.concat(["a", "b", "c", "d", "e"].flatMap(message));
  assertThrows(() => decoder.push(bytes.subarray(0, bytes.length - 3)), Error, "from the sink");
  assertThrows(() => decoder.push(Buffer.alloc(0)), Error, "from the sink");
  assertEquals(decoder.push(Buffer.alloc(0)), undefined);
  assertThrows(() => decoder.push(bytes.subarray(bytes.length - 3)), Error, "from the sink");
  assertEquals(bodies, ["a", "b", "c", "d", "e"]);
});

Deno.test("everything is the same wherever chunks are cut", () => {
  const frames = [
    ...[
      deliver(1, { routingKey: "größe" }),
      header(1, 5, PROPERTIES),
      body(1, "abc"),
      DECLARE_OK.subarray(0, 0),
      body(1, "de"),
    ],
    ...[returnOf(1), header(1, 0, { headers: long("x") }), confirm(1, { deliveryTag: 3, multiple: true, nack: true })],
    ...[deliver(1), rawHeader(1, 1, 0x8000, Buffer.alloc(0)), body(1, "x"), DECLARE_OK],
    ...[deliver(1), header(1, 1), body(1, "\xce")],
  ];
  const bytes = Buffer.concat(frames);
  const whole = new Recorder([1]).push(bytes);
  for (let place = 0; place < bytes.length; place++) {
    assertEquals(new Recorder([1]).push(...cut(bytes, [place])), whole);
  }
});
