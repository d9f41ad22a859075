import { assert, assertEquals } from "@std/assert";
import { PLAIN } from "../support/script.ts";

const SOURCE = new URL("../unit/types_tests.ts", import.meta.url);
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const ignore = Deno.permissions.querySync({ name: "run" }).state !== "granted";

/** One `@ts-expect-error`: the line after it, and what the compiler is to say there. */
const EXPECTED = /^ *\/\/ @ts-expect-error [^"]+: "(.+)"$/;

/** All that the compiler says, by the line where it says it. */
function messagesByLine(output: string): Map<number, string> {
  const messages = output.split(/^TS\d+ \[ERROR\]: /m).slice(1).map((message) => {
    const line = message.match(/^ +at file:\S+?:(\d+):\d+$/m)?.[1];
    return [Number(line), message] as const;
  });
  return new Map(messages);
}

Deno.test("What the compiler says about a mistake names the mistake", { ignore }, async () => {
  const source = await Deno.readTextFile(SOURCE);
  const lines = source.split("\n");
  const folder = await Deno.makeTempDir();
  await using _folder = { [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
  const copy = `${folder}/types.ts`;
  const library = new URL("../../lib/", SOURCE).href;
  await Deno.writeTextFile(copy, source.replaceAll("@ts-expect-error", "").replaceAll('"../../lib/', `"${library}`));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", CONFIG, copy],
    env: PLAIN,
    stdin: "null",
  }).output();
  const messages = messagesByLine(new TextDecoder().decode(stderr));

  const expected = lines.flatMap((text, index) => {
    const part = text.match(EXPECTED)?.[1];
    return part === undefined ? [] : [{ line: index + 2, part }];
  });
  assertEquals(lines.filter((text) => /^ *\/\/ @ts-expect-error/.test(text)).length, expected.length);
  assert(!success && expected.length > 20);
  for (const { line, part } of expected) {
    const message = messages.get(line);
    assert(message?.includes(part), `line ${line}: expected ${part}\ngot ${message}`);
    messages.delete(line);
  }
  assertEquals(Array.from(messages.values()), []);
});
