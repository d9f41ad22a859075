import { assert, assertEquals } from "@std/assert";
import { json, method, RpcClient, service, text } from "../../lib/rpc.ts";
import { deleteQueue, live, waitFor } from "../support/live.ts";
import { failure } from "../support/pair.ts";
import { PLAIN, type Script, start } from "../support/script.ts";

const ROOT = new URL("../../", import.meta.url);

/** A block of code of the README whose first line is the name of a file. */
const FILE = /^```ts ignore\n(\/\/ (\w+\.ts)\n.*?)^```$/gms;

/** The commands that run a script in the README. */
const COMMAND = /^deno (run .*) (\w+\.ts)$/gm;

interface Project extends AsyncDisposable {
  /** Runs a script with the permissions that the README gives it. */
  run(file: string, env: Record<string, string>): Script;
  readonly folder: string;
}

/** The files of the README in a folder of their own, with the library under the name that JSR gives it. */
async function project(queuePrefix: string): Promise<Project> {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const folder = await Deno.makeTempDir();
  for (const [, code = "", name] of readme.matchAll(FILE)) {
    // Queues of the test's own.
    await Deno.writeTextFile(`${folder}/${name}`, code.replaceAll('queue: "', `queue: "${queuePrefix}.`));
  }
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const library = new URL("lib/rpc.ts", ROOT).href;
  const config = { imports: { ...imports, "@rabbitmq-rpc/rpc": library }, compilerOptions: { strict: true } };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  // So that no registry is asked.
  await Deno.copyFile(new URL("deno.lock", ROOT), `${folder}/deno.lock`);
  const commands = new Map(Array.from(readme.matchAll(COMMAND), ([, args = "", file = ""]) => [file, args.split(" ")]));
  return {
    folder,
    run(file, env) {
      const [run = "", ...permissions] = commands.get(file) ?? [];
      return start([Deno.execPath(), run, "--quiet", ...permissions, `${folder}/${file}`], env);
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

live("The service of the README compiles, runs, and loses no call when a server gets SIGTERM", { run: true }, async ({
  url,
  queue,
}) => {
  await using _queues = {
    async [Symbol.asyncDispose]() {
      for (const name of ["users", "greetings"]) await deleteQueue(url, `${queue}.${name}`);
    },
  };
  await using files = await project(queue);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", `${files.folder}/server.ts`, `${files.folder}/client.ts`],
    env: PLAIN,
    cwd: files.folder,
  }).output();
  assert(success, new TextDecoder().decode(stderr));

  await using first = files.run("server.ts", { AMQP_URL: url });
  await first.printed("Serving users and greetings");
  await using script = files.run("client.ts", { AMQP_URL: url });
  assertEquals(await script.ended(), {
    code: 0,
    stdout: "Hello Ada, says the website\nThere is no user 8\n",
    stderr: "",
  });

  const hello = service({
    queue: `${queue}.greetings`,
    methods: { hello: method({ request: json(), reply: text(), idempotent: true }) },
  }).methods.hello;
  await using client = await RpcClient.connect(url);
  const stranger = await failure(client.call(hello, { id: 7 }));
  assertEquals([stranger.code, stranger.outcome], ["unauthenticated", "not_executed"]);

  await using second = files.run("server.ts", { AMQP_URL: url });
  await second.printed("Serving users and greetings");
  const headers = { authorization: "Bearer secret" };
  let over = false;
  let calls = 0;
  async function callOn(): Promise<void> {
    for (; !over; calls++) {
      assertEquals(await client.call(hello, { id: 7 }, { headers }), "Hello Ada, says the website");
    }
  }
  const calling = Promise.all(Array.from({ length: 20 }, callOn));
  await waitFor("many calls have ended", () => calls > 100);
  first.kill("SIGTERM");
  assertEquals(await first.ended(), { code: 0, stdout: "Serving users and greetings\n", stderr: "" });
  const before = calls;
  await waitFor("the other server goes on", () => calls > before + 100);
  over = true;
  await calling;
  second.kill("SIGTERM");
  assertEquals(await second.ended(), { code: 0, stdout: "Serving users and greetings\n", stderr: "" });
});
