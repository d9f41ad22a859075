import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { Output, OutputError, type Sink } from "../../../lib/cli/output.ts";

/** What was written, and how often; each write takes at most `atMost` bytes. */
function sink(atMost = Infinity): Sink & { readonly text: string; readonly writes: number } {
  const decoder = new TextDecoder();
  let text = "";
  let writes = 0;
  return {
    get text() {
      return text;
    },
    get writes() {
      return writes;
    },
    write(bytes) {
      const size = Math.min(bytes.length, atMost);
      text += decoder.decode(bytes.subarray(0, size), { stream: true });
      writes++;
      return Promise.resolve(size);
    },
  };
}

Deno.test("What is written in one turn goes out in one write, in order", async () => {
  const written = sink();
  const output = new Output(written);
  for (const line of ["a", "größe", ""]) await output.line(line);
  await output.flush();
  assertEquals([written.text, written.writes], ["a\ngröße\n\n", 1]);
  await output.line("b");
  await output.flush();
  assertEquals(written.text, "a\ngröße\n\nb\n");
});

Deno.test("What a write does not take goes out with the next", async () => {
  const written = sink(3);
  const output = new Output(written);
  await output.line("größer");
  await output.flush();
  assertEquals(written.text, "größer\n");
});

Deno.test("Whoever writes waits while much waits to be written", async () => {
  const gate = Promise.withResolvers<number>();
  const output = new Output({ write: () => gate.promise });
  let waited = false;
  const writing = output.write(new Uint8Array(100_000)).then(() => waited = true);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertFalse(waited);
  gate.resolve(100_000);
  await writing;
});

Deno.test("When the reader has gone, that is said, and nothing more is written", async () => {
  let writes = 0;
  const output = new Output({
    write: () => {
      writes++;
      return Promise.reject(new Deno.errors.BrokenPipe("gone"));
    },
  });
  await output.line("a");
  await output.flush();
  assert(output.broken.aborted);
  await output.line("b");
  await output.flush();
  assertEquals(writes, 1);
});

Deno.test("Any other error of a write ends the output too, and is thrown where all is awaited", async () => {
  let writes = 0;
  const output = new Output({
    write: () => {
      writes++;
      return Promise.reject(new Error("disk full"));
    },
  });
  await output.line("a");
  // As long as nobody awaits it, it must not become an unhandled rejection.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(output.broken.aborted);
  await output.line("b");
  for (let n = 0; n < 2; n++) {
    await assertRejects(() => output.flush(), OutputError, "Cannot write the output: disk full");
  }
  assertEquals(writes, 1);
});
