import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { ByteReader } from "../../../lib/wire/byte_reader.ts";

const READS: Readonly<Record<string, (reader: ByteReader) => unknown>> = {
  uint8: (reader) => reader.uint8(),
  uint16: (reader) => reader.uint16(),
  int32: (reader) => reader.int32(),
  uint64: (reader) => reader.uint64(),
  shortString: (reader) => reader.shortString(),
  float32: (reader) => reader.float32(),
  float64: (reader) => reader.float64(),
  longBytes: (reader) => reader.longBytes().length,
  longText: (reader) => reader.longText().length,
};

Deno.test("a reader without a buffer has nothing to read, and has not failed", () => {
  const reader = new ByteReader();
  assertEquals([reader.left, reader.failed], [0, false]);
});

Deno.test("a reader that was released has nothing to read, and has not failed", () => {
  const reader = new ByteReader();
  reader.reset(Buffer.from([1, 2, 3]), 1, 3);
  reader.uint16();
  reader.uint8();
  reader.release();
  assertEquals([reader.left, reader.failed, reader.uint8()], [0, false, 0]);
});

for (const [name, read] of Object.entries(READS)) {
  Deno.test(`${name}() of a reader that has failed gives nothing, whatever the buffer holds`, () => {
    const reader = new ByteReader();
    reader.reset(Buffer.alloc(64, 0x11), 0, 64);
    reader.fail();
    assertEquals([read(reader), reader.failed, reader.left], [name === "shortString" ? "" : 0, true, 0]);
  });

  Deno.test(`${name}() gives nothing where the buffer ends too early, and nor does what is read after it`, () => {
    const reader = new ByteReader();
    reader.reset(Buffer.alloc(64, 0x11), 63, 64);
    const value = read(reader);
    if (name !== "uint8") {
      assertEquals([value, reader.failed], [name === "shortString" ? "" : 0, true]);
    }
    assertEquals([reader.uint8(), reader.uint16(), reader.failed], [0, 0, true]);
  });
}
