import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { lab } from "../support/lab.ts";
import { type Ended, type Script, start } from "../support/script.ts";

const test = lab();

const ROOT = new URL("../../", import.meta.url);

/** A script with the permissions given, and no other. */
function script(name: string, permissions: readonly string[], args: string[], env?: Record<string, string>): Script {
  const path = new URL(name, ROOT).pathname;
  return start([Deno.execPath(), "run", "--quiet", "--no-prompt", ...permissions, path, ...args], env);
}

async function run(...what: Parameters<typeof script>): Promise<Ended> {
  await using started = script(...what);
  return await started.ended();
}

test("Both scripts need the network of their broker and AMQP_URL, and nothing else", async ({ url, queue }) => {
  const permissions = [`--allow-net=${new URL(url).host}`, "--allow-env=AMQP_URL"];
  await using server = script("server.ts", permissions, ["--queue", queue], { AMQP_URL: url });
  await server.printed(" [x] Awaiting RPC requests\n");
  const { code, stdout, stderr } = await run("client.ts", permissions, ["--queue", queue, "30"], { AMQP_URL: url });
  assertEquals([code, stdout, stderr], [0, " [x] Requesting fib(30)\n [.] Got 832040\n", ""]);
  server.kill("SIGTERM");
  assertEquals((await server.ended()).code, 0);
});

test("With a URL in a file both scripts need to read that file, and not the environment", async ({ url, queue }) => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, `${url}\n`);
    const permissions = [`--allow-net=${new URL(url).host}`, `--allow-read=${file}`];
    const args = ["--url-file", file, "--queue", queue];
    await using server = script("server.ts", permissions, args);
    await server.printed(" [x] Awaiting RPC requests\n");
    const { code, stdout, stderr } = await run("client.ts", permissions, [...args, "30"]);
    assertEquals([code, stdout, stderr], [0, " [x] Requesting fib(30)\n [.] Got 832040\n", ""]);
  } finally {
    await Deno.remove(file);
  }
});

for (const [name, args] of [["server.ts", []], ["client.ts", ["30"]]] as const) {
  test(`${name} says which permission it lacks`, async ({ url }) => {
    const host = new URL(url).host;
    const blind = await run(name, [`--allow-net=${host}`], [...args], { AMQP_URL: url });
    assertEquals(blind.code, 2);
    assertStringIncludes(blind.stderr, "AMQP_URL may not be read from the environment");
    assertStringIncludes(blind.stderr, "--allow-env=AMQP_URL");
    const mute = await run(name, ["--allow-env=AMQP_URL"], [...args], { AMQP_URL: url });
    assertEquals(mute.code, 3);
    assertStringIncludes(mute.stderr, `Cannot connect to ${host}: Requires net access to "${host}"`);
    const unread = await run(name, [`--allow-net=${host}`], [...args, "--url-file", "/etc/hostname"]);
    assertEquals(unread.code, 2);
    assertStringIncludes(unread.stderr, "--allow-read=/etc/hostname");
  });
}

/** The rights that the README gives to a user, as regular expressions: configure, write, read. */
async function rightsOf(user: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("README.md", ROOT));
  const [, line] = new RegExp(`set_permissions ${user} ((?:'[^']*' ?){3})`).exec(text) ?? [];
  assert(line !== undefined, `README gives no rights to ${user}`);
  return Array.from(line.matchAll(/'([^']*)'/g), (match) => match[1] ?? "");
}

test("The rights that the README gives are enough for server and client, and those of a client do not serve", async ({ broker, url }) => {
  for (const user of ["rpc_server", "rpc_client"]) {
    const rights = (await rightsOf(user)).map((right) => `<<${JSON.stringify(right)}>>`).join(", ");
    await broker.eval(`rabbit_auth_backend_internal:add_user(<<"${user}">>, <<"secret">>, <<"lab">>)`);
    await broker.eval(`rabbit_auth_backend_internal:set_permissions(<<"${user}">>, <<"/">>, ${rights}, <<"lab">>)`);
  }
  const as = (user: string): { AMQP_URL: string } => {
    const named = new URL(url);
    named.username = user;
    named.password = "secret";
    return { AMQP_URL: String(named) };
  };
  const permissions = [`--allow-net=${new URL(url).host}`, "--allow-env=AMQP_URL"];
  await using server = script("server.ts", permissions, ["--delay", "300ms", "--prefetch", "2"], as("rpc_server"));
  await server.printed(" [x] Awaiting RPC requests\n");
  const answered = await run("client.ts", permissions, ["--fail-fast", "30"], as("rpc_client"));
  assertEquals([answered.code, answered.stderr], [0, ""]);
  // A cancel goes over the control exchange.
  const late = await run("client.ts", permissions, ["--timeout", "100ms", "30"], as("rpc_client"));
  assertEquals(late.code, 1);
  assertMatch(late.stderr, /deadline_exceeded/);
  assertEquals(server.stderr, "");
  const wrong = await run("server.ts", permissions, [], as("rpc_client"));
  assertEquals(wrong.code, 1);
  assertStringIncludes(wrong.stderr, "Cannot");
});
