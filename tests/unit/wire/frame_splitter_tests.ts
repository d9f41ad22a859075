import { Buffer } from "node:buffer";
import { assertEquals, assertLess, assertStrictEquals } from "@std/assert";
import { FrameSplitter } from "../../../lib/wire/frame_splitter.ts";
import { body, cut, frame } from "../../support/wire.ts";

/** All frames of chunks, whole, and the fault that ends them. */
function split(chunks: readonly Uint8Array[], maxFrameSize = 131_072): { frames: Buffer[]; fault: string | undefined } {
  const splitter = new FrameSplitter(maxFrameSize);
  const frames: Buffer[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    while (splitter.next()) {
      const { bytes, type, channel, start, end } = splitter;
      assertEquals(frame(type, channel, bytes.subarray(start, end)), bytes.subarray(start - 7, end + 1));
      frames.push(Buffer.from(bytes.subarray(start - 7, end + 1)));
    }
  }
  return { frames, fault: splitter.fault };
}

const some = [
  frame(1, 0, Buffer.from("ab")),
  frame(8, 0, Buffer.alloc(0)),
  frame(2, 0xffff, Buffer.from("\xce\xce\x01\0\0\0\0", "latin1")),
  frame(3, 258, Buffer.alloc(300, 7)),
  frame(200, 1, Buffer.from([0xce])),
];

Deno.test("frames are the same wherever chunks are cut", () => {
  const bytes = Buffer.concat(some);
  for (let first = 0; first <= bytes.length; first++) {
    for (const second of [first, first + 1, first + 7, first + 8, bytes.length - 1]) {
      assertEquals(split(cut(bytes, [first, second])), { frames: some, fault: undefined });
    }
  }
});

Deno.test("frames are the same byte by byte, with empty chunks between", () => {
  const chunks = Array.from(Buffer.concat(some), (byte) => [Buffer.from([byte]), Buffer.alloc(0)]).flat();
  assertEquals(split(chunks), { frames: some, fault: undefined });
});

Deno.test("a frame whose size is cut in two is read as one", () => {
  // The low octet of the size is not there yet, and what stands in its place would make a frame.
  const bytes = frame(3, 1, Buffer.alloc(260));
  for (const place of [3, 4, 5, 6, 7]) {
    assertEquals(split(cut(bytes, [place])), { frames: [bytes], fault: undefined });
    assertEquals(split(cut(bytes, [place]), 260), { frames: [bytes], fault: undefined });
  }
});

Deno.test("a frame of the largest size is taken, a larger one breaks the connection as soon as its head is there", () => {
  const fits = frame(3, 1, Buffer.alloc(4096));
  const large = frame(3, 1, Buffer.alloc(4097));
  assertEquals(split([fits], 4096), { frames: [fits], fault: undefined });
  assertEquals(split([fits, large.subarray(0, 6)], 4096), { frames: [fits], fault: undefined });
  const fault = "Frame size 4097 exceeds maxFrameSize 4096";
  assertEquals(split([fits, large.subarray(0, 7)], 4096), { frames: [fits], fault });
  assertEquals(split([large.subarray(0, 6), large.subarray(6, 7), fits], 4096), { frames: [], fault });
  assertEquals(split([large], 0), { frames: [large], fault: undefined });
});

Deno.test("a frame without its end octet breaks the connection, and nothing more is read", () => {
  const broken = Buffer.from(frame(3, 1, Buffer.from("abc")));
  broken[broken.length - 1] = 0;
  const chunk = Buffer.concat([...some, broken, ...some]);
  assertEquals(split([chunk, ...some]), { frames: some, fault: "Invalid frame" });
  assertEquals(split(cut(chunk, [chunk.length - 400, 200])), { frames: some, fault: "Invalid frame" });
});

Deno.test("a frame that is whole in a chunk is not copied", () => {
  const chunk = new Uint8Array(Buffer.concat(some));
  const splitter = new FrameSplitter(0);
  splitter.push(chunk);
  while (splitter.next()) assertStrictEquals(splitter.bytes.buffer, chunk.buffer);
});

Deno.test("a chunk that was not read to its end is not lost", () => {
  const splitter = new FrameSplitter(0);
  splitter.push(Buffer.concat(some.slice(0, 3)));
  assertEquals(splitter.next(), true);
  splitter.push(Buffer.concat(some.slice(3)));
  const types: number[] = [splitter.type];
  while (splitter.next()) types.push(splitter.type);
  assertEquals(types, [1, 8, 2, 3, 200]);
});

Deno.test("a large frame in many small chunks is not copied again and again", () => {
  const large = body(1, Buffer.alloc(64 * 1024 * 1024, 7));
  const splitter = new FrameSplitter(0);
  const before = performance.now();
  let frames = 0;
  for (let at = 0; at < large.length; at += 4096) {
    splitter.push(large.subarray(at, at + 4096));
    while (splitter.next()) frames++;
  }
  assertEquals(frames, 1);
  assertEquals(splitter.bytes.equals(large), true);
  // 16,384 chunks: copying all that has come each time would be 550 GB.
  assertLess(performance.now() - before, 5_000);
});

Deno.test("a size that is only claimed takes little memory", () => {
  const splitter = new FrameSplitter(0);
  const before = Deno.memoryUsage().external;
  for (let n = 0; n < 8; n++) {
    const splitter = new FrameSplitter(0);
    splitter.push(Buffer.from([3, 0, 1, 0xff, 0xff, 0xff, 0xff, 1]));
    assertEquals(splitter.next(), false);
  }
  assertEquals(splitter.fault, undefined);
  assertLess(Deno.memoryUsage().external - before, 64 * 1024 * 1024);
});

Deno.test("every octet of a size counts", () => {
  const large = frame(3, 1, Buffer.alloc(0x12345, 7));
  assertEquals(split([large]), { frames: [large], fault: undefined });
  assertEquals(split(cut(large, [5, 9])), { frames: [large], fault: undefined });
  const claimed = Buffer.from([3, 0, 1, 0xff, 0xff, 0xff, 0xfe]);
  const fault = "Frame size 4294967294 exceeds maxFrameSize 4096";
  assertEquals(split([claimed], 4096), { frames: [], fault });
  assertEquals(split(cut(claimed, [4]), 4096), { frames: [], fault });
});

Deno.test("a limit of one byte is a limit", () => {
  const fits = frame(3, 1, Buffer.from("a"));
  const large = frame(3, 1, Buffer.from("ab"));
  const fault = "Frame size 2 exceeds maxFrameSize 1";
  assertEquals(split([fits, large], 1), { frames: [fits], fault });
  assertEquals(split([fits, ...cut(large, [3])], 1), { frames: [fits], fault });
});
