import { assertEquals, assertLess, assertMatch } from "@std/assert";
import process from "node:process";
import config from "../../../deno.json" with { type: "json" };
import { clientProperties, defaultName } from "../../../lib/connection/client_properties.ts";
import { VERSION } from "../../../lib/contract/version.ts";

/** As if the process were started by another script, until it is disposed of. */
function startedBy(path: string): Disposable {
  const { argv } = process;
  const [program = ""] = argv;
  process.argv = [program, path];
  return { [Symbol.dispose]: () => void (process.argv = argv) };
}

Deno.test("VERSION is that of deno.json", () => {
  assertEquals(VERSION, config.version);
});

Deno.test("defaultName() names script, process and version, and asks for no permission", () => {
  using _script = startedBy("/srv/app/users.ts");
  assertMatch(defaultName(), new RegExp(`^users\\.ts(@\\S+)? pid=${Deno.pid} rpc=${VERSION}$`));
});

Deno.test("defaultName() is never longer than the broker accepts", () => {
  for (const name of ["x".repeat(1_000), "é".repeat(300), "\u{1f600}".repeat(60), "数".repeat(85)]) {
    using _script = startedBy(`/srv/${name}.ts`);
    assertLess(new TextEncoder().encode(defaultName()).length, 256);
  }
});

Deno.test("clientProperties() has the name that was chosen, also an empty one", () => {
  assertEquals(clientProperties("users").connection_name, "users");
  assertEquals(clientProperties("").connection_name, "");
  assertEquals(clientProperties(undefined).connection_name, defaultName());
});
