import { assertEquals } from "@std/assert";
import { Duplex } from "node:stream";
import { WriteFailure } from "../../../lib/connection/write_failure.ts";
import { FakeClock } from "../../support/fake_clock.ts";

type Done = (error?: Error | null) => void;

/** A socket whose broker may be gone, and what became of it. */
class Socket extends Duplex {
  broken = false;
  /** Sizes of the writes that reached it. */
  readonly written: number[] = [];
  readonly told: string[] = [];

  constructor() {
    super({ allowHalfOpen: false, decodeStrings: true });
    this.on("data", (bytes: Uint8Array) => this.told.push(new TextDecoder().decode(bytes)));
    this.on("end", () => this.told.push("end"));
    this.on("error", (error) => this.told.push(error.message));
    this.on("close", () => this.told.push("close"));
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#end([chunk], done);
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this.#end(chunks.map(({ chunk }) => chunk), done);
  }

  #end(chunks: readonly Uint8Array[], done: Done): void {
    if (!this.broken) this.written.push(...chunks.map(({ length }) => length));
    queueMicrotask(() => done(this.broken ? new Error("write EPIPE") : null));
  }
}

/** Lets streams emit what they have to. */
async function turns(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
}

async function brokenSocket(howMany: number): Promise<{ socket: Socket; writes: WriteFailure }> {
  const socket = new Socket();
  const writes = new WriteFailure(socket);
  socket.broken = true;
  socket.cork();
  for (let n = 0; n < howMany; n++) socket.write("lost");
  socket.uncork();
  await turns();
  return { socket, writes };
}

Deno.test("WriteFailure lets writes through, one at a time and several at once", async () => {
  const socket = new Socket();
  const writes = new WriteFailure(socket);
  let done = 0;
  for (const text of ["a", "bb", "ccc"]) socket.write(text, () => done++);
  await turns();
  assertEquals([socket.written, done, writes.failed], [[1, 2, 3], 3, false]);
  socket.destroy();
  await turns();
  assertEquals(socket.told, ["close"]);
});

for (const howMany of [1, 2]) {
  Deno.test(`WriteFailure lets what was sent before be read when ${howMany} writes fail at once`, async () => {
    const { socket, writes } = await brokenSocket(howMany);
    assertEquals([writes.failed, socket.told], [true, []]);
    for (const text of ["a", "b"]) {
      socket.push(text);
      await turns();
    }
    socket.push(null);
    await turns();
    assertEquals(socket.told, ["a", "b", "end"]);
    socket.destroy();
    await turns();
    assertEquals(socket.told, ["a", "b", "end", "close"]);
  });
}

Deno.test("WriteFailure passes on the failure after a second if the socket does not end", async () => {
  using clock = new FakeClock();
  const { socket } = await brokenSocket(1);
  clock.advance(999);
  await turns();
  assertEquals(socket.told, []);
  clock.advance(1);
  await turns();
  assertEquals(socket.told, ["write EPIPE", "close"]);
  assertEquals(clock.timers, 0);
});

Deno.test("WriteFailure waits for nothing when the socket is destroyed", async () => {
  using clock = new FakeClock();
  const { socket } = await brokenSocket(1);
  assertEquals(clock.timers, 1);
  socket.destroy();
  await turns();
  assertEquals([socket.told, clock.timers], [["close"], 0]);
});
