import { assertEquals } from "@std/assert";
import { json, method, RpcClient, service, text } from "../../lib/rpc.ts";
import { deleteQueue, live, waitFor } from "../support/live.ts";
import { failure } from "../support/pair.ts";
import { blocksOf, readReadme, writeProject } from "../support/readme.ts";
import { type Script, start } from "../support/script.ts";

/** The commands that run a script in the README. */
const COMMAND = /^deno (run .*) (\w+\.ts)$/gm;

live("The service of the README runs, and loses no call when a server gets SIGTERM", { run: true }, async ({
  url,
  queue,
}) => {
  await using _queues = {
    async [Symbol.asyncDispose]() {
      for (const name of ["users", "greetings"]) await deleteQueue(url, `${queue}.${name}`);
    },
  };
  const readme = await readReadme();
  // Queues of the test's own.
  await using project = await writeProject(
    blocksOf(readme),
    (code) => code.replaceAll('queue: "', `queue: "${queue}.`),
  );
  const commands = new Map(Array.from(readme.matchAll(COMMAND), ([, args = "", file = ""]) => [file, args.split(" ")]));
  function run(file: string): Script {
    const [run = "", ...permissions] = commands.get(file) ?? [];
    return start([Deno.execPath(), run, "--quiet", ...permissions, `${project.folder}/${file}`], { AMQP_URL: url });
  }

  await using first = run("server.ts");
  await first.printed("Serving users and greetings");
  await using script = run("client.ts");
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

  await using second = run("server.ts");
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
