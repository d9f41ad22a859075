import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { UsageError } from "../../../lib/cli/command_line.ts";
import { LineSplitter, readLines } from "../../../lib/cli/lines.ts";
import { runs } from "../../support/runs.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The lines of chunks, as texts. */
function split(chunks: readonly Uint8Array[], maxBytes = 1_000): string[] {
  const splitter = new LineSplitter(maxBytes);
  const lines = chunks.flatMap((chunk) => splitter.push(chunk));
  const last = splitter.end();
  return [...lines, ...(last === undefined ? [] : [last])].map((line) => decoder.decode(line));
}

for (
  const [text, lines] of [
    ["", []],
    ["\n", [""]],
    ["\n\n", ["", ""]],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["a\nb", ["a", "b"]],
    ["a\r\nb\r\n", ["a", "b"]],
    ["a\r\n\r\nb", ["a", "", "b"]],
    ["a\rb\n", ["a\rb"]],
    ["a\r\r\n", ["a\r"]],
    ["\r", [""]],
    ["größe\n😀\n", ["größe", "😀"]],
  ] as const
) {
  Deno.test(`The lines of ${JSON.stringify(text)}`, () => assertEquals(split([encoder.encode(text)]), [...lines]));
}

Deno.test("Lines are the same, however the bytes are cut into chunks", () => {
  const line = fc.stringMatching(/^[a-zé€😀 ]{0,8}$/u);
  const input = fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 8 });
  fc.assert(
    fc.property(input, line, fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1 }), (lines, last, sizes) => {
      const bytes = encoder.encode(lines.map(([text, end]) => text + end).join("") + last);
      const chunks: Uint8Array[] = [];
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const size = (sizes[n % sizes.length] ?? 0) + (n % sizes.length === 0 ? 1 : 0);
        chunks.push(bytes.slice(at, at + size));
        at += size;
      }
      assertEquals(split(chunks), [...lines.map(([text]) => text), ...(last === "" ? [] : [last])]);
    }),
    runs(3_000),
  );
});

Deno.test("A line does not change when the memory of its chunk is used again", () => {
  const splitter = new LineSplitter(10);
  const chunk = encoder.encode("a\nb");
  const [first = new Uint8Array()] = splitter.push(chunk);
  chunk.fill(120);
  assertEquals([decoder.decode(first), decoder.decode(splitter.end())], ["a", "b"]);
});

Deno.test("A line may be as long as the limit, with any line end, and no longer", () => {
  for (const end of ["", "\n", "\r\n"]) assertEquals(split([encoder.encode(`abc${end}`)], 3), ["abc"]);
  for (const text of ["abcd", "abcd\n", "abcd\r\n", "x\nabcde"]) {
    const { message } = assertThrows(() => split([encoder.encode(text)], 3), UsageError);
    assert(message.startsWith(`Line ${text.startsWith("x") ? 2 : 1} of standard input has more than 3 bytes`), message);
  }
});

Deno.test("Input without line ends is refused as soon as it is too long", () => {
  const splitter = new LineSplitter(100);
  splitter.push(new Uint8Array(101));
  assertThrows(() => splitter.push(new Uint8Array(1)), UsageError);
});

Deno.test("readLines() reads a chunk when its lines are asked for, and cancels what it does not read", async () => {
  let pulled = 0;
  let canceled = false;
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(encoder.encode(`${pulled++}\n`)),
    cancel: () => void (canceled = true),
  }, { highWaterMark: 0 });
  const lines = readLines(stream, 10, new AbortController().signal);
  for (let n = 0; n < 3; n++) assertEquals(decoder.decode((await lines.next()).value as Uint8Array), `${n}`);
  assertEquals(pulled, 3);
  await lines.return(undefined);
  assert(canceled);
});

Deno.test("readLines() ends while it waits for input, when its signal is aborted", async () => {
  const stop = new AbortController();
  const stream = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
  const reading = Array.fromAsync(readLines(stream, 10, stop.signal));
  stop.abort();
  assertEquals(await reading, []);
  const aborted = readLines(new ReadableStream(), 10, AbortSignal.abort());
  assertEquals(await Array.fromAsync(aborted), []);
});

Deno.test("readLines() throws what the stream ends with", async () => {
  const stream = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error("broken")) });
  await assertRejects(() => Array.fromAsync(readLines(stream, 10, new AbortController().signal)), Error, "broken");
});
